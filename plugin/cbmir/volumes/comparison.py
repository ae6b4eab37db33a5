"""Every slice of a query against every slice of a candidate. numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cbmir.sequences import agreement, kind_of
from cbmir.volumes.interaction import both_ways, score

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cbmir.records import Series
    from cbmir.volumes.question import Stack


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A series of a candidate.

    Attributes
    ----------
    labels, weights
        (m,) of its slices; the weights are together 1.
    similarities
        (q, m) of each slice of the query to each of them.

    """

    series: Series
    labels: NDArray[np.int64]
    weights: NDArray[np.float32]
    similarities: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """A candidate, which is a series or a study, after the comparison.

    Attributes
    ----------
    score
        -1..1.
    found
        Its series.
    chosen
        (s,) int64: which of them each series of the query is compared with.
    pairs, agreement
        (s, len(found)) float32: how similar they are, and how far they can be compared.

    """

    score: float
    found: Sequence[Found]
    chosen: NDArray[np.int64]
    pairs: NDArray[np.float32]
    agreement: NDArray[np.float32]

    @property
    def series(self) -> Series:
        """Any of its series: they are of one study."""
        return self.found[0].series


def compared(query: Sequence[Stack], found: Sequence[Found]) -> Comparison:
    """Return the comparison of a query with the series of one candidate, none of which is empty."""
    starts = np.cumsum([0, *(len(one.labels) for one in found[:-1])])
    similarities = np.concatenate([one.similarities for one in found], axis=1)
    weights = np.concatenate([one.weights for one in found])
    pairs = np.stack(
        [
            both_ways(similarities[rows], stack.weights, starts, weights)
            for stack, rows in zip(query, rows_of(query), strict=True)
        ]
    )
    kinds = [kind_of(one.series) for one in found]
    agreeing = np.array([[agreement(stack.kind, kind) for kind in kinds] for stack in query], np.float32)
    total, chosen = score(pairs, agreeing)
    return Comparison(total, found, chosen, pairs, agreeing)


def rows_of(query: Sequence[Stack]) -> Iterator[slice]:
    """Yield which slices of the query, one series after the other, are of each series."""
    start = 0
    for stack in query:
        yield slice(start, start + len(stack.labels))
        start += len(stack.labels)
