"""Ways to rank a gallery anew from embeddings alone. Each returns (q, g), the higher the nearer. Pure; numpy only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import _library  # noqa: F401 - before cbmir
from cbmir.answering.expansion import expanded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cbmir.classifier import Classifier

    Floats = NDArray[np.float32]


def towards_hits(queries: Floats, gallery: Floats, hits: int, candidates: int | None = None) -> Floats:
    """Return similarities to the queries moved towards their first hits, as the plugin does.

    With `candidates`, only the first so many change their order; the others follow by similarity.
    """
    similarity = queries @ gallery.T
    order = np.argsort(-similarity, axis=1, kind="stable")
    nearest = order[:, :hits]
    moved = expanded(queries, gallery[nearest], np.take_along_axis(similarity, nearest, axis=1)) @ gallery.T
    if candidates is None:
        return np.asarray(moved, np.float32)
    first = order[:, :candidates]
    # beyond every similarity of those that stay
    np.put_along_axis(similarity, first, np.take_along_axis(moved, first, axis=1) + 3, axis=1)
    return np.asarray(similarity, np.float32)


def agreement(classifier: Classifier, queries: Floats, gallery: Floats) -> Floats:
    """Return the probability that query and picture are of one class, 0..1."""
    return np.asarray(_probabilities(classifier, queries) @ _probabilities(classifier, gallery).T, np.float32)


def _probabilities(classifier: Classifier, vectors: Floats) -> Floats:
    logits = classifier.scale * vectors @ classifier.directions.T
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def with_neighbours(gallery: Floats, places: NDArray[np.int64], reach: int) -> Floats:
    """Return (g, dim) unit vectors: each picture averaged with those at most `reach` places away in its sequence.

    `places` (g,) counts within a sequence, and jumps by more than any reach from one sequence to the next.
    """
    averaged = np.stack([gallery[np.abs(places - place) <= reach].sum(axis=0) for place in places])
    return np.asarray(averaged / np.linalg.norm(averaged, axis=1, keepdims=True), np.float32)


def k_reciprocal(queries: Floats, gallery: Floats, k1: int, k2: int, own: float) -> Floats:
    """Return the k-reciprocal nearness of Zhong et al. (CVPR 2017): overlap of neighbourhoods, and similarity.

    Parameters
    ----------
    k1
        Neighbours that must count each other among theirs.
    k2
        Neighbours over which each picture's neighbourhood is averaged.
    own
        Weight of the distance itself, 0..1 (their lambda).

    """
    both = np.concatenate([queries, gallery])
    distance = np.maximum(2 - 2 * both @ both.T, 0)
    distance = (distance / distance.max(axis=0)).T
    nearest = np.argsort(distance, axis=1)
    wide, narrow = (_mutual(nearest[:, : k + 1]) for k in (k1, round(k1 / 2)))
    neighbourhood = np.zeros_like(distance)
    for row, members in enumerate(wide):
        # a neighbour that shares two thirds of its own narrow neighbourhood brings it in
        friends = [narrow[one] for one in members if 3 * np.isin(narrow[one], members).sum() > 2 * len(narrow[one])]
        reached = np.unique(np.concatenate([members, *friends]))
        weights = np.exp(-distance[row, reached])
        neighbourhood[row, reached] = weights / weights.sum()
    neighbourhood = np.stack([neighbourhood[some].mean(axis=0) for some in nearest[:, :k2]])
    mine, theirs = neighbourhood[: len(queries)], neighbourhood[len(queries) :]
    shared = np.stack([np.minimum(one, theirs).sum(axis=1) for one in mine])
    jaccard = 1 - shared / (2 - shared)
    return np.asarray(-(1 - own) * jaccard - own * distance[: len(queries), len(queries) :], np.float32)


def _mutual(nearest: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return, for each row, those of its neighbours that have the row among theirs."""
    return [some[(nearest[some] == row).any(axis=1)] for row, some in enumerate(nearest)]
