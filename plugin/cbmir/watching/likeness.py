"""Once a day: how alike the archive's slices are, so that an answer can say what is unusual in it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from cbmir.answering.scale import CALIBRATION
from cbmir.watching.calibration import calibrated, gallery

if TYPE_CHECKING:
    from cbmir.watching.watched import Watched


MOST_ASKED = 500
"""Slices whose nearest are looked for, of more a random part: a second."""

MOST_PICTURES = 2000
"""Pictures that a query is compared with, of more a random part: 2 MB."""

Done = tuple[str, int]
"""The day that something was measured on, and the number of slices then."""


class Likeness:
    """Measures on the worker's thread. The figures go into the catalogue, the pictures stay in memory."""

    def __init__(self, watched: Watched) -> None:
        """Take what is looked at."""
        self._watched = watched
        self._random = np.random.default_rng()
        last = watched.catalogue.last_day(CALIBRATION, watched.model)
        self._measured: Done = (last["date"], last["slices"]) if last else ("", 0)
        self._pictured: Done = ("", 0)

    def run_due(self, slices: int) -> None:
        """Measure what is due in an archive of so many slices: each once a day, and when it has doubled since."""
        today = self._watched.now().date().isoformat()
        if _is_due(self._measured, today, slices):
            self._measured = today, slices
            self._calibrate(today, slices)
        if _is_due(self._pictured, today, slices):
            self._pictured = today, slices
            self._look()

    def _calibrate(self, today: str, slices: int) -> None:
        """Keep how similar the nearest of some slices are."""
        labels = self._some(MOST_ASKED)
        known = self._watched.catalogue.slices(labels.tolist())
        sample = (
            (known[label], row)
            for some, rows in self._watched.catalogue.vectors(labels)
            for label, row in zip(some.tolist(), rows, strict=True)
            if label in known
        )
        found = calibrated(self._watched.index.search, self._watched.catalogue.slices, self._watched.stoppable(sample))
        if found is not None:
            self._watched.catalogue.keep_day(
                CALIBRATION, self._watched.model, today, {"slices": slices, **asdict(found)}
            )

    def _look(self) -> None:
        """Show what some slices look like from afar."""
        labels = self._some(MOST_PICTURES).tolist()
        known, sketches = self._watched.catalogue.slices(labels), self._watched.catalogue.sketches(labels)
        there = [label for label in labels if label in known and label in sketches]
        self._watched.progress.gallery = (
            gallery(
                self._watched.model,
                [known[label] for label in there],
                np.stack([sketches[label] for label in there]),
                self._watched.stoppable,
            )
            if there
            else None
        )

    def _some(self, most: int) -> Any:
        """Return the labels of slices in random order; of many a random part."""
        return self._random.permutation(self._watched.catalogue.live_labels(self._watched.model))[:most]


def _is_due(done: Done, today: str, slices: int) -> bool:
    day, then = done
    return bool(slices) and (day != today or slices >= 2 * then)
