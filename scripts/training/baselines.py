"""Networks of published methods that the plugin does not run: they are trained and measured, never exported."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

import _library  # noqa: F401 - before cbmir
from cbmir.network import GREY_MEAN, GREY_SPREAD, Outputs

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTHS = (1, 64, 192, 384, 256, 256)
KERNELS = (11, 5, 3, 3, 3)
POOLED_AFTER = (0, 1, 4)
"""AlexNet's convolutions, counted from 0 (Krizhevsky, arXiv 1404.5997)."""

CELLS = 6
"""Side of the map that the fully connected layers see, whatever the side of the picture."""


class Qayyum(nn.Module):
    """Five convolutions and three fully connected layers (Qayyum et al. 2017); the first of these gives the feature."""

    def __init__(self, labels: Sequence[str], dim: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for number, ((before, after), kernel) in enumerate(zip(pairwise(WIDTHS), KERNELS, strict=True)):
            stride = 4 if number == 0 else 1
            layers += [nn.Conv2d(before, after, kernel, stride, padding=kernel // 2), nn.ReLU()]
            if number in POOLED_AFTER:
                layers.append(nn.MaxPool2d(3, 2))
        self.convolutions = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(CELLS))
        self.first = nn.Linear(WIDTHS[-1] * CELLS * CELLS, dim)
        self.rest = nn.Sequential(nn.ReLU(), nn.Dropout(), nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, len(labels)))

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits only."""
        return self.outputs(image).logits

    def outputs(self, image: Tensor) -> Outputs:
        """Return feature, last map and logits of (n, 1, height, width) float32 in 0..1."""
        features = self._map(image)
        vector = self.first(torch.flatten(features, 1))
        return Outputs(functional.normalize(vector.float(), dim=1), features, self.rest(vector).float(), None)

    def feature(self, image: Tensor) -> Tensor:
        """Return what the method compares by Euclidean distance: (n, dim), of any length."""
        vector: Tensor = self.first(torch.flatten(self._map(image), 1))
        return vector

    def _map(self, image: Tensor) -> Tensor:
        features: Tensor = self.convolutions((image - GREY_MEAN) / GREY_SPREAD)
        return features
