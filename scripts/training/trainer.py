"""One training: network, averaged weights, optimiser, epochs, and a state that can be saved and taken up exactly."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pytorch_metric_learning import losses
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

import _library  # noqa: F401 - before cbmir
from cbmir.fitted import Fitted
from cbmir.network import Network, Outputs, built
from sources.tables import pictures
from training.augmentation import augment
from training.baselines import Qayyum
from training.initial_weights import start_from
from training.optimisation import average, freeze, learning_rate, optimiser, set_rate
from training.pairs import Pairs, pair_loss
from training.sampling import batches

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from sources.tables import Row
    from training.recipe import Recipe

METRIC_LOSSES = {
    # Wang et al., CVPR 2019; the paper's parameters
    "multi_similarity": lambda: losses.MultiSimilarityLoss(alpha=2, beta=50, base=0.5),
    # Khosla et al., NeurIPS 2020
    "supcon": lambda: losses.SupConLoss(temperature=0.1),
    # Hadsell et al., CVPR 2006
    "contrastive": lambda: losses.ContrastiveLoss(pos_margin=0, neg_margin=1),
}

LESION_POSITIVE_WEIGHT = 3.0
"""Few cells hold a lesion: missing one costs so much more than seeing one too many."""

NO_BOX = torch.tensor([-1.0, -1.0, 0.0, 0.0])

LARGEST_GRADIENT = 5.0
"""Gradients are scaled down to this norm: a rare batch may not undo what was learnt."""


class Trainer:
    """A training that runs epoch by epoch.

    Randomness depends on the seed and the epoch alone, so a training taken up after any epoch goes on as if it had
    never stopped.
    """

    def __init__(self, recipe: Recipe, rows: Sequence[Row], *, seed: int = 0, **options: Any) -> None:
        """Begin a training on these rows.

        Options: device, precision ("bf16" or "fp32"), cache (folder of pictures), init (see initial_weights), pairs
        (what readers said of hits).
        """
        self.recipe, self.rows, self.seed = recipe, rows, seed
        self.device = torch.device(options.get("device", "cpu"))
        self.half_precision = options.get("precision", "bf16") == "bf16"
        self.cache: Path | None = options.get("cache")
        self.labels = tuple(sorted({row.label for row in rows}))
        torch.manual_seed(seed)
        network = build(recipe, self.labels)
        if options.get("init"):
            if not isinstance(network, Network):
                raise ValueError(f"{recipe.network.name} has no trunk to be filled")
            start_from(network, options["init"])
        self.network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = deepcopy(self.network).requires_grad_(requires_grad=False)
        freeze(self.network, recipe.schedule.frozen)
        self.optimiser = optimiser(self.network, recipe.schedule.weight_decay, recipe.schedule.trunk_pace)
        self.metric_loss = METRIC_LOSSES[recipe.loss.metric]()
        self.epoch = self.step = 0
        self.targets = torch.tensor([self.labels.index(row.label) for row in rows])
        self.boxes = torch.stack([torch.tensor(row.box) if row.box else NO_BOX for row in rows])
        self._pictures: tuple[int, Tensor] = (0, torch.empty(0))
        self._pairs = Pairs(options["pairs"], self.cache) if options.get("pairs") else None

    def run_epoch(self) -> dict[str, float]:
        """Train for one epoch; return the mean of each loss, the accuracy on the batches and the learning rate."""
        schedule = self.recipe.schedule
        side = schedule.side(self.epoch)
        # Python's and torch's generators both start from (seed, epoch) alone
        numbers = np.random.default_rng((self.seed, self.epoch))
        random = torch.Generator().manual_seed(int(numbers.integers(2**62)))
        torch.manual_seed(int(numbers.integers(2**62)))
        self.network.train()
        freeze(self.network, schedule.frozen)
        plan = list(batches(self.rows, min(schedule.batch, len(self.rows)), numbers))
        totals: dict[str, float] = {}
        for place, chosen in enumerate(
            tqdm(plan, desc=f"epoch {self.epoch + 1} at {side}", unit="batch", leave=False, disable=None)
        ):
            rate = learning_rate(schedule, self.epoch + place / len(plan))
            for key, value in self._train_on(torch.from_numpy(chosen), side, rate, random).items():
                totals[key] = totals.get(key, 0.0) + value / len(plan)
        self.epoch += 1
        return {**totals, "learning_rate": rate}

    def _train_on(self, chosen: Tensor, side: int, rate: float, random: torch.Generator) -> dict[str, float]:
        """Take one step on the rows with these indices."""
        images, boxes, signs = self._images(side)[chosen], self.boxes[chosen], torch.empty(0)
        if self._pairs is not None:
            # in one batch with the others, so that they share its statistics
            more, signs = self._pairs.draw(side, random)
            images, boxes = torch.cat([images, more]), torch.cat([boxes, NO_BOX.expand(len(more), -1)])
        images = images.float().unsqueeze(1) / 255
        images, masks = augment(images, boxes, self.recipe.network.stride, self.recipe.augmentation, random)
        images = images.to(self.device, memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half_precision):
            both = self.network.outputs(images)
        count = len(chosen)
        outputs = first(both, count)
        targets = self.targets[chosen].to(self.device)
        masks, boxed = masks[:count].to(self.device), self.boxes[chosen, 2].to(self.device) > 0
        parts = self._losses(outputs, targets, masks, boxed)
        if len(signs):
            parts["pairs"] = self.recipe.loss.pair_weight * pair_loss(both.embedding[count:], signs.to(self.device))
        loss = torch.stack(list(parts.values())).sum()
        set_rate(self.optimiser, rate)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), LARGEST_GRADIENT)
        self.optimiser.step()
        self.step += 1
        average(self.averaged, self.network, self.recipe.schedule.ema, self.step)
        correct = (outputs.logits.argmax(1) == targets).float().mean()
        return {name: value.item() for name, value in {**parts, "accuracy": correct}.items()}

    def _losses(self, outputs: Outputs, targets: Tensor, masks: Tensor, boxed: Tensor) -> dict[str, Tensor]:
        """Return the weighted parts of the loss of one batch; `boxed` says whose lesion box is known."""
        choice = self.recipe.loss
        parts = {"class": functional.cross_entropy(outputs.logits, targets, label_smoothing=choice.label_smoothing)}
        if choice.metric_weight:
            parts["metric"] = choice.metric_weight * self.metric_loss(outputs.embedding, targets)
        if outputs.lesion is not None and boxed.any():
            wanted = functional.one_hot(targets, len(self.labels))[:, :, None, None] * masks.unsqueeze(1)
            parts["lesion"] = choice.lesion_weight * functional.binary_cross_entropy_with_logits(
                outputs.lesion[boxed],
                wanted[boxed],
                pos_weight=torch.full((1, 1, 1), LESION_POSITIVE_WEIGHT, device=masks.device),
            )
        return parts

    def embedded(self, rows: Sequence[Row]) -> tuple[Any, Any]:
        """Return embeddings and logits (see `embed`) of pictures by the averaged weights, at the size learnt last."""
        side = self.recipe.schedule.side(max(0, self.epoch - 1))
        return embed(self.averaged, pictures(rows, side, self.cache), self.device)

    def _images(self, side: int) -> Tensor:
        """Return (n, side, side) uint8 pictures of all rows, read once for each side."""
        if self._pictures[0] != side:
            self._pictures = side, torch.from_numpy(pictures(self.rows, side, self.cache))
        return self._pictures[1]

    def state(self) -> dict[str, Any]:
        """Return what a training goes on from: weights, averaged weights, optimiser, counters, labels."""
        return {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "seed": self.seed,
            "labels": list(self.labels),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state. Raises ValueError if it belongs to other classes or another seed."""
        if tuple(state["labels"]) != self.labels or state["seed"] != self.seed:
            raise ValueError("the checkpoint was trained on other classes or from another seed")
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch, self.step = state["epoch"], state["step"]


