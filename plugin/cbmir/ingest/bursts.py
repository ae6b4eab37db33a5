"""When the worker stands back: while images arrive by the dozen a second, receiving them comes first."""

from __future__ import annotations

import time
from collections import deque

BURST = 20
BURST_SECONDS = 1.0
"""So many arrivals within so long are a burst; a scanner that sends while it scans makes none."""

PATIENCE_SECONDS = 60.0
"""How long a burst may hold up the indexing; a migration of hours and the indexing then share the processors."""


class Bursts:
    """Notes arrivals on the threads that receive them, and tells the worker whether to stand back."""

    def __init__(self) -> None:
        """Begin in quiet."""
        self._arrivals: deque[float] = deque(maxlen=BURST)
        self._since: float | None = None

    def arrived(self) -> None:
        """Note an arrival. Never waits."""
        self._arrivals.append(time.monotonic())

    def hold_up(self) -> bool:
        """Return whether the worker should stand back now. For one thread at a time."""
        now = time.monotonic()
        if len(self._arrivals) < BURST or now - self._arrivals[0] > BURST_SECONDS:
            self._since = None
            return False
        self._since = self._since if self._since is not None else now
        return now - self._since < PATIENCE_SECONDS

    def goes_on(self) -> bool:
        """Return whether there was a burst when `hold_up` was last asked, however long it goes on."""
        return self._since is not None
