"""Once a day: how alike the archive's slices are, so that an answer can say what is unusual in it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from cbmir.answering.scale import CALIBRATION
from cbmir.watching.calibration import calibrated, gallery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cbmir.catalogue import Catalogue
    from cbmir.ingest.inbox import Progress
    from cbmir.store.protocols import VectorIndex

    Stoppable = Callable[[Iterable[Any]], Iterator[Any]]

MOST_ASKED = 500
"""Slices whose nearest are looked for, of more a random part: a second."""

MOST_PICTURES = 2000
"""Pictures that a query is compared with, of more a random part: 2 MB."""

Done = tuple[str, int]
"""The day that something was measured on, and the number of slices then."""


class Likeness:
    """Measures on the worker's thread. The figures go into the catalogue, the pictures stay in memory."""

    def __init__(  # noqa: PLR0913 - the parts it looks at
        self,
        catalogue: Catalogue,
        index: VectorIndex,
        *,
        model: str,
        progress: Progress,
        stoppable: Stoppable = iter,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take what is looked at, where the pictures are shown, and what ends a long work when Orthanc stops."""
        self._catalogue = catalogue
        self._index = index
        self._model = model
        self._progress = progress
        self._stoppable = stoppable
        self._now = now
        self._random = np.random.default_rng()
        last = catalogue.last_day(CALIBRATION, model)
        self._measured: Done = (last["date"], last["slices"]) if last else ("", 0)
        self._pictured: Done = ("", 0)

    def run_due(self, slices: int) -> None:
        """Measure what is due in an archive of so many slices: each once a day, and when it has doubled since."""
        today = self._now().date().isoformat()
        if _is_due(self._measured, today, slices):
            self._measured = today, slices
            self._calibrate(today, slices)
        if _is_due(self._pictured, today, slices):
            self._pictured = today, slices
            self._look()

    def _calibrate(self, today: str, slices: int) -> None:
        """Keep how similar the nearest of some slices are."""
        labels = self._some(MOST_ASKED)
        known = self._catalogue.slices(labels.tolist())
        sample = (
            (known[label], row)
            for some, rows in self._catalogue.vectors(labels)
            for label, row in zip(some.tolist(), rows, strict=True)
            if label in known
        )
        found = calibrated(self._index.search, self._catalogue.slices, self._stoppable(sample))
        if found is not None:
            self._catalogue.keep_day(CALIBRATION, self._model, today, {"slices": slices, **asdict(found)})

    def _look(self) -> None:
        """Show what some slices look like from afar."""
        labels = self._some(MOST_PICTURES).tolist()
        known, sketches = self._catalogue.slices(labels), self._catalogue.sketches(labels)
        there = [label for label in labels if label in known and label in sketches]
        self._progress.gallery = (
            gallery(
                self._model,
                [known[label] for label in there],
                np.stack([sketches[label] for label in there]),
                self._stoppable,
            )
            if there
            else None
        )

    def _some(self, most: int) -> Any:
        """Return the labels of slices in random order; of many a random part."""
        return self._random.permutation(self._catalogue.live_labels(self._model))[:most]


def _is_due(done: Done, today: str, slices: int) -> bool:
    day, then = done
    return bool(slices) and (day != today or slices >= 2 * then)
