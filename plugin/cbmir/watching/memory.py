"""Gives memory that was freed back to the system.

Graphs, pictures and tables of some megabytes come and go on several threads, and glibc keeps what each of them freed
for itself: within hours an Orthanc would hold tens of megabytes that nobody uses. Orthanc 1.12 does the same, every 30
seconds.
"""

from __future__ import annotations

import ctypes
import time

EVERY_SECONDS = 60.0

_RELEASE = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""malloc_trim(3), which only glibc has. ctypes lets other threads have Python's lock meanwhile."""


class Memory:
    """Looks after freed memory, for the worker's thread alone."""

    def __init__(self) -> None:
        """Begin with an interval."""
        self._last = time.monotonic()

    def run_due(self) -> None:
        """Give memory back if that was not done for a while: some milliseconds."""
        now = time.monotonic()
        if now - self._last > EVERY_SECONDS:
            self._last = now
            release()


def release() -> None:
    """Give back every page that holds nothing."""
    if _RELEASE is not None:
        _RELEASE(ctypes.c_size_t(0))
