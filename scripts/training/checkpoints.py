"""Checkpoints of trainings as something that can be measured: the averaged network, in torch at full precision."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

import _library  # noqa: F401 - before cbmir
from cbmir.fitted import Fitted
from training.baselines import Qayyum
from training.layers import Layers
from training.recipe import RecipeError, of_sections
from training.trainer import build

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cbmir.network import Network


@dataclass(frozen=True, slots=True)
class Measurable:
    """A network of a checkpoint in evaluation mode; `side` of its pictures in pixels.

    `mirrored`: each picture's embedding is averaged with that of its mirror image. `layers`: of a fitted network.
    """

    network: Network | Fitted | Qayyum
    labels: tuple[str, ...]
    side: int
    mirrored: bool = False
    layers: Layers | None = None

    @property
    def dim(self) -> int:
        """Length of its vectors."""
        network = self.network
        return network.first.out_features if isinstance(network, Qayyum) else network.architecture.dim

    @property
    def euclidean(self) -> bool:
        """Whether its vectors are compared by Euclidean distance, as its authors did."""
        return isinstance(self.network, Qayyum)

    @torch.inference_mode()
    def embed(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (n, dim) float32 of (n, 1, side, side) float32 in 0..1."""
        images = torch.from_numpy(batch)
        vectors = self._vectors(images)
        if self.mirrored:
            vectors = functional.normalize(vectors + self._vectors(images.flip(3)), dim=1)
        return np.asarray(vectors.numpy())

    def _vectors(self, images: Tensor) -> Tensor:
        network = self.network
        if isinstance(network, Fitted) and self.layers is not None:
            told = self.layers((images[:, 0] * 255).round().byte().numpy())
            return network.embedding(torch.from_numpy(told.mean(axis=1, dtype=np.float32)))
        return network.feature(images) if isinstance(network, Qayyum) else network.outputs(images).embedding

    @torch.inference_mode()
    def probabilities(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (n, classes) float32 of (n, dim) vectors."""
        network = self.network
        last = network.rest if isinstance(network, Qayyum) else network.classifier
        return np.asarray(last(torch.from_numpy(vectors)).softmax(dim=1).numpy())


class Together:
    """Several networks as one: embeddings side by side, so that similarities are averaged, as are probabilities."""

    def __init__(self, members: Sequence[Measurable]) -> None:
        """Take the networks. Raises ValueError where they cannot be measured together."""
        if len({one.labels for one in members}) > 1:
            raise ValueError("networks that are measured together must have learnt the same classes")
        if len(members) > 1 and any(one.euclidean for one in members):
            raise ValueError("a network that compares by distance can only be measured alone")
        self.members, self.labels = members, members[0].labels
        self.side = max(one.side for one in members)
        self.euclidean = members[0].euclidean
        self._ends = list(accumulate(one.dim for one in members))

    def embed(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (n, sum of dims) float32 of (n, 1, side, side) float32 in 0..1, made smaller for smaller networks."""
        parts = [one.embed(_resized(batch, one.side)) for one in self.members]
        return np.asarray(np.concatenate(parts, axis=1) / len(parts) ** 0.5, np.float32)

    def probabilities(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (n, classes) float32 of vectors that `embed` returned."""
        parts = np.split(vectors * len(self.members) ** 0.5, self._ends[:-1], axis=1)
        told = [one.probabilities(np.ascontiguousarray(part)) for one, part in zip(self.members, parts, strict=True)]
        return np.asarray(np.mean(told, axis=0), np.float32)


def _resized(batch: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    if batch.shape[-1] == side:
        return batch
    images = functional.interpolate(torch.from_numpy(batch), size=(side, side), mode="bilinear", antialias=True)
    return np.asarray(images.numpy())


def finished(file: Path) -> bool:
    """Return whether the training of a checkpoint of scripts/train.py has come to its end. Raises KeyError."""
    # mapped: of its hundreds of megabytes only the counters are read
    state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    wanted: int = sum(epochs for _, epochs in state["recipe"]["schedule"]["stages"])
    return int(state["epoch"]) >= wanted


def together(files: Sequence[Path], threads: int, *, mirrored: bool = False, cache: Path | None = None) -> Together:
    """Return the networks of checkpoints of scripts/train.py; what the layers of fitted ones say is kept in `cache`.

    Raises
    ------
    ValueError
        A file is no such checkpoint, or the networks cannot be measured together.

    """
    torch.set_num_threads(threads)
    return Together([_measurable(file, cache, mirrored=mirrored) for file in files])


def _measurable(file: Path, cache: Path | None, *, mirrored: bool) -> Measurable:
    try:
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        recipe = of_sections({name: state["recipe"][name] for name in ("network", "schedule")})
        labels = tuple(state["labels"])
        network = build(recipe, labels)
        network.load_state_dict(state["averaged"])
    except (RecipeError, LookupError, TypeError, RuntimeError, ValueError) as error:
        raise ValueError(f"{file} is no checkpoint of scripts/train.py: {error}") from error
    layers = Layers(network, cache) if isinstance(network, Fitted) else None
    return Measurable(network.eval(), labels, recipe.network.side, mirrored, layers)
