"""Late interaction: each slice of a query finds the best slice of a candidate (Khattab, Zaharia, SIGIR 2020). numpy.

There every part of a query counts alike, and only the query looks. Here slices that resemble many others of their
series count less, so that sixty of them that show air do not outvote the three that show a lesion; and the candidate
looks back, as one of many slices has something for everybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

REDUNDANCY = 8
"""Power of the similarity by which slices of one series share a vote."""


def redundancy_weights(vectors: NDArray[np.float32], power: float = REDUNDANCY) -> NDArray[np.float32]:
    """Return (n,) weights of a series' slices, together 1: as many alike ones as there are share one vote.

    `vectors` are (n, dim) unit rows in any order.
    """
    alike = np.maximum(vectors @ vectors.T, 0) ** power
    shares = 1 / alike.sum(axis=1)
    return np.asarray(shares / shares.sum(), np.float32)


def evenly(lengths: Sequence[int], most: int) -> list[NDArray[np.int64]]:
    """Return which places of lists of these lengths to take, at most `most` in all, evenly and alike from each list.

    A list that is shorter than its share leaves the rest to the others. Of more than `most` lists, the first are taken.
    """
    counts = np.zeros(len(lengths), np.int64)
    left = most
    for rank, place in enumerate(np.argsort(lengths, kind="stable")):
        share = -(-left // (len(lengths) - rank)) if left < len(lengths) - rank else left // (len(lengths) - rank)
        counts[place] = min(lengths[place], share, left)
        left -= counts[place]
    return [
        np.linspace(0, length - 1, count).round().astype(np.int64) if count > 1 else np.arange(length)[:count]
        for length, count in zip(lengths, counts, strict=True)
    ]


def spread(vectors: NDArray[np.float32], count: int) -> list[int]:
    """Return the places of `count` of (n, dim) unit rows: the one in the middle, then each time the most unlike."""
    chosen = [len(vectors) // 2]
    nearest = vectors @ vectors[chosen[0]]
    while len(chosen) < count:
        chosen.append(int(nearest.argmin()))
        nearest = np.maximum(nearest, vectors @ vectors[chosen[-1]])
    return chosen[:count]


def both_ways(
    similarities: NDArray[np.float32],
    weights: NDArray[np.float32],
    starts: NDArray[np.int64],
    other_weights: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return (c,) how similar each of c series is to one of q slices: mean of what each side finds in the other.

    Parameters
    ----------
    similarities
        (q, m) to the slices of all c series, one series after the other.
    weights
        (q,), together 1.
    starts
        (c,) where each series begins; none is empty.
    other_weights
        (m,) weights of their slices, those of each series together 1.

    """
    there = weights @ np.maximum.reduceat(similarities, starts, axis=1)
    back = np.add.reduceat(other_weights * similarities.max(axis=0), starts)
    return np.asarray((there + back) / 2, np.float32)


def score(pairs: NDArray[np.float32], agreement: NDArray[np.float32]) -> tuple[float, NDArray[np.int64]]:
    """Return how similar a candidate is, and with which of its series each series of the query is compared.

    A series of the query that has no counterpart there counts by what comes nearest to one.

    Parameters
    ----------
    pairs
        (s, c) similarity of each series of the query to each of the candidate.
    agreement
        (s, c) how far these can be compared, 0..1.

    """
    # a negative similarity is not better for being doubtful
    chosen = (agreement * (pairs + 1)).argmax(axis=1)
    rows = np.arange(len(pairs))
    return float((agreement * pairs)[rows, chosen].mean()), chosen
