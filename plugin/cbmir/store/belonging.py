"""Which series each slice belongs to, in memory: a search asks it of every neighbour, a filter of every slice.

12 bytes a slice. A slice never changes its series and labels only grow, so what came after the last is all that is
ever read again.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

NONE = -1
"""Stands for the series of a slice that is not known, or gone."""

FEW = 20_000
"""Labels that are kept: 160 kB."""

GROWTH = 1.5
SMALLEST_CAPACITY = 1024
_ROW = np.dtype([("label", np.int64), ("series", np.int64)])
"""As the catalogue gives them."""


@dataclass(frozen=True, slots=True)
class Listed:
    """Some slices, by their labels."""

    _labels: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self._labels)

    def labels(self) -> NDArray[np.int64]:
        """Return their labels."""
        return self._labels

    def holds(self, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of these labels are among them."""
        return np.isin(labels, self._labels)


@dataclass(frozen=True, slots=True)
class _Known:
    """Slices by ascending labels: labels (n,), and the row ids of their series (n,), NONE for what is gone."""

    labels: NDArray[np.int64]
    series: NDArray[np.int32]

    def places(self, labels: NDArray[np.int64]) -> NDArray[np.intp]:
        """Return where these labels are, or would be; the last place instead of behind it."""
        return np.minimum(np.searchsorted(self.labels, labels), max(0, len(self.labels) - 1))

    def series_of(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the row ids of the series that slices belong to, NONE for those that are not known."""
        if not len(self.labels):
            return np.full(len(labels), NONE)
        places = self.places(labels)
        return np.where(self.labels[places] == labels, self.series[places], NONE)


class OfSeries:
    """The slices of some series."""

    def __init__(self, known: _Known, chosen: NDArray[np.bool_], number: int) -> None:
        """Take which series are chosen, by their row ids, the last element no; and how many slices they have."""
        self._known = known
        self._chosen = chosen
        self._number = number
        self._labels: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """Return the number of slices."""
        return self._number

    def labels(self) -> NDArray[np.int64]:
        """Return their labels, ascending. A few are found once: that is a look at every slice there is."""
        if self._labels is not None:
            return self._labels
        labels = self._known.labels[self._chosen[self._known.series]]
        if len(labels) <= FEW:
            self._labels = labels
        return labels

    def holds(self, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of these labels are among them."""
        return self._chosen[self._known.series_of(labels)]


class Belonging:
    """The series of every slice of a model. All methods may be called from any thread."""

    def __init__(self) -> None:
        """Begin without slices."""
        self._lock = threading.Lock()
        self._labels = np.empty(0, np.int64)
        self._series = np.empty(0, np.int32)
        self._number = 0
        self._as_of: int | None = None
        self._slices = np.zeros(1, np.int64)
        """Number of slices by the row id of their series; one element more, where NONE points."""

    def extend(self, as_of: int, after: Callable[[int], Iterable[tuple[int, int]]]) -> None:
        """Add what came: `after` gives slices with labels above one, ascending, each with the row id of its series.

        `as_of` is another number whenever something was written: nothing is read twice with the same.
        """
        with self._lock:
            if as_of == self._as_of:
                return
            last = int(self._labels[self._number - 1]) if self._number else -1
            new = np.fromiter(after(last), _ROW)
            if len(new):
                self._add(new["label"], new["series"].astype(np.int32))
            self._as_of = as_of

    def _add(self, labels: NDArray[np.int64], series: NDArray[np.int32]) -> None:
        if self._number + len(labels) > len(self._labels):
            self._grow(len(labels))
        end = self._number + len(labels)
        self._labels[self._number : end], self._series[self._number : end] = labels, series
        self._number = end
        slices = np.bincount(series, minlength=max(len(self._slices), int(series.max()) + 2))
        slices[: len(self._slices)] += self._slices
        self._slices = slices

    def _grow(self, more: int) -> None:
        """Make room, without what is gone. Whoever reads the old arrays keeps them."""
        there = self._series[: self._number] != NONE
        labels, series = self._labels[: self._number][there], self._series[: self._number][there]
        capacity = max(SMALLEST_CAPACITY, int(GROWTH * (len(labels) + more)))
        self._labels, self._series = np.empty(capacity, np.int64), np.empty(capacity, np.int32)
        self._number = len(labels)
        self._labels[: self._number], self._series[: self._number] = labels, series

    def discard(self, labels: Sequence[int]) -> NDArray[np.int64]:
        """Forget slices; unknown ones are passed over. Return the row ids of series that have none left."""
        wanted = np.unique(np.array(labels, np.int64))
        with self._lock:
            known = self._known()
            there = wanted[known.series_of(wanted) != NONE]
            places = known.places(there)
            series = known.series[places]
            np.subtract.at(self._slices, series, 1)
            known.series[places] = NONE
            touched: NDArray[np.int64] = np.unique(series).astype(np.int64)
            return np.extract(self._slices[touched] == 0, touched)

    def series_of(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the row ids of the series that slices belong to, NONE for those that are not known."""
        with self._lock:
            known = self._known()
        return known.series_of(labels)

    def of_series(self, series: NDArray[np.int64]) -> OfSeries:
        """Return the slices of these series."""
        with self._lock:
            known, slices = self._known(), self._slices
        chosen = np.zeros(len(slices), np.bool_)
        series = series[series < len(slices) - 1]
        chosen[series] = True
        return OfSeries(known, chosen, int(slices[series].sum()))

    def _known(self) -> _Known:
        return _Known(self._labels[: self._number], self._series[: self._number])
