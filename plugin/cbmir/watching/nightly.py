"""Once a day: whether what comes in drifts away from what came before, and whether hits merely share the scanner."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from cbmir.answering.matching import Condition
from cbmir.watching.drift import drift
from cbmir.watching.quality import Labelled, precision

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cbmir.catalogue import Catalogue
    from cbmir.records import CataloguedSlice
    from cbmir.watching.watched import Watched


DRIFT, SCANNERS = "drift", "scanners"
"""What the catalogue calls the two kinds of figures."""

FIGURES = {
    DRIFT: {"slices", "distance", "threshold", "patients", "referencePatients", "newScannerShare"},
    SCANNERS: {"slices", "share", "chance", "scanners", "patients", "sample"},
}
"""Numbers of each kind, as they are kept and told."""

RECENT_DAYS, REFERENCE_DAYS = 28, 365
"""Days of study that are looked at, and those before them that they are compared with."""

MOST_OF_DAYS = 3000
MOST_COMPARED = 10_000
"""Slices that are read, of more a random part: a second of one processor."""

QUERIES = 200
FEWEST_PATIENTS = 12
"""Of fewer, the first ten cases are nearly all that there are, and so as their scanners are."""

DECIMALS = 4


def measured(catalogue: Catalogue, kind: str, model: str) -> list[dict[str, Any]]:
    """Return the figures of one kind, each with its date, the earliest day first; damaged ones are passed over."""
    return [
        day
        for day in catalogue.days(kind, model)
        if day.keys() == FIGURES[kind] | {"date"} and all(isinstance(day[name], int | float) for name in FIGURES[kind])
    ]


class Nightly:
    """Decides which figure is due, and measures it on the worker's thread."""

    def __init__(self, watched: Watched) -> None:
        """Take what is looked at."""
        self._watched = watched
        self._random = np.random.default_rng()
        self._measures = {DRIFT: self._drift, SCANNERS: self._scanners}
        self._last = {
            kind: next(reversed(measured(watched.catalogue, kind, watched.model)), None) for kind in self._measures
        }
        self._tried = {kind: (last["date"], last["slices"]) for kind, last in self._last.items() if last}

    def run_due(self, slices: int) -> None:
        """Measure what is due in an archive of so many slices: each once a day, and when it has doubled since.

        One that fails or finds too little is not tried again before.
        """
        today = self._watched.now().date().isoformat()
        for kind, measure in self._measures.items():
            date, then = self._tried.get(kind, ("", 0))
            if not slices or (date == today and slices < 2 * then):
                continue
            self._tried[kind] = today, slices
            if (figures := measure()) is not None:
                self._last[kind] = {"date": today, "slices": slices, **figures}
                self._watched.catalogue.keep_day(kind, self._watched.model, today, {"slices": slices, **figures})

    def metrics(self) -> dict[str, float]:
        """Return the last figures as numbers to be watched: what is well above 1 is worth a look."""
        found = {}
        if last := self._last[DRIFT]:
            found["cbmir_drift_ratio"] = last["distance"] / max(last["threshold"], 10**-DECIMALS)
        if last := self._last[SCANNERS]:
            found["cbmir_own_scanner_ratio"] = last["share"] / max(last["chance"], 10**-DECIMALS)
        return found

    # ---- what comes in, against what came before ----

    def _drift(self) -> dict[str, Any] | None:
        """Return how far the last weeks' studies are from those of the year before; None where they are too few."""
        today = self._watched.now().date()
        begin = today - timedelta(days=RECENT_DAYS)
        before = begin - timedelta(days=REFERENCE_DAYS)
        lately, lately_vectors = self._studied(begin, today)
        earlier, earlier_vectors = self._studied(before, begin - timedelta(days=1))
        if not lately or not earlier:
            return None
        recent = np.arange(len(lately) + len(earlier)) < len(lately)
        patients = [one.series.patient for one in (*lately, *earlier)]
        vectors = np.concatenate([lately_vectors, earlier_vectors])
        found = drift(vectors, patients, recent, self._random, self._watched.stoppable)
        if found is None:
            return None
        known = {one.series.scanner for one in earlier}
        of_new = {one.series.patient for one in lately if one.series.scanner not in known}
        return {
            "distance": round(found.distance, DECIMALS),
            "threshold": round(found.threshold, DECIMALS),
            "patients": found.recent,
            "referencePatients": found.reference,
            "newScannerShare": round(len(of_new) / found.recent, DECIMALS),
        }

    def _studied(self, first: Any, last: Any) -> tuple[list[CataloguedSlice], NDArray[np.float32]]:
        """Return slices of studies of these days, and their vectors."""
        days = Condition("StudyDate", "between", (f"{first:%Y%m%d}", f"{last:%Y%m%d}"))
        return self._some(self._watched.catalogue.select([days], model=self._watched.model), MOST_OF_DAYS)

    # ---- hits of the query's own scanner ----

    def _scanners(self) -> dict[str, Any] | None:
        """Return how often hits of other patients are of the query's scanner; None where there is but one scanner."""
        slices, vectors = self._some(self._watched.catalogue.live_labels(self._watched.model), MOST_COMPARED)
        known = [place for place, one in enumerate(slices) if one.series.scanner]
        patients = [slices[place].series.patient for place in known]
        scanners = [frozenset({slices[place].series.scanner}) for place in known]
        if len(set(scanners)) < 2 or len(set(patients)) < FEWEST_PATIENTS:
            return None
        queries = range(min(QUERIES, len(known)))
        found = precision(Labelled(vectors[known], patients, scanners), self._watched.stoppable(queries))
        if found is None:
            return None
        return {
            "share": round(found.at[-1], DECIMALS),
            "chance": round(found.chance, DECIMALS),
            "scanners": len(set(scanners)),
            "patients": len(set(patients)),
            "sample": found.sample,
        }

    def _some(self, labels: NDArray[np.int64], most: int) -> tuple[list[CataloguedSlice], NDArray[np.float32]]:
        """Return slices and their vectors, in random order; of many a random part, deleted ones missing."""
        wanted = self._random.permutation(labels)[:most]
        found = self._watched.catalogue.slices(wanted.tolist())
        portions = list(self._watched.stoppable(self._watched.catalogue.vectors(wanted)))
        pairs = [
            (found[label], row)
            for some, rows in portions
            for label, row in zip(some.tolist(), rows, strict=True)
            if label in found
        ]
        if not pairs:
            return [], np.empty((0, 0), np.float32)
        return [one for one, _ in pairs], np.stack([row for _, row in pairs])
