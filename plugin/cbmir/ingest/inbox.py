"""Between Orthanc's callbacks, the worker and those who ask: events on their way in, and how the work goes on."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from cbmir.failpoints import reach
from cbmir.ingest.bursts import Bursts

if TYPE_CHECKING:
    from cbmir.records import Atlas, ChangeOfModel, Gallery, IndexHealth

Kind = Literal["stored", "deleted", "labelled"]

QUEUE_LIMIT = 100_000
"""Ids held in memory; what comes beyond is found by a reconciliation."""

STALLED_SECONDS = 60.0
"""Time without a sign of life from the worker after which it counts as hung."""


@dataclass(slots=True)
class Progress:
    """What the worker says of itself; any thread may read it. Times are of the monotonic clock."""

    beat: float = field(default_factory=time.monotonic)
    waiting_since: float | None = None
    per_second: float = 0.0
    reconciled: bool = False
    trouble: str | None = None
    damaged: bool = False
    """Somebody has met damage in the catalogue: nothing is read from it or written to it any more."""
    health: IndexHealth | None = None
    change: ChangeOfModel | None = None
    atlas: Atlas | None = None
    gallery: Gallery | None = None

    def lag_seconds(self) -> float:
        """Return for how long something has been waiting to be indexed."""
        since = self.waiting_since
        return 0.0 if since is None else time.monotonic() - since

    def stalled(self) -> bool:
        """Return whether the worker has given no sign of life for too long."""
        return time.monotonic() - self.beat > STALLED_SECONDS


class Inbox:
    """Events from Orthanc's callbacks, on their way to the worker."""

    def __init__(self) -> None:
        """Make an empty inbox."""
        self._events: queue.SimpleQueue[tuple[Kind, str] | None] = queue.SimpleQueue()
        self.overflowed = threading.Event()
        self.closed = threading.Event()
        self.bursts = Bursts()

    def put(self, kind: Kind, orthanc_id: str) -> None:
        """Note an event. Never waits, never raises, does no I/O: Orthanc holds a lock meanwhile."""
        reach("event")
        if kind == "stored":
            self.bursts.arrived()
        if self._events.qsize() < QUEUE_LIMIT:
            self._events.put((kind, orthanc_id))
        else:
            self.overflowed.set()

    def reconcile(self) -> None:
        """Have the worker compare the catalogue with the archive, and look for what is pending."""
        self.overflowed.set()
        self.wake()

    def wake(self) -> None:
        """Have the worker look around now."""
        self._events.put(None)

    def close(self) -> None:
        """Have the worker end after the batch it is at."""
        self.closed.set()
        self._events.put(None)

    def take(self, seconds: float) -> list[tuple[Kind, str]]:
        """Return all events; if there are none, wait so long for one."""
        events = []
        try:
            events.append(self._events.get(timeout=seconds) if seconds else self._events.get_nowait())
            while True:
                events.append(self._events.get_nowait())
        except queue.Empty:
            return [event for event in events if event is not None]
