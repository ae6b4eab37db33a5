"""When the worker stands back: while images arrive by the dozen a second and keep all processors busy, they come first.

Images come as fast as those who send them and the network allow, which mostly leaves a processor idle: then indexing
keeps up with them. Where they come as fast as Orthanc can take them, it would take fewer.
"""

from __future__ import annotations

import time
from collections import deque

from cbmir.ingest.processors import Processors

BURST = 20
BURST_SECONDS = 1.0
"""So many arrivals within so long are a burst; a scanner that sends while it scans makes none."""

PATIENCE_SECONDS = 60.0
"""How long a burst may hold up the indexing in all; a migration of hours and the indexing then share the processors."""


class Bursts:
    """Notes arrivals on the threads that receive them, and tells the worker whether to stand back."""

    def __init__(self) -> None:
        """Begin in quiet."""
        self._arrivals: deque[float] = deque(maxlen=BURST)
        self._processors = Processors()
        self._goes_on = False
        self._held = 0.0
        self._holding_since: float | None = None

    def arrived(self) -> None:
        """Note an arrival. Never waits."""
        self._arrivals.append(time.monotonic())

    def hold_up(self) -> bool:
        """Return whether the worker should stand back now. For one thread at a time."""
        now = time.monotonic()
        if len(self._arrivals) < BURST or now - self._arrivals[0] > BURST_SECONDS:
            self._goes_on, self._held, self._holding_since = False, 0.0, None
            return False
        if not self._goes_on:
            self._goes_on = True
            self._processors.begin()
        if self._holding_since is not None:
            self._held += now - self._holding_since
        holds = self._held < PATIENCE_SECONDS and not self._processors.have_room()
        self._holding_since = now if holds else None
        return holds

    def goes_on(self) -> bool:
        """Return whether there was a burst when `hold_up` was last asked, whether it holds anything up or not."""
        return self._goes_on
