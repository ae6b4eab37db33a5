"""How long the index of a large archive takes to be built, saved and read, and what it holds up meanwhile."""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cbmir.index import SliceIndex

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from numpy.typing import NDArray

DIM = 256
SERIES = 50
"""Slices that lie along a curve in a plane of their own, as those of a series do."""
TICK_SECONDS = 0.001


def measure(options: Namespace) -> dict[str, Any]:
    """Return seconds for each step, and the longest time for which another thread of Python stood still during it."""
    rows = series_of_slices(options.vectors)
    labels = np.arange(len(rows), dtype=np.int64)

    def vectors(wanted: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        for start in range(0, len(wanted), 10_000):
            some = wanted[start : start + 10_000]
            yield some, rows[some]

    steps: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        index = SliceIndex(Path(name), dim=DIM, model="measured")
        with _Step(steps, "rebuild"):
            index.rebuild(lambda: labels, vectors)
        with _Step(steps, "snapshot"):
            index.snapshot()
        started = SliceIndex(Path(name), dim=DIM, model="measured")
        with _Step(steps, "start"):
            how = started.restore(labels, vectors)
        assert how == "snapshot", how
    return {"vectors": options.vectors, "dim": DIM, "steps": steps}


def series_of_slices(number: int, length: int = SERIES) -> NDArray[np.float32]:
    """Return (number, DIM) float32 unit rows, neighbours in a series of that length alike."""
    random = np.random.default_rng(0)
    rows = np.empty((number, DIM), np.float32)
    for start in range(0, number, length):
        along = np.linspace(-1, 1, length)[: number - start, None]
        centre, first, second = random.standard_normal((3, DIM))
        curve = centre + 0.35 * (along * first + (along**2 - 1 / 3) * second)
        rows[start : start + length] = curve + 0.1 * random.standard_normal(curve.shape)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


class _Step:
    """Times what the block does, and a thread that does nothing but look at the clock beside it."""

    def __init__(self, steps: dict[str, Any], name: str) -> None:
        self._steps, self._name = steps, name
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
        self._start = time.monotonic()
        self._ticker.start()

    def __exit__(self, *_: object) -> None:
        seconds = time.monotonic() - self._start
        self._done.set()
        self._ticker.join()
        self._steps[self._name] = {
            "seconds": round(seconds, 2),
            "longestStallMilliseconds": round(1000 * self._longest),
        }
        print(self._name, self._steps[self._name], file=sys.stderr, flush=True)
