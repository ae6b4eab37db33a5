"""Linear discriminant analysis with a little shrinkage: directions that tell classes apart. Pure; numpy only."""

from __future__ import annotations

from collections import Counter
from functools import reduce
from operator import iadd
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

SHRINKAGE = 0.02
"""Share of the same variance in every direction that is mixed into what classes vary by."""

PORTION = 1000
"""Pictures worked on at once: of all, a copy in full precision may have no room in memory."""


def balanced(labels: Sequence[str], groups: Sequence[str]) -> Floats:
    """Return (n,) weights: every class weighs the same, and within it every group."""
    both = list(zip(labels, groups, strict=True))
    slices = Counter(both)
    cases = Counter(label for label, _ in slices)
    return np.array([1 / (slices[pair] * cases[pair[0]] * len(cases)) for pair in both], np.float32)


def fit(features: NDArray[np.floating], labels: Sequence[str], weights: Floats) -> tuple[Floats, Floats]:
    """Return weight (classes - 1, d) and bias (classes - 1,) of the linear map that tells the classes apart.

    Within a class, what comes out varies alike in every direction.

    Parameters
    ----------
    features
        (n, kinds, d): n pictures, each looked at in several ways, all of which count.
    labels, weights
        (n,) class of each picture, and what it counts.

    """
    count, kinds, _ = features.shape
    mean, spread = _scale(features[:, 0])
    _, of = np.unique(np.array(labels), return_inverse=True)
    shares = np.asarray(weights / (kinds * weights.sum()), np.float32)
    members = shares * (of == np.arange(of.max() + 1)[:, np.newaxis])

    def scaled() -> Iterator[tuple[slice, Floats]]:
        for some in _portions(count):
            for kind in range(kinds):
                yield some, (features[some, kind] - mean) / spread

    totals = sum(members[:, some] @ rows for some, rows in scaled())
    means = totals / (kinds * members.sum(axis=1, keepdims=True))
    apart = ((rows - means[of[some]]) * np.sqrt(shares[some, np.newaxis]) for some, rows in scaled())
    middle = means.mean(axis=0)
    sought = _unscattered(apart, kinds * count, (means - middle).T)
    # the means, less their mean, span one direction fewer than there are classes; the others are turned and scaled so
    # that what comes out varies alike
    strengths, turn = np.linalg.eigh((means - middle) @ sought)
    projection = (sought @ turn[:, 1:]) / np.sqrt(np.maximum(strengths[1:], 1e-9 * strengths[-1]))
    weight = projection.T / spread
    bias = -(weight @ mean + middle @ projection)
    return np.asarray(weight, np.float32), np.asarray(bias, np.float32)


def _portions(count: int) -> list[slice]:
    return [slice(start, start + PORTION) for start in range(0, count, PORTION)]


def _scale(features: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Return (d,) mean and standard deviation, a little more than none, of (n, d)."""
    mean = features.mean(axis=0, dtype=np.float64).astype(np.float32)
    squares = sum(np.square(features[some] - mean).sum(axis=0) for some in _portions(len(features)))
    return mean, np.asarray(np.sqrt(squares / len(features)) + 1e-3, np.float32)


def _unscattered(portions: Iterable[Floats], count: int, means: Floats) -> NDArray[np.floating]:
    """Return (d, classes), S^-1 means, where S is the scatter of `count` rows of length d, with the shrinkage.

    Solved among features or among pictures, whichever are fewer (the matrix inversion lemma).
    """
    length = len(means)
    if length <= count:
        scatter = reduce(iadd, (some.T @ some for some in portions))
        alike = (1 - SHRINKAGE) * scatter.astype(np.float64)
        alike[np.diag_indices(length)] += SHRINKAGE * scatter.trace(dtype=np.float64) / length
        return np.asarray(np.linalg.solve(alike, means.astype(np.float64)))
    apart = np.concatenate(list(portions))
    alike = (apart @ apart.T).astype(np.float64)
    even = SHRINKAGE * float(alike.trace()) / length
    alike[np.diag_indices(count)] += even / (1 - SHRINKAGE)
    return np.asarray((means - apart.T @ np.linalg.solve(alike, apart @ means)) / even)
