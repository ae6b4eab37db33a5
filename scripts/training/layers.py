"""What the layers of a network that learnt on ImageNet, and is left so, say about a picture."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

import _library  # noqa: F401 - before cbmir
from cbmir.network import GREY_MEAN, GREY_SPREAD, Architecture, Network
from training.initial_weights import LITE, start_from

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

NETWORKS = tuple(LITE)
"""The trunks whose layers can be had."""

SIDE = 224
"""Of the pictures, in pixels: what the weights were learnt on, or near it."""

CELLS = 3
"""Side of the coarse map of the last layer: where in the head something lies."""

KINDS = 2
"""A picture, and its mirror image."""


class Layers:
    """The first six groups of layers of an EfficientNet-Lite: later ones are made for photographs."""

    def __init__(self, trunk: str, cache: Path | None = None) -> None:
        """Fill a trunk; what was computed is kept in the folder `cache`. Raises ValueError without its weights."""
        self.name, self.cache = trunk, cache
        network = Network(Architecture(("", " "), side=SIDE, stride=32, guided=False, trunk=trunk))
        start_from(network, "imagenet")
        self.ends: Sequence[int] = network.trunk.ends[:-1]
        self.layers = list(network.eval().trunk.children())[: self.ends[-1] + 1]
        self.length = self._computed(np.zeros((1, 1, SIDE, SIDE), np.uint8)).shape[2]
        """Numbers about each look at a picture."""

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float16]:
        """Return (n, 2, d): of (n, 1, SIDE, SIDE) float32 in 0..1, and of their mirror images.

        They are rounded to 256 greys before. d: mean, standard deviation and maximum of each channel of each group of
        layers, then the mean of each channel of the last one in CELLS x CELLS parts of the picture.
        """
        greys = np.rint(batch * 255).astype(np.uint8)
        if self.cache is None:
            return self._computed(greys)
        files = [self.cache / self.name / f"{hashlib.sha256(one.tobytes()).hexdigest()[:32]}.npy" for one in greys]
        missing = [place for place, file in enumerate(files) if not file.exists()]
        if missing:
            for place, value in zip(missing, self._computed(greys[missing]), strict=True):
                keep(files[place], value)
        return np.stack([np.load(file) for file in files])

    @torch.inference_mode()
    def _computed(self, greys: NDArray[np.uint8]) -> NDArray[np.float16]:
        images = torch.from_numpy(greys).float() / 255
        return np.stack([self._described(images), self._described(images.flip(3))], axis=1)

    def _described(self, images: Tensor) -> NDArray[np.float16]:
        x = ((images - GREY_MEAN) / GREY_SPREAD).to(memory_format=torch.channels_last)
        parts = []
        with torch.autocast("cpu", torch.bfloat16):
            for place, layer in enumerate(self.layers):
                x = layer(x)
                if place in self.ends:
                    wide = x.float()
                    parts += [wide.mean((2, 3)), wide.std((2, 3)), wide.amax((2, 3))]
        parts.append(functional.adaptive_avg_pool2d(x.float(), CELLS).flatten(1))
        return np.asarray(torch.cat(parts, dim=1).half().numpy())


def keep(file: Path, value: NDArray[np.float16]) -> None:
    """Write an array that is whole or is not there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part.npy")
    np.save(part, value)
    part.replace(file)
