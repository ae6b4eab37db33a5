"""Random changes that a slice may undergo without becoming another case: batchwise in torch, drawn anew each time."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor
from torch.nn import functional

CELL_SAMPLES = 4
"""The share of a cell that a lesion box covers is counted on this many points along each side."""


@dataclass(frozen=True, slots=True)
class Strength:
    """How far each change may go; 0 switches it off. Angles in degrees, the rest as shares.

    `flip` mirrors left and right only: upside down no scanner shows a head.
    """

    flip: float = 0.5
    rotate: float = 20.0
    scale: float = 0.2
    shift: float = 0.08
    shear: float = 0.1
    elastic: float = 0.03
    gamma: float = 0.4
    contrast: float = 0.2
    bias_field: float = 0.3
    noise: float = 0.05
    cutout: float = 0.5


def augment(
    images: Tensor, boxes: Tensor, cell: int, strength: Strength, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return changed images and the share of each cell that the lesion box covers after the change.

    Parameters
    ----------
    images
        (n, 1, size, size) float32 in 0..1.
    boxes
        (n, 4) float32: centre x, centre y, width, height as shares of the square; negative where unknown.
    cell
        Pixels per cell of the feature map.
    strength, random
        How far to go; where randomness comes from.

    Returns
    -------
    tuple
        (n, 1, size, size) float32 in 0..1, and (n, size / cell, size / cell) float32 in 0..1.

    """
    size = images.shape[-1]
    matrix = _affine(len(images), strength, random)
    bend = strength.elastic * _draw((len(images), 2, 5, 5), random)
    grid = _grid(matrix, bend, size)
    images = functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    cells = -(-size // cell)
    masks = functional.avg_pool2d(_inside(boxes, _grid(matrix, bend, cells * CELL_SAMPLES)), CELL_SAMPLES)
    return _cut(_grey(images, strength, random), strength, random), masks


def _draw(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    """Return values evenly between -1 and 1."""
    return torch.rand(shape, generator=random) * 2 - 1


def _affine(n: int, strength: Strength, random: torch.Generator) -> Tensor:
    """Return (n, 2, 3) matrices from output to input coordinates: rotation, scale, shear, shift, mirror."""
    draw = _draw((n, 6), random)
    angle = draw[:, 0] * strength.rotate * pi / 180
    zoom = torch.exp(-draw[:, 1:3] * torch.tensor([strength.scale, strength.scale / 4]))
    # the second draw makes the axes differ a little: heads do
    wide, high = zoom[:, 0] * zoom[:, 1], zoom[:, 0] / zoom[:, 1]
    mirror = 1 - 2 * (torch.rand(n, generator=random) < strength.flip).float()
    cosine, sine = angle.cos(), angle.sin()
    shear = draw[:, 3] * strength.shear
    first = torch.stack([mirror * wide * cosine, mirror * wide * (shear - sine), draw[:, 4] * strength.shift], dim=1)
    second = torch.stack([high * sine, high * cosine, draw[:, 5] * strength.shift], dim=1)
    return torch.stack([first, second], dim=1)


def _grid(matrix: Tensor, bend: Tensor, size: int) -> Tensor:
    """Return (n, size, size, 2) input coordinates in -1..1: affine, and a smooth bend given by (n, 2, 5, 5) knots."""
    grid = functional.affine_grid(matrix, [len(matrix), 1, size, size], align_corners=False)
    smooth = functional.interpolate(bend, size=(size, size), mode="bicubic", align_corners=False)
    return grid + smooth.permute(0, 2, 3, 1)


def _inside(boxes: Tensor, grid: Tensor) -> Tensor:
    """Return (n, size, size) float32: 1 where a grid point lies in the box."""
    places = (grid + 1) / 2
    distance = (places - boxes[:, None, None, :2]).abs()
    return (distance <= boxes[:, None, None, 2:] / 2).all(dim=3).float()


def _grey(images: Tensor, strength: Strength, random: torch.Generator) -> Tensor:
    """Return images as another scanner, coil or window would show them."""
    n, size = len(images), images.shape[-1]
    field = functional.interpolate(_draw((n, 1, 3, 3), random), size=(size, size), mode="bicubic", align_corners=False)
    images = images * torch.exp(field * strength.bias_field)
    draw = _draw((n, 3, 1, 1, 1), random)
    images = images.clamp(min=1e-4, max=1.5).pow(torch.exp(draw[:, 0] * strength.gamma))
    images = images * (1 + draw[:, 1] * strength.contrast) + draw[:, 2] * strength.contrast / 4
    level = torch.rand((n, 1, 1, 1), generator=random) * strength.noise
    images = images + level * torch.randn(images.shape, generator=random)
    return images.clamp(0, 1)


def _cut(images: Tensor, strength: Strength, random: torch.Generator) -> Tensor:
    """Return images in which, by chance, one square of up to a third of the side is grey: no single spot may decide."""
    n, size = len(images), images.shape[-1]
    draw = torch.rand((n, 4), generator=random)
    half = (draw[:, 0] * size / 6 * (draw[:, 1] < strength.cutout)).view(n, 1, 1)
    places = torch.arange(size)
    inside_x = (places.view(1, 1, size) - (draw[:, 2] * size).view(n, 1, 1)).abs() < half
    inside_y = (places.view(1, size, 1) - (draw[:, 3] * size).view(n, 1, 1)).abs() < half
    return torch.where((inside_x & inside_y).unsqueeze(1), images.mean(dim=(2, 3), keepdim=True), images)
