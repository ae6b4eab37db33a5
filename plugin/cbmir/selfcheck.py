"""What the worker finds out about its own work in idle moments: whether the index finds, and the answers help."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from cbmir.quality import Labelled, precision
from cbmir.recall import recall
from cbmir.records import IndexHealth, Quality

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cbmir.catalogue import Catalogue
    from cbmir.index import SliceIndex
    from cbmir.indexer import Progress

MOST_COMPARED = 20_000
"""Vectors that a check reads, of larger archives a random part: 20 MB and a second."""

RECALL_QUERIES = 50
QUALITY_QUERIES = 200
RECALL_SECONDS = 3600.0
MUCH = 0.1
"""Change of the number of slices or labels after which yesterday's quality is no longer today's."""


class SelfChecks:
    """Decides which check is due, and runs it on the worker's thread."""

    def __init__(
        self,
        catalogue: Catalogue,
        index: SliceIndex,
        *,
        model: str,
        progress: Progress,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take what is checked, and where the index's health is told."""
        self._catalogue = catalogue
        self._index = index
        self._model = model
        self._progress = progress
        self._now = now
        self._random = np.random.default_rng()
        self._recall_at: tuple[float, int] | None = None
        self._tried: tuple[int, int] | None = None
        self._last: Quality | None = next(reversed(catalogue.quality(model)), None)

    def index_rebuilt(self) -> None:
        """Have the recall measured again at the next idle moment."""
        self._recall_at = None

    def run_due(self) -> None:
        """Run the checks that are due, a second or two each. One that fails is not repeated before it is due again."""
        if self._recall_is_due():
            self._recall_at = time.monotonic(), len(self._index)
            self._measure_recall()
        if self._quality_is_due():
            self._tried = self._extent()
            self._measure_quality()

    # ---- the index against all vectors ----

    def _recall_is_due(self) -> bool:
        if not len(self._index):
            return False
        if self._recall_at is None:
            return True
        then, slices = self._recall_at
        # the figure of an archive that has just begun to fill says little of the one that it became
        return time.monotonic() - then > RECALL_SECONDS or len(self._index) >= 2 * slices

    def _measure_recall(self) -> None:
        labels, vectors = self._some(self._catalogue.live_labels(self._model))
        if len(labels):
            queries = vectors[:RECALL_QUERIES]
            share = recall(self._index.search, labels, vectors, queries)
            self._progress.health = IndexHealth(share, len(queries), _iso(self._now()))

    def _some(self, labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return labels and vectors, in random order; of many a random part."""
        portions = list(self._catalogue.vectors(self._random.permutation(labels)[:MOST_COMPARED]))
        if not portions:
            return np.empty(0, np.int64), np.empty((0, 0), np.float32)
        return np.concatenate([some for some, _ in portions]), np.concatenate([rows for _, rows in portions])

    # ---- the answers against the labels ----

    def _extent(self) -> tuple[int, int]:
        """Return the number of slices and that of diagnoses."""
        return len(self._index), self._catalogue.number_of_diagnoses()

    def _quality_is_due(self) -> bool:
        extent = self._extent()
        if not all(extent) or extent == self._tried:
            return False
        if self._last is None:
            return True
        before = self._last.slices, self._last.diagnoses
        if any(new >= 2 * old for new, old in zip(extent, before, strict=True)):
            return True
        changed = any(abs(new - old) > MUCH * old for new, old in zip(extent, before, strict=True))
        return changed and self._last.date != self._today()

    def _measure_quality(self) -> None:
        said = self._catalogue.labelled(self._model)
        labels, vectors = self._some(np.fromiter(said, np.int64, len(said)))
        if not len(labels):
            return
        rows = [said[label] for label in labels.tolist()]
        labelled = Labelled(vectors, [row.patient for row in rows], [row.diagnoses for row in rows])
        found = precision(labelled, np.arange(min(QUALITY_QUERIES, len(labels))))
        if found is None:
            return
        slices, diagnoses = self._extent()
        p1, p5, p10 = found.at
        self._last = Quality(
            date=self._today(),
            slices=slices,
            diagnoses=diagnoses,
            patients=len(set(labelled.patients)),
            sample=found.sample,
            p1=p1,
            p5=p5,
            p10=p10,
            chance=found.chance,
        )
        self._catalogue.add_quality(self._last, self._model)

    def _today(self) -> str:
        return self._now().date().isoformat()


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
