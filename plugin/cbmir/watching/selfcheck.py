"""What the worker finds out about its own work in idle moments: whether the index finds, and the answers help."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from cbmir.answering.matching import Condition
from cbmir.records import ORTHANC_LABEL, IndexHealth, Quality
from cbmir.watching.likeness import Likeness
from cbmir.watching.nightly import Nightly
from cbmir.watching.quality import Labelled, precision
from cbmir.watching.recall import recall
from cbmir.watching.survey import Survey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cbmir.watching.watched import Watched


MOST_COMPARED = 20_000
"""Vectors that a check reads, of larger archives a random part: 20 MB and a second."""

RECALL_QUERIES = 50
QUALITY_QUERIES = 200
RECALL_SECONDS = 3600.0
MUCH = 0.1
"""Change of the number of slices or labels after which yesterday's quality is no longer today's."""

_LABELLED = Condition("label", "like", ("*",))


class SelfChecks:
    """Decides which check is due, and runs it on the worker's thread."""

    def __init__(self, watched: Watched) -> None:
        """Take what is looked at."""
        self._watched = watched
        self._random = np.random.default_rng()
        self._recall_at: tuple[float, int] | None = None
        self._tried: tuple[int, int] | None = None
        self._last: Quality | None = next(reversed(watched.catalogue.quality(watched.model)), None)
        self._nightly = Nightly(watched)
        self._likeness = Likeness(watched)
        self._survey = Survey(watched)

    def index_rebuilt(self) -> None:
        """Have the recall measured again at the next idle moment."""
        self._recall_at = None

    def run_due(self) -> None:
        """Run the checks that are due, a second or two each. One that fails is not repeated before it is due again."""
        if self._recall_is_due():
            self._recall_at = time.monotonic(), len(self._watched.index)
            self._measure_recall()
        if self._quality_is_due():
            self._tried = self._extent()
            self._measure_quality()
        self._nightly.run_due(len(self._watched.index))
        self._likeness.run_due(len(self._watched.index))
        self._survey.run_due(len(self._watched.index))

    def metrics(self) -> dict[str, float]:
        """Return the last figures, as Prometheus calls them."""
        found = self._nightly.metrics()
        if self._last is not None:
            found |= {"cbmir_precision_at_10": self._last.p10, "cbmir_precision_chance": self._last.chance}
        if self._watched.progress.health is not None:
            found["cbmir_recall_at_10"] = self._watched.progress.health.recall
        return found

    # ---- the index against all vectors ----

    def _recall_is_due(self) -> bool:
        if not len(self._watched.index):
            return False
        if self._recall_at is None:
            return True
        then, slices = self._recall_at
        # the figure of an archive that has just begun to fill says little of the one that it became
        return time.monotonic() - then > RECALL_SECONDS or len(self._watched.index) >= 2 * slices

    def _measure_recall(self) -> None:
        labels, vectors = self._some(self._watched.catalogue.live_labels(self._watched.model))
        queries = vectors[:RECALL_QUERIES]
        share = recall(self._watched.index.search, labels, vectors, self._watched.stoppable(queries))
        if share is not None:
            self._watched.progress.health = IndexHealth(
                share, len(queries), self._watched.now().isoformat(timespec="seconds")
            )

    def _some(self, labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return labels and vectors, in random order; of many a random part."""
        wanted = self._random.permutation(labels)[:MOST_COMPARED]
        portions = list(self._watched.stoppable(self._watched.catalogue.vectors(wanted)))
        if not portions:
            return np.empty(0, np.int64), np.empty((0, 0), np.float32)
        return np.concatenate([some for some, _ in portions]), np.concatenate([rows for _, rows in portions])

    # ---- the answers against the labels ----

    def _extent(self) -> tuple[int, int]:
        """Return the number of slices and that of diagnoses."""
        return len(self._watched.index), self._watched.catalogue.number_of_diagnoses()

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
        labels, vectors = self._some(self._watched.catalogue.select([_LABELLED], model=self._watched.model))
        labelled = self._labelled(labels.tolist(), vectors)
        queries = range(min(QUALITY_QUERIES, len(labelled.patients)))
        found = precision(labelled, self._watched.stoppable(queries))
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
        self._watched.catalogue.add_quality(self._last, self._watched.model)

    def _labelled(self, labels: Sequence[int], vectors: NDArray[np.float32]) -> Labelled:
        """Return what was said of these slices; those deleted meanwhile are missing.

        Orthanc's own labels are no diagnoses: one that every study of a department has would make all answers right.
        """
        slices = self._watched.catalogue.slices(labels)
        things = {name for one in slices.values() for name in one.labelled}
        said = {
            name: {one.label.casefold() for one in some if one.provenance != ORTHANC_LABEL}
            for name, some in self._watched.catalogue.labels(sorted(things)).items()
        }
        diagnoses = {label: frozenset().union(*(said[name] for name in one.labelled)) for label, one in slices.items()}
        rows = [place for place, label in enumerate(labels) if diagnoses.get(label)]
        return Labelled(
            vectors[rows],
            [slices[labels[place]].series.patient for place in rows],
            [diagnoses[labels[place]] for place in rows],
        )

    def _today(self) -> str:
        return self._watched.now().date().isoformat()
