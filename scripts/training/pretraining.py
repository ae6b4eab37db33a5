"""One self-supervised training of the trunk: SimCLR on pictures without labels, with a state that can be taken up."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pytorch_metric_learning.losses import NTXentLoss, SelfSupervisedLoss
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

import _library  # noqa: F401 - before cbmir
from cbmir.network import Architecture, Network
from sources.tables import pictures
from training.augmentation import Strength, augment
from training.optimisation import average, learning_rate, optimiser, set_rate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sources.tables import Row

VIEWS = Strength(
    rotate=25.0,
    scale=0.5,
    shift=0.25,
    shear=0.1,
    elastic=0.05,
    gamma=0.6,
    contrast=0.3,
    bias_field=0.5,
    noise=0.1,
    cutout=0.7,
)
"""How far two views of one picture may differ: further than in training, since nothing has to stay a certain class."""

PROJECTION = 128
"""Length of the vectors that are compared; thrown away afterwards, as in the paper."""

TEMPERATURE = 0.1


@dataclass(frozen=True, slots=True)
class Settings:
    """How long and how fast; `ema` is what the averaged weights keep at each step."""

    epochs: int = 12
    side: int = 80
    batch: int = 64
    learning_rate: float = 1e-3
    warm_up: int = 1
    weight_decay: float = 0.05
    ema: float = 0.98


class Contrast(nn.Module):
    """The trunk, pooled, and a projection of two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Network(Architecture(labels=("any",), guided=False))
        width = self.network.embedding.in_features
        self.projection = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, PROJECTION))

    def forward(self, image: Tensor) -> Tensor:
        """Return (n, 128) float32 rows of unit length for (n, 1, side, side) float32 in 0..1."""
        pooled = self.network.gem(self.network.features(image))
        return functional.normalize(self.projection(pooled).float(), dim=1)


class Pretrainer:
    """A pre-training that runs epoch by epoch; randomness depends on the seed and the epoch alone."""

    def __init__(
        self,
        settings: Settings,
        rows: Sequence[Row],
        *,
        seed: int = 0,
        device: str = "cpu",
        cache: Path | None = None,
    ) -> None:
        self.settings, self.seed, self.device = settings, seed, torch.device(device)
        torch.manual_seed(seed)
        self.model = Contrast().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = deepcopy(self.model.network).requires_grad_(requires_grad=False)
        self.optimiser = optimiser(self.model, settings.weight_decay)
        self.loss = SelfSupervisedLoss(NTXentLoss(temperature=TEMPERATURE))
        self.images = torch.from_numpy(pictures(rows, settings.side, cache))
        self.chances = _chances([row.group for row in rows])
        self.epoch = self.step = 0

    def run_epoch(self) -> dict[str, float]:
        """Show as many pairs as there are pictures; return the mean loss and the last learning rate."""
        numbers = np.random.default_rng((self.seed, self.epoch))
        random = torch.Generator().manual_seed(int(numbers.integers(2**62)))
        torch.manual_seed(int(numbers.integers(2**62)))
        self.model.train()
        steps = max(1, len(self.images) // self.settings.batch)
        size = min(self.settings.batch, len(self.images))
        total = 0.0
        for place in tqdm(range(steps), desc=f"epoch {self.epoch + 1}", unit="batch", leave=False, disable=None):
            rate = learning_rate(self.settings, self.epoch + place / steps)
            chosen = numbers.choice(len(self.images), size, replace=False, p=self.chances)
            total += self._step(self.images[torch.from_numpy(chosen)], rate, random) / steps
        self.epoch += 1
        return {"contrast": total, "learning_rate": rate}

    def _step(self, chosen: Tensor, rate: float, random: torch.Generator) -> float:
        """Take one step on these (n, side, side) uint8 pictures; return the loss."""
        images = chosen.float().unsqueeze(1) / 255
        nowhere = torch.full((len(images), 4), -1.0)
        views = [augment(images, nowhere, self.settings.side, VIEWS, random)[0] for _ in range(2)]
        both = torch.cat(views).to(self.device, memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16):
            first, second = self.model(both).chunk(2)
        loss = self.loss(first, second)
        set_rate(self.optimiser, rate)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.step += 1
        average(self.averaged, self.model.network, self.settings.ema, self.step)
        return float(loss.item())

    def state(self) -> dict[str, Any]:
        """Return what the pre-training goes on from; "averaged" is what scripts/train.py starts from."""
        return {
            "network": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "seed": self.seed,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state. Raises ValueError if it belongs to another seed."""
        if state["seed"] != self.seed:
            raise ValueError("the checkpoint was trained from another seed")
        self.model.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch, self.step = state["epoch"], state["step"]


def _chances(groups: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return each picture's chance to be drawn: an origin weighs as the root of its size."""
    sizes = Counter(groups)
    weights = np.array([sizes[group] ** -0.5 for group in groups])
    chances: np.ndarray[Any, np.dtype[np.float64]] = weights / weights.sum()
    return chances
