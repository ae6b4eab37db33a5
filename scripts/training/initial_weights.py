"""Where a training starts: another training's trunk, or torchvision's ImageNet weights (which need a network once)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torchvision.models import GoogLeNet_Weights, googlenet

import _library  # noqa: F401 - before cbmir
from cbmir.network import GREY_MEAN, GREY_SPREAD, Network

STEM = "conv1.conv.weight"
STEM_MEAN = "conv1.bn.running_mean"


def start_from(network: Network, source: str) -> int:
    """Fill the trunk of a network from "imagenet" or from a checkpoint file; return how many tensors were filled.

    Heads keep their random start: their classes differ. Raises ValueError if the source fits no GoogLeNet.
    """
    weights = grey(imagenet()) if source == "imagenet" else trunk_of(Path(source))
    own = network.trunk.state_dict()
    fitting = {name: weights[name] for name in own if name in weights and weights[name].shape == own[name].shape}
    if len(fitting) < len(own):
        raise ValueError(f"{source} lacks {len(own) - len(fitting)} tensors of GoogLeNet's trunk")
    network.trunk.load_state_dict(fitting)
    return len(fitting)


def trunk_of(checkpoint: Path) -> dict[str, Tensor]:
    """Return the averaged trunk of a checkpoint of scripts/train.py."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["averaged"]
    return {name.removeprefix("trunk."): value for name, value in state.items() if name.startswith("trunk.")}


def imagenet() -> dict[str, Tensor]:
    """Return torchvision's GoogLeNet weights; they are downloaded the first time."""
    weights: dict[str, Tensor] = googlenet(weights=GoogLeNet_Weights.IMAGENET1K_V1).state_dict()
    return weights


def grey(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a colour network for grey pictures that are scaled as ours.

    A grey picture x has three equal channels, so the stem's kernels w may be summed. That network wants (x - 0.5) / 0.5
    (torchvision's transform_input), ours gives u = (x - mean) / spread: x = u * spread + mean makes its input
    u * 2 * spread + (2 * mean - 1). The factor goes into the kernels; the constant shifts every answer of a kernel by
    sum(w) * (2 * mean - 1), which the batch norm behind it takes off again with its mean.
    """
    colour = weights[STEM]
    shift = colour.sum(dim=(1, 2, 3)) * (2 * GREY_MEAN - 1)
    return {
        **weights,
        STEM: colour.sum(dim=1, keepdim=True) * 2 * GREY_SPREAD,
        STEM_MEAN: weights[STEM_MEAN] - shift,
    }
