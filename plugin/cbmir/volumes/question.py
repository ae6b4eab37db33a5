"""The series or study that is asked about: which of its slices are compared, and how much each counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cbmir.sequences import kind_of
from cbmir.volumes.interaction import evenly, redundancy_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from cbmir.records import Members, Series
    from cbmir.sequences import Kind

    Vectors = Callable[[NDArray[np.int64]], tuple[NDArray[np.int64], NDArray[np.float32]]]

MOST_SLICES = 200
"""Slices of a query that are compared; of more, evenly chosen ones."""

LOCALIZER = "localizer"


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Slices of one series: (n,) labels, (n, dim) unit vectors, and (n,) weights, together 1."""

    series: Series
    kind: Kind
    labels: NDArray[np.int64]
    vectors: NDArray[np.float32]
    weights: NDArray[np.float32]


def stacks(members: Sequence[Members], vectors: Vectors) -> list[Stack]:
    """Return what is compared of the series of a query; series of which nothing is there any more are missing.

    `vectors` gives labels and vectors of those labels that are still there. Localizers are left out where there is any
    other series.
    """
    telling = [one for one in members if kind_of(one.series).sequence != LOCALIZER] or list(members)
    found = []
    for one, places in zip(telling, evenly([len(one.labels) for one in telling], MOST_SLICES), strict=True):
        labels, rows = vectors(one.labels[places])
        if len(labels):
            found.append(Stack(one.series, kind_of(one.series), labels, rows, redundancy_weights(rows)))
    return found
