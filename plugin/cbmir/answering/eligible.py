"""Slices that may be shown, in the groups that become cases, before anything is read of them. numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cbmir.cases import DECIMALS, SLICES_SHOWN

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Eligible:
    """Slices by falling similarity, (n,) each, with the number of its group, counted in the order of their best slices.

    Attributes
    ----------
    firsts
        Where the best slice of each group is.

    """

    labels: NDArray[np.int64]
    similarities: NDArray[np.float32]
    groups: NDArray[np.intp]
    firsts: NDArray[np.intp]

    @classmethod
    def grouped(cls, labels: NDArray[np.int64], similarities: NDArray[np.float32], keys: NDArray[np.int64]) -> Eligible:
        """Return slices, given by falling similarity, in groups of equal keys."""
        _, firsts, inverse = np.unique(keys, return_index=True, return_inverse=True)
        order = np.argsort(firsts)
        numbers = np.empty_like(order)
        numbers[order] = np.arange(len(order))
        return cls(labels, np.minimum(similarities, np.float32(1)), numbers[inverse], firsts[order])

    @property
    def number_of_groups(self) -> int:
        """The number of patients, studies or slices that there are."""
        return len(self.firsts)

    def best(self, number: int) -> Eligible:
        """Return what can be shown of the first so many groups: of each its best slices.

        And those that are as good to the last digit told: which of them come first is decided elsewhere.
        """
        told = _told(self.similarities)
        beyond = self.number_of_groups
        if beyond > number:
            best = told[self.firsts]
            beyond = number + int((best[number:] == best[number - 1]).sum())
        by_group = np.argsort(self.groups, kind="stable")
        starts = np.searchsorted(self.groups[by_group], np.arange(self.number_of_groups + 1))
        # the last slice of each group that is shown for sure
        last = by_group[np.minimum(starts[:-1] + SLICES_SHOWN, starts[1:]) - 1]
        return self._only((self.groups < beyond) & (told >= told[last][self.groups]))

    def firsts_of_all(self, number: int) -> NDArray[np.intp]:
        """Return where the first so many slices are, and those that are as good to the last digit told."""
        told = _told(self.similarities)
        return np.flatnonzero(told >= told[min(number, len(told)) - 1])

    def nearest(self, nearness: NDArray[np.float32], number: int) -> Eligible:
        """Return the so many groups of the greatest nearness, (groups,), and those that are as near to the last digit.

        They keep their numbers.
        """
        told = _told(nearness)
        if len(told) <= number:
            return self
        kept = told >= np.partition(told, -number)[-number]
        return self._only(kept[self.groups])

    def _only(self, kept: NDArray[np.bool_]) -> Eligible:
        """Return some of the slices: of each group the first, or none."""
        places = np.cumsum(kept) - 1
        firsts = self.firsts[kept[self.firsts]]
        return Eligible(self.labels[kept], self.similarities[kept], self.groups[kept], places[firsts])


def _told(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return values to the last digit that tells them apart."""
    return np.asarray(values.astype(float).round(DECIMALS))
