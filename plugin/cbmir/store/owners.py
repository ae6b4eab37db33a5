"""Whose slices these are, as numbers: a search compares hundreds of neighbours with the query, and groups them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cbmir.store.belonging import NONE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from cbmir.records import Series

    Read = Callable[[Sequence[int]], Iterable[tuple[int, str, str]]]

GROWTH = 1.5


class Owners(NamedTuple):
    """Of each slice its study and its patient, (n,) int64: equal numbers for equal ones, NONE for what is not known."""

    studies: NDArray[np.int64]
    patients: NDArray[np.int64]


def study_number(series: Series) -> int:
    """Return the number of the study that a series belongs to."""
    return hash(series.study_orthanc_id)


def patient_number(series: Series) -> int:
    """Return the number of the patient that a series belongs to."""
    return hash(series.patient)


class OwnersOfSeries:
    """Study and patient of series by their row ids, 16 bytes each, read when first asked for. For any thread."""

    def __init__(self) -> None:
        """Begin without series."""
        self._lock = threading.Lock()
        self._table = np.full((1, 2), NONE, np.int64)
        """The last row stands for NONE."""

    def of(self, series: NDArray[np.int64], read: Read) -> Owners:
        """Return the owners of series by row id. `read` gives row id, study and patient of those that are there."""
        with self._lock:
            self._fit(int(series.max(initial=NONE)))
            missing = np.unique(series[(self._table[series, 0] == NONE) & (series != NONE)])
            if len(missing):
                for row, study, patient in read(missing.tolist()):
                    # Python's hash of a text is 64 bits wide and never -1
                    self._table[row] = hash(study), hash(patient)
            found = self._table[series]
        return Owners(found[:, 0], found[:, 1])

    def discard(self, series: NDArray[np.int64]) -> None:
        """Forget series: their row ids may be given to others."""
        with self._lock:
            self._table[series[series < len(self._table) - 1]] = NONE

    def _fit(self, row: int) -> None:
        if row >= len(self._table) - 1:
            grown = np.full((int(GROWTH * (row + 2)), 2), NONE, np.int64)
            grown[: len(self._table)] = self._table
            self._table = grown
