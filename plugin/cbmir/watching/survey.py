"""The archive at a glance: a part of its slices drawn on a plane, a little at each idle moment."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from cbmir.records import Atlas
from cbmir.watching.layout import layout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cbmir.watching.watched import Watched


MOST_DRAWN = 2000
"""Slices on the plane, of more a random part: what a page can draw smoothly, and five seconds of one processor."""

AT_A_TIME_SECONDS = 0.25
"""Work at one idle moment: so long an image that arrives may wait for it."""

MUCH = 0.1
"""Change of the number of slices after which yesterday's picture is no longer today's."""


class Survey:
    """Draws on the worker's thread, and shows the picture when it is done. It is kept in memory only."""

    def __init__(self, watched: Watched) -> None:
        """Take what is looked at."""
        self._watched = watched
        self._random = np.random.default_rng()
        self._drawing: Iterator[None] | None = None
        self._drawn: tuple[str, int] = ("", 0)

    def run_due(self, slices: int) -> None:
        """Go on drawing an archive of so many slices, or begin anew where it has changed much."""
        if self._drawing is None and self._is_due(slices):
            self._drawn = self._today(), slices
            self._drawing = self._draw(slices)
        until = time.monotonic() + AT_A_TIME_SECONDS
        while self._drawing is not None:
            if next(self._drawing, self) is self:
                self._drawing = None
            if time.monotonic() > until:
                return

    def _is_due(self, slices: int) -> bool:
        day, then = self._drawn
        if not slices or not then or slices >= 2 * then:
            return bool(slices)
        return abs(slices - then) > MUCH * then and day != self._today()

    def _draw(self, slices: int) -> Iterator[None]:
        """Yield after each step; show what comes out of the last."""
        wanted = self._random.permutation(self._watched.catalogue.live_labels(self._watched.model))[:MOST_DRAWN]
        portions = list(self._watched.catalogue.vectors(wanted))
        if not portions:
            return
        labels = np.concatenate([some for some, _ in portions])
        places = np.empty((0, 2), np.float32)
        for places in layout(np.concatenate([rows for _, rows in portions])):  # noqa: B007 - the last ones are shown
            yield
        self._watched.progress.atlas = Atlas(
            self._watched.model, labels, _within(places), slices, self._watched.now().isoformat(timespec="seconds")
        )

    def _today(self) -> str:
        return self._watched.now().date().isoformat()


def _within(places: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the places moved and scaled into 0..1, one scale for both directions, in the middle of the shorter one."""
    low, high = places.min(axis=0), places.max(axis=0)
    side = max(float((high - low).max()), 1e-12)
    # rounding may take a place beyond the edge
    return np.asarray((places - (low + high) / 2) / side + 0.5, np.float32).clip(0, 1)
