"""What turns logits into probabilities, and says when a slice is like none of the classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

import _library  # noqa: F401 - before cbmir
from sources.tables import pictures
from training.trainer import embed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cbmir.fitted import Fitted
    from cbmir.network import Network
    from sources.tables import Row

FAR_SHARE = 0.01
"""Share of the calibration pictures that may count as none of the classes."""


def temperature(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> float:
    """Return the T for which softmax(logits / T) is likeliest (Guo et al., ICML 2017): searched on a fine grid."""
    candidates = np.exp(np.linspace(np.log(0.1), np.log(10), 401))
    costs = []
    for candidate in candidates:
        scaled = logits / candidate
        scaled = scaled - scaled.max(axis=1, keepdims=True)
        costs.append((np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(targets)), targets]).mean())
    return float(candidates[int(np.argmin(costs))])


def calibrated(network: Network | Fitted, rows: Sequence[Row]) -> tuple[float, float]:
    """Return the temperature that fits these pictures, and the cosine below which little of them lies."""
    labels = network.architecture.labels
    _, logits = embed(network, pictures(rows, network.architecture.side), torch.device("cpu"))
    cosines = logits.max(axis=1) / network.classifier.log_scale.exp().item()
    targets = np.array([labels.index(row.label) for row in rows])
    return temperature(logits, targets), float(np.quantile(cosines, FAR_SHARE))
