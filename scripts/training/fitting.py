"""One fit: the same to its caller as a training, but of a single epoch, after which there is nothing left to learn."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional
from tqdm import tqdm

import _library  # noqa: F401 - before cbmir
from cbmir.fitted import Fitted
from cbmir.network import Architecture, Network
from evaluation.options import SHIPPED
from sources.tables import pictures
from training.discriminant import balanced, fit
from training.initial_weights import start_from
from training.layers import KINDS, Layers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cbmir.fitted import Statistics
    from sources.tables import Row
    from training.recipe import Recipe

FEWEST_CLASSES = 3
"""Of two classes the discriminant has one direction: all of a class would look the same."""

BATCH = 32

LAYERS = "layers"
"""Folder beside the pictures where what the layers say is kept."""


class Fitter:
    """A discriminant on what the layers of trunks say about pictures, every class and within it every case alike.

    See training.trainer.Trainer for what its parts are.
    """

    def __init__(self, recipe: Recipe, rows: Sequence[Row], *, seed: int = 0, **options: Any) -> None:
        """Take the rows, and fill the trunks from `init`, or from the shipped model.

        Options: cache (folder of pictures), init (see initial_weights). Raises ValueError if rows are of two classes
        or the recipe is of more than one epoch.
        """
        if recipe.schedule.epochs != 1:
            raise ValueError(f"a fit is one epoch: write its stages as {recipe.network.side}:1")
        self.rows, self.seed, self.epoch = rows, seed, 0
        self.labels = tuple(sorted({row.label for row in rows}))
        if len(self.labels) < FEWEST_CLASSES:
            raise ValueError(f"a fit needs three classes or more, here are {len(self.labels)}: take another recipe")
        if options.get("pairs"):
            raise ValueError("a fit learns nothing from readers' verdicts: leave out --feedback or take another recipe")
        self.cache: Path | None = options.get("cache")
        self.averaged = fitted(recipe, self.labels)
        network = replace(recipe.network, dim=self.averaged.architecture.dim)
        self.recipe = replace(recipe, network=network)
        for name, one in zip(network.trunks, self.averaged.trunks, strict=True):
            _fill(one, name, options.get("init") or str(SHIPPED), network.stride)  # type: ignore[arg-type]
        self.layers = Layers(self.averaged, self.cache and self.cache.parent / LAYERS)

    def run_epoch(self) -> dict[str, float]:
        """Fit; return the share of pictures whose class is then told right."""
        labels = [row.label for row in self.rows]
        weights = balanced(labels, [row.group for row in self.rows])
        told = self._told(self.rows)
        ends = np.cumsum([one.length for one in self.layers.trunks])[:-1]
        for part, found in zip(np.split(told, ends, axis=2), self.averaged.maps, strict=True):
            weight, bias = fit(part, labels, weights)
            found.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
        embeddings = self._embeddings(told)
        targets = torch.tensor([self.labels.index(label) for label in labels])
        means = torch.stack([embeddings[targets == place].mean(dim=0) for place in range(len(self.labels))])
        self.averaged.classifier.weight.data = functional.normalize(means, dim=1)
        self.epoch = 1
        return {"accuracy": float((self._logits(embeddings).argmax(1) == targets).float().mean())}

    def embedded(self, rows: Sequence[Row]) -> tuple[Any, Any]:
        """Return (n, dim) float32 embeddings and (n, classes) float32 logits of pictures."""
        embeddings = self._embeddings(self._told(rows))
        return embeddings.numpy(), self._logits(embeddings).numpy()

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds of a fit."""
        return {
            "averaged": self.averaged.state_dict(),
            "epoch": self.epoch,
            "step": 0,
            "seed": self.seed,
            "labels": list(self.labels),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a fit that is done. Raises ValueError if it belongs to other classes."""
        if tuple(state["labels"]) != self.labels:
            raise ValueError("the checkpoint was fitted to other classes")
        self.averaged.load_state_dict(state["averaged"])
        self.epoch = state["epoch"]

    def _told(self, rows: Sequence[Row]) -> NDArray[np.float16]:
        images = pictures(rows, self.averaged.architecture.side, self.cache)
        starts = tqdm(range(0, len(images), BATCH), desc="layers", unit="batch", leave=False, disable=None)
        length = sum(one.length for one in self.layers.trunks)
        told = np.empty((len(images), KINDS, length), np.float16)
        for start in starts:
            told[start : start + BATCH] = self.layers(images[start : start + BATCH])
        return told

    @torch.inference_mode()
    def _embeddings(self, told: NDArray[np.float16]) -> torch.Tensor:
        means = (told[start : start + BATCH].mean(axis=1, dtype=np.float32) for start in range(0, len(told), BATCH))
        return torch.cat([self.averaged.embedding(torch.from_numpy(some)) for some in means])

    @torch.inference_mode()
    def _logits(self, embeddings: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.averaged.classifier(embeddings)
        return logits


def fitted(recipe: Recipe, labels: tuple[str, ...]) -> Fitted:
    """Return a new network as the recipe wants it: for each trunk one direction fewer than there are classes."""
    dim = len(recipe.network.trunks) * (len(labels) - 1)
    return Fitted(replace(recipe.network, dim=dim).architecture(labels)).eval()


def _fill(statistics: Statistics, trunk: str, source: str, stride: int) -> None:
    whole = Network(Architecture(("", " "), stride=stride, guided=False, trunk=trunk))
    start_from(whole, source)
    weights = whole.trunk.state_dict()
    statistics.trunk.load_state_dict({name: weights[name] for name in statistics.trunk.state_dict()})
