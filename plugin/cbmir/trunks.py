"""The convolutional part of a network, from a grey picture to the last feature map: GoogLeNet or EfficientNet-Lite."""

from __future__ import annotations

from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torchvision.models import GoogLeNet
from torchvision.ops import Conv2dNormActivation

from cbmir.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class GreyGoogLeNet(GoogLeNet):  # type: ignore[misc]
    """GoogLeNet (Szegedy et al., CVPR 2015; torchvision's layers) with a grey stem, without its head."""

    channels = 1024

    def __init__(self, stride: int) -> None:
        super().__init__(aux_logits=False, init_weights=False, transform_input=False)
        self.stride = stride
        self.conv1.conv = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
        del self.avgpool, self.dropout, self.fc

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, 1024, h, w), not negative, of (n, 1, height, width)."""
        for said in self.maps(x):
            last = said
        x = self.inception4e(self.inception4d(last))
        # without the last pooling a lesion of 40 pixels covers 6 cells rather than 1
        if self.stride == 32:
            x = self.maxpool4(x)
        features: Tensor = self.inception5b(self.inception5a(x))
        return features

    def maps(self, x: Tensor) -> Iterator[Tensor]:
        """Yield (n, c, h, w), what each group of layers says but the last four, of (n, 1, height, width)."""
        yield (x := self.conv1(x))
        yield (x := self.conv3(self.conv2(self.maxpool1(x))))
        yield (x := self.inception3a(self.maxpool2(x)))
        yield (x := self.inception3b(x))
        x = self.maxpool3(x)
        for block in (self.inception4a, self.inception4b, self.inception4c):
            yield (x := block(x))

    def shorten(self) -> None:
        """Throw away what `maps` does not need; only `maps` works from then on."""
        del self.inception4d, self.inception4e, self.maxpool4, self.inception5a, self.inception5b


LITE_BLOCKS = (
    (1, 16, 3, 1, 1),
    (6, 24, 3, 2, 2),
    (6, 40, 5, 2, 2),
    (6, 80, 3, 2, 3),
    (6, 112, 5, 1, 3),
    (6, 192, 5, 2, 4),
    (6, 320, 3, 1, 1),
)
"""Expansion, channels, kernel, stride, repeats (Tan and Le, ICML 2019, table 1; Lite: no squeezing, ReLU6)."""


class EfficientNetLite(nn.Sequential):
    """EfficientNet-Lite with a grey stem, without its head; Lite0 has a fifth of GoogLeNet's arithmetic.

    Larger ones have `width` times the channels and `depth` times the repeats, but never more at both ends. Layers pad
    as TensorFlow does, where its published weights come from: with a stride of 2 more at the far edges.
    """

    channels = 1280

    def __init__(self, stride: int, width: float, depth: float) -> None:
        layers: list[nn.Module] = [_layer(1, 32, 3, 2)]
        before, reached, ends = 32, 2, []
        for place, (expansion, channels, kernel, wanted, repeats) in enumerate(LITE_BLOCKS):
            step = wanted if reached * wanted <= stride else 1
            reached *= step
            after = _eighths(width * channels)
            for number in range(repeats if place in (0, len(LITE_BLOCKS) - 1) else ceil(depth * repeats)):
                layers.append(InvertedResidual(before, after, expansion, kernel, step if number == 0 else 1))
                before = after
            ends.append(len(layers) - 1)
        super().__init__(*layers, _layer(before, self.channels, 1))
        self.ends = tuple(ends)
        """Place of the last layer of each line of LITE_BLOCKS."""

    def maps(self, x: Tensor) -> Iterator[Tensor]:
        """Yield (n, c, h, w), what each line of LITE_BLOCKS says but the last, of (n, 1, height, width)."""
        for place, layer in enumerate(self):
            x = layer(x)
            if place in self.ends[:-1]:
                yield x
            if place == self.ends[-2]:
                return

    def shorten(self) -> None:
        """Throw away what `maps` does not need; only `maps` works from then on."""
        del self[self.ends[-2] + 1 :]


def _eighths(channels: float) -> int:
    """Return the nearest multiple of 8 that is not more than a tenth too few."""
    nearest = int(channels + 4) // 8 * 8
    return nearest if nearest >= 0.9 * channels else nearest + 8


class InvertedResidual(nn.Module):
    """Widen, filter each channel by itself, narrow; where shapes agree, add the input (Sandler et al., CVPR 2018)."""

    def __init__(self, before: int, after: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = before * expansion
        widen = [_layer(before, wide, 1)] if expansion > 1 else []
        filters = _layer(wide, wide, kernel, stride, groups=wide)
        self.layers = nn.Sequential(*widen, filters, _layer(wide, after, 1, activation_layer=None))
        self.residual = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, after, h, w) of (n, before, height, width)."""
        changed: Tensor = self.layers(x)
        return x + changed if self.residual else changed


def _layer(before: int, after: int, kernel: int, stride: int = 1, **options: Any) -> nn.Module:
    """Return convolution, batch norm and activation; sides are taken to be even where the stride is 2."""
    padding = kernel // 2 if stride == 1 else 0
    wanted = {"norm_layer": _norm, "activation_layer": nn.ReLU6, **options}
    layer = Conv2dNormActivation(before, after, kernel, stride, padding, **wanted)
    near = (kernel - stride) // 2
    return layer if stride == 1 else nn.Sequential(nn.ZeroPad2d((near, near + 1, near, near + 1)), layer)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


TRUNKS: dict[str, Callable[[int], GreyGoogLeNet | EfficientNetLite]] = {
    "googlenet": GreyGoogLeNet,
    "efficientnet-lite0": partial(EfficientNetLite, width=1.0, depth=1.0),
    "efficientnet-lite2": partial(EfficientNetLite, width=1.1, depth=1.2),
}
"""By name: what makes the trunk with so many pixels per cell of its last feature map."""


def trunk_of(name: str, stride: int) -> GreyGoogLeNet | EfficientNetLite:
    """Return a new trunk. Raises ModelError for an unknown name or stride."""
    if name not in TRUNKS:
        raise ModelError(f"trunk is {name!r}, must be one of {', '.join(TRUNKS)}")
    if stride not in (16, 32):
        raise ModelError(f"stride is {stride}, must be 16 or 32")
    return TRUNKS[name](stride)
