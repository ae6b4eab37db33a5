"""Checkpoints of trainings as something that can be measured: the averaged network, in torch at full precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import _library  # noqa: F401 - before cbmir
from training.baselines import Qayyum
from training.recipe import RecipeError, of_sections
from training.trainer import build

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cbmir.network import Network


@dataclass(frozen=True, slots=True)
class Measurable:
    """A network of a checkpoint in evaluation mode; `side` of its pictures in pixels."""

    network: Network | Qayyum
    labels: tuple[str, ...]
    side: int

    @property
    def euclidean(self) -> bool:
        """Whether its vectors are compared by Euclidean distance, as its authors did."""
        return isinstance(self.network, Qayyum)

    @torch.inference_mode()
    def embed(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (n, dim) float32 of (n, 1, side, side) float32 in 0..1."""
        images = torch.from_numpy(batch)
        network = self.network
        vectors = network.feature(images) if isinstance(network, Qayyum) else network.outputs(images).embedding
        return np.asarray(vectors.numpy())

    @torch.inference_mode()
    def logits(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (n, classes) float32 of (n, dim) vectors."""
        network = self.network
        last = network.rest if isinstance(network, Qayyum) else network.classifier
        return np.asarray(last(torch.from_numpy(vectors)).numpy())


def finished(file: Path) -> bool:
    """Return whether the training of a checkpoint of scripts/train.py has come to its end. Raises KeyError."""
    # mapped: of its hundreds of megabytes only the counters are read
    state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    wanted: int = sum(epochs for _, epochs in state["recipe"]["schedule"]["stages"])
    return int(state["epoch"]) >= wanted


def measurable(file: Path, threads: int) -> Measurable:
    """Return the network of a checkpoint of scripts/train.py.

    Raises
    ------
    ValueError
        The file is no such checkpoint.

    """
    torch.set_num_threads(threads)
    try:
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        recipe = of_sections({name: state["recipe"][name] for name in ("network", "schedule")})
        labels = tuple(state["labels"])
        network = build(recipe, labels)
        network.load_state_dict(state["averaged"])
    except (RecipeError, LookupError, TypeError, RuntimeError, ValueError) as error:
        raise ValueError(f"{file} is no checkpoint of scripts/train.py: {error}") from error
    side = recipe.schedule.side(recipe.schedule.epochs) if isinstance(network, Qayyum) else network.architecture.side
    return Measurable(network.eval(), labels, side)
