"""Cases, each of many slices, ranked in several ways: what a query by a series or study does, and what it might."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

import _library  # noqa: F401 - before cbmir
from cbmir.sequences import Kind, agreement
from cbmir.volumes.interaction import REDUNDANCY, both_ways, redundancy_weights, score

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from sources.tables import Row

    Method = Callable[["Stacked", "Stacked"], NDArray[np.float32]]
    """Queries, gallery → (q, g) how similar each case of the gallery is to each query."""

NEAREST = 10
"""Hits of each slice that vote for their cases."""


@dataclass(frozen=True, slots=True, eq=False)
class Stacked:
    """Cases with all their slices, one series after the other.

    Attributes
    ----------
    labels, groups
        (n,) class of each case, and what must not be compared with itself.
    vectors
        (slices, dim) unit rows.
    starts
        (series + 1,) first slice of each series, and the number of all; a series is what one case has of one sequence.
    kinds
        Sequence of each series.
    series
        (n + 1,) first series of each case, and the number of all.

    """

    labels: NDArray[np.str_]
    groups: NDArray[np.str_]
    vectors: NDArray[np.float32]
    starts: NDArray[np.int64]
    kinds: Sequence[Kind]
    series: NDArray[np.int64]

    @property
    def bounds(self) -> NDArray[np.int64]:
        """(n + 1,) first slice of each case, and the number of all."""
        return self.starts[self.series]

    @property
    def owners(self) -> NDArray[np.int64]:
        """(slices,) which case each slice is of."""
        return np.repeat(np.arange(len(self.labels)), np.diff(self.bounds))

    @property
    def members(self) -> NDArray[np.int64]:
        """(slices,) which series each slice is of."""
        return np.repeat(np.arange(len(self.kinds)), np.diff(self.starts))

    def weights(self, power: float) -> NDArray[np.float32]:
        """Return (slices,) weights, those of each series together 1."""
        return np.concatenate([redundancy_weights(self.vectors[rows], power) for rows in _slices(self.starts)])


def stacked(rows: Sequence[Row], vectors: NDArray[np.float32], block: int | None, sequence: str | None) -> Stacked:
    """Return the cases of a table: its groups, or runs of `block` rows of one class and group.

    `sequence` is the column that tells the series of a case apart; without it a case is one series of an unknown kind.
    """
    cases: dict[tuple[str, str, int], dict[str, list[int]]] = {}
    counted: dict[tuple[str, str], int] = {}
    for place, row in enumerate(rows):
        number = counted[row.group, row.label] = counted.get((row.group, row.label), -1) + 1
        case = cases.setdefault((row.group, row.label, number // block if block else 0), {})
        case.setdefault(row.columns[sequence] if sequence else "", []).append(place)
    order = [place for case in cases.values() for series in case.values() for place in series]
    lengths = [len(series) for case in cases.values() for series in case.values()]
    return Stacked(
        np.array([label for _, label, _ in cases]),
        np.array([group for group, _, _ in cases]),
        vectors[order],
        np.cumsum([0, *lengths]),
        [Kind(name or None) for case in cases.values() for name in case],
        np.cumsum([0, *(len(case) for case in cases.values())]),
    )


def votes(*, sequences: bool) -> Method:
    """Return the vote of what the slices of a query find each alone: the sum of the similarities, the best breaks ties.

    With `sequences`, a slice of another sequence is as much less similar as it is to the plugin.
    """

    def method(queries: Stacked, gallery: Stacked) -> NDArray[np.float32]:
        result = np.zeros((len(queries.labels), len(gallery.labels)), np.float32)
        groups, owners = gallery.groups[gallery.owners], gallery.owners
        agreeing = _agreeing(queries, gallery, sequences=sequences)
        for place, rows in enumerate(_slices(queries.bounds)):
            similarities = queries.vectors[rows] @ gallery.vectors.T
            similarities *= agreeing[np.ix_(queries.members[rows], gallery.members)]
            allowed = np.where(groups == queries.groups[place], -2, similarities)
            nearest = np.argpartition(-allowed, min(NEAREST, allowed.shape[1]) - 1, axis=1)[:, :NEAREST]
            counted = np.maximum(np.take_along_axis(allowed, nearest, axis=1), 0)
            np.add.at(result[place], owners[nearest], counted)
            # what no slice voted for comes after what one did, the most similar first
            result[place] += 1e-4 * np.maximum.reduceat(allowed.max(axis=0), gallery.bounds[:-1])
        return result

    return method


def means(queries: Stacked, gallery: Stacked) -> NDArray[np.float32]:
    """Compare the mean vectors of the cases."""
    sides = []
    for side in (queries, gallery):
        sums = np.add.reduceat(side.vectors, side.bounds[:-1])
        sides.append(sums / np.linalg.norm(sums, axis=1, keepdims=True))
    return np.asarray(sides[0] @ sides[1].T, np.float32)


def one_way(queries: Stacked, gallery: Stacked) -> NDArray[np.float32]:
    """Compare as ColBERT does: mean over the slices of a query of the best slice of a case."""
    best = [
        np.maximum.reduceat(queries.vectors[rows] @ gallery.vectors.T, gallery.bounds[:-1], axis=1).mean(axis=0)
        for rows in _slices(queries.bounds)
    ]
    return np.asarray(best, np.float32)


def interaction(*, power: float = REDUNDANCY, sequences: bool = True) -> Method:
    """Return the comparison of the plugin; or with other weights, or with sequences that nobody knows."""

    def method(queries: Stacked, gallery: Stacked) -> NDArray[np.float32]:
        weights, other_weights = queries.weights(power), gallery.weights(power)
        pairs = [
            both_ways(queries.vectors[rows] @ gallery.vectors.T, weights[rows], gallery.starts[:-1], other_weights)
            for rows in _slices(queries.starts)
        ]
        similar, agreeing = np.stack(pairs), _agreeing(queries, gallery, sequences=sequences)
        return np.array(
            [
                [score(similar[own, other], agreeing[own, other])[0] for other in _slices(gallery.series)]
                for own in _slices(queries.series)
            ],
            np.float32,
        )

    return method


def _agreeing(queries: Stacked, gallery: Stacked, *, sequences: bool) -> NDArray[np.float32]:
    """Return how far each series of the queries and each of the gallery can be compared."""
    known = [[agreement(one, other) if sequences else 1.0 for other in gallery.kinds] for one in queries.kinds]
    return np.array(known, np.float32)


def _slices(bounds: NDArray[np.int64]) -> list[slice]:
    return [slice(*pair) for pair in pairwise(bounds.tolist())]
