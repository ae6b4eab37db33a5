"""Whether the index finds what is there: its answers beside a comparison with every vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    Search = Callable[[NDArray[np.float32], int], tuple[NDArray[np.int64], NDArray[np.float32]]]

K = 10
TOLERANCE = 1e-5
"""Similarities that differ by less are equal: index and matrix product add in another order."""


def recall(
    search: Search, labels: NDArray[np.int64], vectors: NDArray[np.float32], queries: Iterable[NDArray[np.float32]]
) -> float | None:
    """Return the share of the ten most similar slices that the index finds, 0..1, mean over the queries; None for none.

    Parameters
    ----------
    search
        Vector and k → labels and similarities, the most similar first.
    labels, vectors
        What to compare with: n labels and their (n, dim) unit vectors, all slices or a random part of them. A slice
        that is nearer than the last one found should have been found, also where others of its kind are not looked at.
    queries
        (dim,) unit vectors.

    """
    shares = [_share_found(search, labels, vectors @ query, query) for query in queries]
    return float(np.mean(shares)) if shares else None


def _share_found(
    search: Search, labels: NDArray[np.int64], similarities: NDArray[np.float32], query: NDArray[np.float32]
) -> float:
    found, nearness = search(query, K)
    if len(found) < min(K, len(labels)):
        # the graph has lost its way: what it should have found is the nearest that there is
        nearest = np.argsort(-similarities)[:K]
    else:
        # slices as near as the last one found are as good as that one
        nearest = np.flatnonzero(similarities > nearness[-1] + TOLERANCE)
    return float(np.isin(labels[nearest], found).mean()) if len(nearest) else 1.0
