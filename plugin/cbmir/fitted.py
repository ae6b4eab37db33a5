"""A network that was fitted, not trained: what the layers of trunks say about a slice, and a linear map of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from cbmir.network import GREY_MEAN, GREY_SPREAD, CosineClassifier, Outputs
from cbmir.trunks import trunk_of

if TYPE_CHECKING:
    from cbmir.network import Architecture

PARTS = 3
"""Rows and columns of the coarse map of the last layer: where in the head something lies."""


class Statistics(nn.Module):
    """What the earlier layers of a trunk say: the later ones are made for what it learnt itself."""

    def __init__(self, trunk: str, stride: int, side: int) -> None:
        super().__init__()
        self.trunk = trunk_of(trunk, stride)
        self.trunk.shorten()
        self.eval()
        with torch.inference_mode():
            self.length: int = self(torch.zeros(1, 1, side, side))[0].shape[1]
            """Numbers about each picture."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return (n, length) and the last feature map of (n, 1, side, side) float32 in 0..1.

        The numbers: mean, standard deviation and maximum of each channel of each group of layers, then the mean of each
        channel of the last one in PARTS x PARTS parts of the picture.
        """
        said: list[Tensor] = []
        for features in self.trunk.maps((image - GREY_MEAN) / GREY_SPREAD):
            last = features.float()
            mean = last.mean((2, 3), keepdim=True)
            others = max(last.shape[2] * last.shape[3] - 1, 1)  # of a single place there are none, and no spread
            spread = ((last - mean).square().sum((2, 3)) / others).sqrt()
            said += [mean.flatten(1), spread, last.amax((2, 3))]
        rows, columns = (_bounds(size) for size in last.shape[2:])
        parts = [last[:, :, top:bottom, left:right].mean((2, 3)) for top, bottom in rows for left, right in columns]
        return torch.cat([*said, torch.stack(parts, dim=2).flatten(1)], dim=1), last


def _bounds(size: int) -> list[tuple[int, int]]:
    """Return where each of PARTS parts of a side begins and ends; they overlap where PARTS is no divisor of it."""
    return [(part * size // PARTS, -(-(part + 1) * size // PARTS)) for part in range(PARTS)]


class Fitted(nn.Module):
    """For each trunk a linear map, side by side, so that their similarities are averaged, and a classifier.

    A slice and its mirror image are looked at, and what is said about both is averaged.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        names = architecture.trunk.split("+")
        self.trunks = nn.ModuleList(Statistics(name, architecture.stride, architecture.side) for name in names)
        self.maps = nn.ModuleList(nn.Linear(one.length, architecture.dim // len(names)) for one in self.trunks)  # type: ignore[arg-type]
        self.classifier = CosineClassifier(architecture.dim, len(architecture.labels))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return embedding, features, logits (see cbmir.network.Outputs) of (n, 1, side, side) float32 in 0..1."""
        outputs = self.outputs(image)
        return outputs.embedding, outputs.features, outputs.logits

    def outputs(self, image: Tensor) -> Outputs:
        """Return the same with names; the features are those of the first trunk."""
        count = image.shape[0]
        both = torch.cat([image, image.flip(3)])
        told, features = zip(*(trunk(both) for trunk in self.trunks), strict=True)
        wide = torch.cat(told, dim=1)
        embedding = self.embedding(0.5 * (wide[:count] + wide[count:]))
        return Outputs(embedding, features[0][:count], self.classifier(embedding), None)

    def embedding(self, told: Tensor) -> Tensor:
        """Return (n, dim), rows of unit length, of (n, sum of the trunks' lengths), means of what they say."""
        lengths = [one.length for one in self.trunks]
        parts = torch.split(told, lengths, dim=1)  # type: ignore[arg-type]
        mapped = [functional.normalize(one(part), dim=1) for one, part in zip(self.maps, parts, strict=True)]
        side_by_side: Tensor = torch.cat(mapped, dim=1) / len(mapped) ** 0.5
        return side_by_side
