"""Which of the classes that the network was trained on an embedding is nearest to (Qayyum et al. 2017). numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a slice looks most like to the network.

    Attributes
    ----------
    label
        The likeliest class; None where the slice is far from all of them.
    probabilities
        Class → calibrated probability, given that it is one of them; the likeliest first.

    """

    label: str | None
    probabilities: dict[str, float]


@dataclass(frozen=True, slots=True)
class Classifier:
    """The network's last layer: one direction a class.

    Attributes
    ----------
    directions
        (classes, dim) float32, rows of unit length.
    scale
        What a cosine is multiplied by before the softmax: as trained, divided by the calibrated temperature.
    far_below
        Cosine to the nearest direction below which a slice counts as none of the classes.

    """

    labels: tuple[str, ...]
    directions: NDArray[np.float32]
    scale: float
    far_below: float

    def predict(self, vector: NDArray[np.float32]) -> Prediction:
        """Return the prediction for a (dim,) unit vector."""
        cosines = self.directions @ vector
        weights = np.exp(self.scale * (cosines - cosines.max()))
        shares = weights / weights.sum()
        order = np.argsort(-shares, kind="stable")
        near = bool(cosines.max() >= self.far_below)
        return Prediction(
            self.labels[order[0]] if near else None, {self.labels[i]: float(shares[i]) for i in order.tolist()}
        )

    def classes(self, vectors: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the number of the nearest class of each of (n, dim) unit vectors; -1 where it is far from all."""
        cosines = vectors @ self.directions.T
        return np.where(cosines.max(axis=1) >= self.far_below, cosines.argmax(axis=1), -1)
