"""The network: what training, export and the torch runtime share. The only file of the library that imports torch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from cbmir.errors import ModelError
from cbmir.trunks import trunk_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from cbmir.fitted import Fitted

GREY_MEAN, GREY_SPREAD = 0.2, 0.25
"""What a typical prepared MR slice is centred and scaled by, inside the network, so that callers give 0..1."""

EPSILON = 1e-6
"""Least activation: keeps powers and their gradients finite."""

PLAIN_WEIGHT = 0.05
"""What a place without suspicion of a lesion weighs against one where the network is sure of it."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """What must be known to build a network anew.

    Attributes
    ----------
    labels
        Classes of the classifier, in the order of its logits.
    dim
        Length of the embedding.
    stride
        Pixels per cell of the last feature map: 32 as published, 16 without the last pooling (finer regions).
    side
        Of the squares that it was trained on and takes, in pixels.
    guided
        True: pool the whole map and, beside it, the map weighted by where a lesion is suspected.
    trunk
        Its convolutional part, by name; see cbmir.trunks. Of a fitted one several, with "+" between their names.
    fitted
        True: nothing but a linear map was fitted to what the layers say; see cbmir.fitted.

    """

    labels: tuple[str, ...]
    dim: int = 256
    stride: int = 16
    side: int = 224
    guided: bool = True
    trunk: str = "googlenet"
    fitted: bool = False


class Outputs(NamedTuple):
    """What the network says about a batch of n slices.

    Attributes
    ----------
    embedding
        (n, dim) float32, rows of unit L2 norm.
    features
        (n, channels, h, w) float32, the last feature map before pooling, not negative.
    logits
        (n, classes) float32.
    lesion
        (n, classes, h, w) float32 logits: does this cell belong to a lesion of this class? None if not guided.

    """

    embedding: Tensor
    features: Tensor
    logits: Tensor
    lesion: Tensor | None


class GeM(nn.Module):
    """Generalized-mean pooling with learnable p (Radenovic, Tolias, Chum, TPAMI 2019, eq. 3).

    f_c = (mean over the map of x_c ** p) ** (1 / p): p = 1 is the mean, p towards infinity the maximum.
    """

    def __init__(self, p: float = 3.0) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor(p))

    def forward(self, features: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return (n, c) from (n, c, h, w) features and, optionally, positive weights (n, 1, h, w) of the places."""
        features = features.float().clamp(min=EPSILON)
        # relative to the largest value no power can overflow, nor the mean underflow; the result does not depend on it
        largest = features.detach().amax(dim=(2, 3), keepdim=True)
        p = functional.relu(self.p - 1) + 1
        # exp and log rather than pow: the same, and half the time backwards
        powers = (p * (features / largest).log()).exp()
        mean = (
            powers.mean(dim=(2, 3))
            if weight is None
            else torch.einsum("ncs,ns->nc", powers.flatten(2), weight.flatten(1)) / weight.sum(dim=(2, 3))
        )
        return mean.clamp(min=EPSILON**2).pow(1 / p) * largest.flatten(1)

    def shares(self, features: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return what each place gives to the pooled value: (n, c, h, w), whose sum over the map is `forward`.

        f_c = f_c ** (1 - p) * mean(x_c ** p), which is a sum over the places.
        """
        pooled = self(features, weight)[..., None, None]
        features = features.float().clamp(min=EPSILON)
        p = functional.relu(self.p - 1) + 1
        weight = torch.ones_like(features[:, :1]) if weight is None else weight
        shares: Tensor = pooled * (features / pooled).pow(p) * weight / weight.sum(dim=(2, 3), keepdim=True)
        return shares


class CosineClassifier(nn.Module):
    """Logits = scale * cosine(embedding, class direction): what separates classes is what ranks neighbours."""

    def __init__(self, dim: int, classes: int, scale: float = 12.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, dim) / dim**0.5)
        self.log_scale = nn.Parameter(torch.tensor(scale).log())

    def forward(self, embedding: Tensor) -> Tensor:
        """Return (n, classes) logits of (n, dim) unit rows."""
        directions = functional.normalize(self.weight, dim=1)
        return self.log_scale.exp() * functional.linear(embedding, directions)


class Network(nn.Module):
    """A trunk with a grey stem, GeM, embedding and classifier."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.trunk = trunk_of(architecture.trunk, architecture.stride)
        self.gem = GeM()
        pooled = self.trunk.channels
        if architecture.guided:
            self.lesion = nn.Conv2d(pooled, len(architecture.labels), kernel_size=1)
            # few cells hold a lesion: begin by suspecting none
            nn.init.constant_(self.lesion.bias, -3.0)  # type: ignore[arg-type]
            self.gem_lesion = GeM()
            pooled *= 2
        self.embedding = nn.Linear(pooled, architecture.dim)
        self.classifier = CosineClassifier(architecture.dim, len(architecture.labels))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return embedding, features, logits (see Outputs) of (n, 1, height, width) float32 in 0..1."""
        outputs = self.outputs(image)
        return outputs.embedding, outputs.features, outputs.logits

    def outputs(self, image: Tensor) -> Outputs:
        """Return everything that training looks at, for (n, 1, height, width) float32 in 0..1."""
        features = self.features(image)
        pooled, lesion = self.gem(features), None
        if self.architecture.guided:
            lesion = self.lesion(features).float()
            pooled = torch.cat([pooled, self.gem_lesion(features, _suspicion(lesion))], dim=1)
        embedding = functional.normalize(self.embedding(pooled).float(), dim=1)
        return Outputs(embedding, features, self.classifier(embedding), lesion)

    def features(self, image: Tensor) -> Tensor:
        """Return (n, channels, h, w), the last feature map, of (n, 1, height, width) float32 in 0..1."""
        features: Tensor = self.trunk((image - GREY_MEAN) / GREY_SPREAD)
        return features


class Cells(nn.Module):
    """The head once more, but not summed: what each place of the feature map gives to the embedding.

    Generalized-mean pooling is a sum over the places once its value is known, and what follows is linear; so is the
    inner product with another embedding. A similarity can thus be shown where it comes from, exactly.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor, region: Tensor) -> Tensor:
        """Return (n, dim, h, w) of features (n, channels, h, w); the sum over the map is the embedding, of unit length.

        `region` is (n, 1, h, w) in 0..1: how much of each place a reader has marked. It takes the place of where the
        network suspects a lesion, and the whole map goes on being pooled beside it. All zeros: nothing is marked.
        """
        network = self.network
        marked = region.amax(dim=(2, 3), keepdim=True) > 0
        if network.architecture.guided:
            suspicion = torch.where(marked, region + EPSILON, _suspicion(network.lesion(features).float()))
            shares = torch.cat([network.gem.shares(features), network.gem_lesion.shares(features, suspicion)], dim=1)
        else:
            shares = network.gem.shares(features, torch.where(marked, region + PLAIN_WEIGHT, torch.ones_like(region)))
        bias = network.embedding.bias / (features.shape[2] * features.shape[3])
        cells = functional.conv2d(shares, network.embedding.weight[..., None, None], bias)
        length: Tensor = cells.sum(dim=(2, 3), keepdim=True).norm(dim=1, keepdim=True)
        return cells / length


