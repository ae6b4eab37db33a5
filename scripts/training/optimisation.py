"""How weights move: the learning rate over time, the optimiser, and the average of the weights that is shipped."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import torch

if TYPE_CHECKING:
    from torch import nn


class Pace(Protocol):
    """How the rate moves: up to `learning_rate` during `warm_up` epochs, down to nothing at the end of all."""

    @property
    def learning_rate(self) -> float: ...  # noqa: D102 - said above
    @property
    def warm_up(self) -> int: ...  # noqa: D102
    @property
    def epochs(self) -> int: ...  # noqa: D102


def learning_rate(schedule: Pace, epoch: float) -> float:
    """Return the rate at this (fractional) epoch: a linear rise, then half a cosine to nothing."""
    if epoch < schedule.warm_up:
        return schedule.learning_rate * (epoch + 0.02) / (schedule.warm_up + 0.02)
    done = (epoch - schedule.warm_up) / max(1e-9, schedule.epochs - schedule.warm_up)
    return schedule.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def optimiser(network: nn.Module, weight_decay: float, trunk_pace: float = 1.0) -> torch.optim.AdamW:
    """Return AdamW (Loshchilov and Hutter, ICLR 2019) that decays matrices and kernels, not biases, norms or p.

    The trunk moves at `trunk_pace` times the rate that `set_rate` sets.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, weight in network.named_parameters():
        if not weight.requires_grad:
            continue
        pace = trunk_pace if name.startswith("trunk.") else 1.0
        groups.setdefault((pace, weight_decay if weight.ndim >= 2 else 0.0), []).append(weight)
    return torch.optim.AdamW(
        [{"params": weights, "pace": pace, "weight_decay": decay} for (pace, decay), weights in groups.items()],
        fused=True,  # one pass over the weights instead of a dozen
    )


def freeze(network: nn.Module, layers: int) -> None:
    """Hold the first layers of the trunk as they are: their weights, and the statistics of their batch norms."""
    for layer in list(network.get_submodule("trunk").children())[:layers] if layers else ():
        layer.eval().requires_grad_(requires_grad=False)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of the next step, for each group of weights at its own pace."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["pace"]


@torch.no_grad()
def average(averaged: nn.Module, network: nn.Module, keep: float, step: int) -> None:
    """Move the averaged weights towards the present ones; in the first steps faster, or they would remember chance."""
    keep = min(keep, (1 + step) / (10 + step))
    pairs = list(zip(averaged.state_dict().values(), network.state_dict().values(), strict=True))
    weights = [pair for pair in pairs if pair[0].is_floating_point()]
    torch._foreach_lerp_([old for old, _ in weights], [new for _, new in weights], 1 - keep)
    for old, new in pairs:
        if not old.is_floating_point():
            old.copy_(new)
