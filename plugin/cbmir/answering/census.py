"""How many patients of the archive have which label: what the labels of the nearest patients are compared with."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbmir.answering.matching import Condition
    from cbmir.answering.statistics import Grounds
    from cbmir.catalogue import Catalogue

REMEMBERED_SECONDS = 60.0
"""How long a count is believed: so long after a label is given, the archive's share is the one of before."""

MOST_REMEMBERED = 16


@dataclass(frozen=True, slots=True)
class Census:
    """Patients that have a label that counts, and what is said of each, without regard to case."""

    labels: Mapping[str, frozenset[str]]
    counts: Mapping[str, int]

    def without(self, patient: str) -> tuple[int, dict[str, int]]:
        """Return the number of patients, and those with each label, where one patient is left out."""
        own = self.labels.get(patient, frozenset())
        return len(self.labels) - bool(own), {label: n - (label in own) for label, n in self.counts.items()}


class Censuses:
    """Counts the archive's labels, and remembers the counts for a moment."""

    def __init__(self, catalogue: Catalogue) -> None:
        """Take what holds the labels."""
        self._catalogue = catalogue
        self._lock = threading.Lock()
        self._found: dict[tuple[tuple[Condition, ...], bool], tuple[float, Census]] = {}

    def of(self, conditions: tuple[Condition, ...], grounds: Grounds, *, verified: bool) -> Census:
        """Return the census of what fulfils the conditions, by labels that count, or only by verified ones."""
        key = conditions, verified
        with self._lock:
            at, census = self._found.get(key, (0.0, None))
        if census is not None and time.monotonic() - at < REMEMBERED_SECONDS:
            return census
        said = {
            patient: grounds.counting(labels, verified=verified)
            for patient, labels in self._catalogue.labels_by_patient(conditions).items()
        }
        labels = {patient: some for patient, some in said.items() if some}
        census = Census(labels, Counter(label for some in labels.values() for label in some))
        with self._lock:
            if len(self._found) >= MOST_REMEMBERED:
                self._found.clear()
            self._found[key] = time.monotonic(), census
        return census