def _suspicion(lesion: Tensor) -> Tensor:
    """Return what each place weighs, (n, 1, h, w), given its logits for a lesion of each class."""
    return lesion.amax(dim=1, keepdim=True).sigmoid() + PLAIN_WEIGHT


def architecture_as_json(architecture: Architecture) -> str:
    """Return the text that the ONNX file carries, so that the network can be built from it."""
    return json.dumps(asdict(architecture))


def architecture_of(text: str) -> Architecture:
    """Return the architecture from its JSON text. Raises ModelError if it is none."""
    try:
        fields: dict[str, Any] = json.loads(text)
        fields["labels"] = tuple(fields["labels"])
        return Architecture(**fields)
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError("the ONNX file does not say how its network is built") from error


def torch_session(path: Path, threads: int) -> Callable[..., list[NDArray[np.float32]]]:
    """Return a function that runs the network in torch, on a GPU if any, and answers the outputs asked for.

    Its outputs are named as those of the ONNX file: "embedding", "features", "logits". Raises ModelError as from_onnx
    does. `threads` is for the CPU and holds for the whole process.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(threads)
    network = from_onnx(path).to(device)

    @torch.inference_mode()
    def run(outputs: Sequence[str], /, *, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        answered = network(torch.from_numpy(image).to(device))
        named = dict(zip(("embedding", "features", "logits"), answered, strict=True))
        return [named[name].cpu().numpy() for name in outputs]

    return run


def built(architecture: Architecture) -> Network | Fitted:
    """Return a new network of this architecture. Raises ModelError for an unknown trunk or stride."""
    if not architecture.fitted:
        return Network(architecture)
    from cbmir.fitted import Fitted  # noqa: PLC0415 - which needs this file

    return Fitted(architecture)


def from_onnx(path: Path) -> Network | Fitted:
    """Return the network, in evaluation mode, with the weights of an ONNX file that scripts/export.py wrote.

    Raises
    ------
    ModelError
        The file cannot be read, or its weights do not fit the network it names.

    """
    import onnx  # noqa: PLC0415 - only this runtime reads the graph itself
    from onnx import numpy_helper  # noqa: PLC0415

    try:
        model = onnx.load(path)
    except Exception as error:
        raise ModelError(f"{path.name} cannot be read as ONNX") from error
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    network = built(architecture_of(metadata.get("architecture", "")))
    weights = {item.name: torch.tensor(numpy_helper.to_array(item)) for item in model.graph.initializer}
    state = network.state_dict()
    # not in the graph: the batch counters, which evaluation does not use
    wanted = {name for name in state if not name.endswith("num_batches_tracked")}
    missing = wanted - weights.keys()
    if missing:
        raise ModelError(f"{path.name} lacks {len(missing)} weights, among them {min(missing)}")
    try:
        network.load_state_dict({name: weights.get(name, state[name]) for name in state})
    except RuntimeError as error:
        raise ModelError(f"{path.name} holds weights of other shapes than its network") from error
    return network.eval()