def first(outputs: Outputs, count: int) -> Outputs:
    """Return what is said about the first slices of a batch."""
    lesion = None if outputs.lesion is None else outputs.lesion[:count]
    return Outputs(outputs.embedding[:count], outputs.features[:count], outputs.logits[:count], lesion)


def build(recipe: Recipe, labels: tuple[str, ...]) -> Network | Fitted | Qayyum:
    """Return a new network as the recipe wants it."""
    chosen = recipe.network
    return Qayyum(labels, chosen.dim) if chosen.name == "qayyum2017" else built(chosen.architecture(labels))


@torch.inference_mode()
def embed(
    network: Network | Fitted | Qayyum, images: NDArray[np.uint8], device: torch.device, batch: int = 64
) -> tuple[Any, Any]:
    """Return (n, dim) float32 embeddings and (n, classes) float32 logits of (n, side, side) uint8 pictures."""
    network.eval()
    embeddings, logits = [], []
    for start in range(0, len(images), batch):
        part = torch.from_numpy(images[start : start + batch]).unsqueeze(1).float().div(255).to(device)
        # a linear map of thousands of numbers needs them as they are
        with torch.autocast(device.type, torch.bfloat16, enabled=not isinstance(network, Fitted)):
            outputs = network.outputs(part.contiguous(memory_format=torch.channels_last))
        embeddings.append(outputs.embedding.float().cpu().numpy())
        logits.append(outputs.logits.float().cpu().numpy())
    return np.concatenate(embeddings), np.concatenate(logits)
