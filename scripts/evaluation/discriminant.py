"""Linear discriminant analysis with a little shrinkage: directions that tell classes apart. Pure; numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

SHRINKAGE = 0.02
"""Share of the same variance in every direction that is mixed into what classes vary by."""


@dataclass(frozen=True, slots=True, eq=False)
class Discriminant:
    """How features become embeddings.

    Attributes
    ----------
    mean, spread
        (d,) of each feature.
    middle
        (d,) mean of the classes' means, of scaled features.
    projection
        (d, classes - 1): within a class, what comes out varies alike in every direction.

    """

    mean: Floats
    spread: Floats
    middle: Floats
    projection: Floats

    def __call__(self, features: NDArray[np.floating]) -> Floats:
        """Return (n, classes - 1) float32 unit rows of (n, kinds, d), several looks at each picture."""
        scaled = (np.asarray(features, np.float32).mean(axis=1) - self.mean) / self.spread - self.middle
        return unit(scaled @ self.projection)


def unit(rows: Floats) -> Floats:
    """Return the rows at unit length."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)


def balanced(labels: Sequence[str], groups: Sequence[str]) -> Floats:
    """Return (n,) weights: every class weighs the same, and within it every group."""
    both = list(zip(labels, groups, strict=True))
    slices = {pair: both.count(pair) for pair in set(both)}
    cases = {label: sum(1 for of, _ in slices if of == label) for label in set(labels)}
    return np.array([1 / (slices[pair] * cases[pair[0]] * len(cases)) for pair in both], np.float32)


def fit(features: NDArray[np.floating], labels: Sequence[str], weights: Floats) -> Discriminant:
    """Return what tells the classes apart.

    Parameters
    ----------
    features
        (n, kinds, d): n pictures, each looked at in several ways, all of which count.
    labels, weights
        (n,) class of each picture, and what it counts.

    """
    values = np.asarray(features, np.float32)
    kinds = values.shape[1]
    mean, spread = values[:, 0].mean(axis=0), values[:, 0].std(axis=0) + 1e-6
    flat = (values.transpose(1, 0, 2).reshape(-1, values.shape[2]) - mean) / spread
    _, of = np.unique(np.tile(np.array(labels), kinds), return_inverse=True)
    shares = np.tile(weights, kinds)[:, np.newaxis] / (kinds * weights.sum())
    means = np.stack([(flat[of == one] * shares[of == one]).sum(axis=0) / shares[of == one].sum() for one in set(of)])
    apart = (flat - means[of]) * np.sqrt(shares)
    within = apart.T @ apart
    variances, directions = np.linalg.eigh(within)
    even = SHRINKAGE * variances.mean()
    whitening = directions * ((1 - SHRINKAGE) * np.maximum(variances, 0) + even) ** -0.5
    middle = means.mean(axis=0)
    _, _, between = np.linalg.svd((means - middle) @ whitening, full_matrices=False)
    projection = whitening @ between[: len(means) - 1].T
    return Discriminant(mean, spread, middle, np.asarray(projection, np.float32))
