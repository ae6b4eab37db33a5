"""Vectors as places on a plane: near each other there if near each other here.

t-SNE (van der Maaten and Hinton, JMLR 2008) from the two principal components, with attraction between the nearest
neighbours only (van der Maaten, JMLR 2014) and all repulsions exact. The same vectors give the same picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Places = NDArray[np.float32]

PERPLEXITY = 30.0
"""Neighbours that count, softly."""

STEPS = 300
TOGETHER_STEPS = 80
"""First steps, in which attraction is stronger, so that what belongs together finds together."""

TOGETHER = 12.0
FEWEST = 30
"""Of fewer vectors the principal components are picture enough."""

ROWS = 256
"""Places whose repulsions are computed at once: bounds the memory to 256 x n numbers."""


def principal(vectors: NDArray[np.float32]) -> Places:
    """Return (n, 2), the vectors along their two directions of largest variance."""
    centred = vectors - vectors.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    return np.asarray(centred @ directions[:, :-3:-1], np.float32)


def layout(vectors: NDArray[np.float32]) -> Iterator[Places]:
    """Yield the places, (n, 2) float32, after each of STEPS steps; the last are the result.

    `vectors` is (n, dim) float32. A step of 2,000 takes about 15 ms.
    """
    start = principal(vectors)
    count = len(vectors)
    if count < FEWEST:
        yield start
        return
    first, second, affinity = _neighbours(vectors)
    # so small that the first steps are free to turn it over
    places = np.asarray(start * (1e-2 / max(float(start[:, 0].std()), 1e-12)), np.float32)
    velocity, gains = np.zeros_like(places), np.ones_like(places)
    rate = max(10.0, count / TOGETHER)
    for step in range(STEPS):
        strength = TOGETHER if step < TOGETHER_STEPS else 1.0
        force = strength * _attraction(places, first, second, affinity) - _repulsion(places)
        # a place that goes to and fro slows down, one that keeps its way speeds up (Jacobs 1988, as in the paper)
        gains = np.where(force * velocity > 0, gains + 0.2, gains * 0.8).clip(min=0.01)
        velocity = (0.5 if step < TOGETHER_STEPS else 0.8) * velocity + rate * 4 * gains * force
        places = np.asarray(places + velocity - (places + velocity).mean(axis=0), np.float32)
        yield places


def _neighbours(vectors: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Return pairs of near vectors, and how much each attracts the other: over all pairs, both ways, 1."""
    count = len(vectors)
    k = min(count - 1, int(3 * PERPLEXITY))
    nearest = np.empty((count, k), np.int64)
    squared = np.empty((count, k), np.float32)
    for start in range(0, count, ROWS):
        rows = np.arange(start, min(start + ROWS, count))
        similarities = vectors[rows] @ vectors.T
        similarities[rows - start, rows] = -np.inf
        nearest[rows] = np.argpartition(-similarities, k - 1, axis=1)[:, :k]
        squared[rows] = 2 - 2 * np.take_along_axis(similarities, nearest[rows], axis=1)
    return np.repeat(np.arange(count), k), nearest.ravel(), _affinities(squared).ravel() / np.float32(2 * count)


def _affinities(squared: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (n, k) shares, each row's sum 1, as wide as gives the perplexity that is wanted; by bisection."""
    wanted = np.log(min(PERPLEXITY, squared.shape[1] / 3))
    squared = squared - squared.min(axis=1, keepdims=True)
    low, high = np.zeros((len(squared), 1)), np.full((len(squared), 1), np.inf)
    precision = np.ones((len(squared), 1))
    for _ in range(50):
        weights = np.exp(-squared * precision)
        total = weights.sum(axis=1, keepdims=True)
        entropy = np.log(total) + precision * (squared * weights).sum(axis=1, keepdims=True) / total
        wide = entropy > wanted
        low, high = np.where(wide, precision, low), np.where(wide, high, precision)
        precision = np.where(np.isinf(high), precision * 2, (low + high) / 2)
    return np.asarray(weights / total, np.float32)


def _attraction(
    places: Places, first: NDArray[np.int64], second: NDArray[np.int64], affinity: NDArray[np.float32]
) -> Places:
    """Return (n, 2), what draws each place towards its neighbours."""
    apart = places[second] - places[first]
    pull = affinity[:, np.newaxis] * apart / (1 + np.square(apart).sum(axis=1, keepdims=True))
    count = len(places)
    columns = [np.bincount(first, along, count) - np.bincount(second, along, count) for along in pull.T]
    return np.asarray(np.stack(columns, axis=1), np.float32)


def _repulsion(places: Places) -> Places:
    """Return (n, 2), what draws each place towards all others if it were not the other way round."""
    lengths = np.square(places).sum(axis=1)
    pushed, total = np.empty_like(places), 0.0
    for start in range(0, len(places), ROWS):
        rows = slice(start, start + ROWS)
        # Student's t with one degree of freedom, of all pairs
        kernel = places[rows] @ (-2 * places.T)
        kernel += lengths
        kernel += lengths[rows, np.newaxis] + 1
        # differences of large numbers may come out below what they are
        np.reciprocal(np.maximum(kernel, 1), out=kernel)
        total += float(kernel.sum())
        np.square(kernel, out=kernel)
        pushed[rows] = kernel @ places - places[rows] * kernel.sum(axis=1, keepdims=True)
    # a place does not repel itself
    return np.asarray(pushed / max(total - len(places), 1e-12), np.float32)
