"""Late interaction: each slice of a query finds the best slice of a candidate (Khattab, Zaharia, SIGIR 2020). numpy.

There every part of a query counts alike. Here slices that resemble many others of their series count less, so that
sixty of them that show air do not outvote the three that show a lesion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

REDUNDANCY = 8
"""Power of the similarity by which slices of one series share a vote."""

MISSING = 1.0
"""How much what cannot be compared counts against a candidate: 1 as if nothing of it were similar, 0 not at all."""


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


def best_of_each(similarities: NDArray[np.float32], starts: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return (q, c) what each of q slices finds best in each of c candidates.

    `similarities` is (q, m) to the slices of all candidates, one after the other; candidate i begins at starts[i], none
    is empty.
    """
    return np.asarray(np.maximum.reduceat(similarities, starts, axis=1))


def score(
    pairs: NDArray[np.float32], agreement: NDArray[np.float32], missing: float = MISSING
) -> tuple[float, NDArray[np.int64]]:
    """Return how similar a candidate is, and with which of its series each series of the query is compared.

    Parameters
    ----------
    pairs
        (s, c) similarity of each series of the query to each of the candidate.
    agreement
        (s, c) how far these can be compared, 0..1.
    missing
        As MISSING.

    """
    # a negative similarity is not better for being doubtful
    chosen = (agreement * (pairs + 1)).argmax(axis=1)
    rows = np.arange(len(pairs))
    similar, certain = pairs[rows, chosen], agreement[rows, chosen]
    return float((certain * similar).sum() / (certain + missing * (1 - certain)).sum()), chosen
