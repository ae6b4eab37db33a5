"""Times steps, with what they hold up meanwhile and what memory they leave taken."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from cbmir.watching.memory import release

TICK_SECONDS = 0.001


def memory() -> int:
    """Return the bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def milliseconds(seconds: list[float]) -> dict[str, float]:
    """Return median and 99th percentile in milliseconds."""
    p50, p99 = np.percentile(np.array(seconds) * 1000, (50, 99)).round(3).tolist()
    return {"p50": p50, "p99": p99}


class Step:
    """Times what the block does, and a thread that does nothing but look at the clock beside it."""

    def __init__(self, steps: dict[str, Any], name: str, **facts: Any) -> None:
        """Take where to write what was found, and what is known already."""
        self._steps, self._name, self._facts = steps, name, facts
        self._done = threading.Event()
        self._longest = 0.0
        self._ticker = threading.Thread(target=self._tick)

    def _tick(self) -> None:
        last = time.monotonic()
        while not self._done.is_set():
            time.sleep(TICK_SECONDS)
            now = time.monotonic()
            self._longest, last = max(self._longest, now - last), now

    def __enter__(self) -> None:
        """Begin; with what was freed given back, so that all that the block takes is counted."""
        release()
        self._memory = memory()
        self._start, self._worked = time.monotonic(), time.process_time()
        self._ticker.start()

    def __exit__(self, *_: object) -> None:
        """Write down what the block took."""
        seconds, worked = time.monotonic() - self._start, time.process_time() - self._worked
        self._done.set()
        self._ticker.join()
        self._steps[self._name] = {
            "seconds": round(seconds, 2),
            "processorSeconds": round(worked, 2),
            "longestStallMilliseconds": round(1000 * self._longest),
            "megabytes": round((memory() - self._memory) / 1e6),
            **self._facts,
        }
        print(self._name, self._steps[self._name], file=sys.stderr, flush=True)
