"""Linear discriminant analysis with a little shrinkage: directions that tell classes apart. Pure; numpy only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

SHRINKAGE = 0.02
"""Share of the same variance in every direction that is mixed into what classes vary by."""


def balanced(labels: Sequence[str], groups: Sequence[str]) -> Floats:
    """Return (n,) weights: every class weighs the same, and within it every group."""
    both = list(zip(labels, groups, strict=True))
    slices = {pair: both.count(pair) for pair in set(both)}
    cases = {label: sum(1 for of, _ in slices if of == label) for label in set(labels)}
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
    values = np.asarray(features, np.float32)
    kinds = values.shape[1]
    mean, spread = values[:, 0].mean(axis=0), values[:, 0].std(axis=0) + 1e-3
    flat = (values.transpose(1, 0, 2).reshape(-1, values.shape[2]) - mean) / spread
    _, of = np.unique(np.tile(np.array(labels), kinds), return_inverse=True)
    shares = np.tile(weights, kinds)[:, np.newaxis] / (kinds * weights.sum())
    means = np.stack([(flat[of == one] * shares[of == one]).sum(axis=0) / shares[of == one].sum() for one in set(of)])
    flat -= means[of]
    flat *= np.sqrt(shares)
    middle = means.mean(axis=0)
    sought = _unscattered(flat, (means - middle).T)
    # the means, less their mean, span one direction fewer than there are classes; the others are turned and scaled so
    # that what comes out varies alike
    strengths, turn = np.linalg.eigh((means - middle) @ sought)
    projection = (sought @ turn[:, 1:]) / np.sqrt(np.maximum(strengths[1:], 1e-9 * strengths[-1]))
    weight = projection.T / spread
    bias = -(weight @ mean + middle @ projection)
    return np.asarray(weight, np.float32), np.asarray(bias, np.float32)


def _unscattered(apart: Floats, means: Floats) -> NDArray[np.floating]:
    """Return (d, classes), S^-1 means, where S is the scatter of the rows of `apart`, (n, d), with the shrinkage.

    Solved among features or among pictures, whichever are fewer (the matrix inversion lemma).
    """
    count, length = apart.shape
    even = SHRINKAGE * float(np.square(apart).sum(dtype=np.float64)) / length
    if length <= count:
        scatter = (1 - SHRINKAGE) * (apart.T @ apart).astype(np.float64)
        scatter[np.diag_indices(length)] += even
        return np.asarray(np.linalg.solve(scatter, means.astype(np.float64)))
    alike = (apart @ apart.T).astype(np.float64)
    alike[np.diag_indices(count)] += even / (1 - SHRINKAGE)
    return np.asarray((means - apart.T @ np.linalg.solve(alike, apart @ means)) / even)
