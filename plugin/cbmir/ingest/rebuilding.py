"""Worn indexes are built anew on a thread of their own, while what arrives is indexed and queries are answered."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from cbmir.catalogue import Catalogue
    from cbmir.ingest.spaces import Space


AT_ONCE = 1000
"""Vectors between two moments at which a rebuild can be told to stop: half a second."""

RETRY_SECONDS = 600.0
"""How long to wait after a rebuild that failed, as of too little memory."""


class _Stopped(Exception):
    """Orthanc stops."""


class Rebuilding:
    """One rebuild at a time. Only the worker calls it; its thread reads the catalogue and writes nothing there."""

    def __init__(self, catalogue: Catalogue, stopping: threading.Event, log: Callable[[str], None]) -> None:
        """Take what is read, what ends the work, and where it is told."""
        self._catalogue = catalogue
        self._stopping = stopping
        self._log = log
        self._thread: threading.Thread | None = None
        self._lost: NDArray[np.int64] | None = None
        self._not_before = 0.0

    def begin(self, space: Space) -> None:
        """Begin to rebuild a space's index, unless a rebuild is still at work or not yet looked at."""
        if self._thread is None and time.monotonic() >= self._not_before:
            # on Linux it has the low priority of the worker that starts it
            self._thread = threading.Thread(target=self._work, args=(space,), name="cbmir-rebuild")
            self._thread.start()

    def wait(self) -> None:
        """Return when no rebuild is at work."""
        if self._thread is not None:
            self._thread.join()

    def outcome(self) -> NDArray[np.int64] | None:
        """Return, once a rebuild is done, the labels of which it found no vector; None where none was done."""
        if self._thread is None or self._thread.is_alive():
            return None
        self._thread = None
        return self._lost

    def _work(self, space: Space) -> None:
        self._lost = np.empty(0, np.int64)
        try:
            space.index.rebuild(lambda: self._catalogue.live_labels(space.model), self._vectors)
        except _Stopped:
            self._lost = None
        except Exception as error:  # noqa: BLE001 - the old graph goes on answering
            self._lost, self._not_before = None, time.monotonic() + RETRY_SECONDS
            self._log(f"the index could not be rebuilt ({type(error).__name__}); it is tried again")
        finally:
            self._catalogue.leave()

    def _vectors(self, labels: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield the vectors of these labels until Orthanc stops."""
        found = [np.empty(0, np.int64)]
        for some, rows in self._catalogue.vectors(labels):
            found.append(some)
            for start in range(0, len(some), AT_ONCE):
                if self._stopping.is_set():
                    raise _Stopped
                yield some[start : start + AT_ONCE], rows[start : start + AT_ONCE]
        self._lost = np.setdiff1d(labels, np.concatenate(found))
