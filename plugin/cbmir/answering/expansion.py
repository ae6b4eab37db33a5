"""Alpha query expansion (Radenović, Tolias, Chum, TPAMI 2019): what the first hits share counts too. numpy only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALPHA = 3
"""Power of a hit's similarity that it counts with, as there: the farther, the less."""


def expanded(
    queries: NDArray[np.float32], hits: NDArray[np.float32], similarities: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return (q, dim) unit vectors: the queries moved towards their first hits.

    Parameters
    ----------
    queries
        (q, dim).
    hits
        (q, k, dim): of each query the first ones; only such as may be shown, or they would show through.
    similarities
        (q, k): of each hit to its query. One that is not above 0 does not count.

    """
    weights = np.maximum(similarities, 0) ** ALPHA
    moved = queries + np.einsum("qk,qkd->qd", weights, hits)
    return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), np.float32)
