"""Parts of a slice: which places of the network's map a region covers, and where a similarity comes from. numpy only.

The latter rests on the cells of an embedding, (dim, h, w): what each place of the map gives to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cbmir.errors import BadRequest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cbmir.pixels import Placement

OVERLAY_SIDE = 56
"""Rows and columns of the heat map as it is laid over the stored picture."""


@dataclass(frozen=True, slots=True)
class Region:
    """A box on the stored picture in pixels: left and upper edge, width and height."""

    x: float
    y: float
    width: float
    height: float


def coverage(where: Placement, region: Region, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return how much of each place lies in the region: (h, w) float32 in 0..1.

    Raises
    ------
    BadRequest
        The region lies outside the picture.

    """
    x = np.clip([region.x, region.x + region.width], 0, where.columns)
    y = np.clip([region.y, region.y + region.height], 0, where.rows)
    if x[0] >= x[1] or y[0] >= y[1]:
        raise BadRequest(f"roi lies outside the picture of {where.columns} x {where.rows} pixels")
    across, down = where.to_square(x, y)
    covered = np.outer(_overlap(down, shape[0], where.size), _overlap(across, shape[1], where.size))
    return covered.astype(np.float32)


def heat(cells: NDArray[np.float32], vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what each place gives to the similarity with a (dim,) unit vector: (h, w), whose sum it is."""
    places: NDArray[np.float32] = np.einsum("dhw,d->hw", cells, vector)
    return places


def overlay(where: Placement, places: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a heat map as it lies on the stored picture: (OVERLAY_SIDE, OVERLAY_SIDE), over its whole extent."""
    middle = (np.arange(OVERLAY_SIDE) + 0.5) / OVERLAY_SIDE
    x, y = np.meshgrid(middle * where.columns, middle * where.rows)
    across, down = where.to_square(x, y)
    rows = np.clip(down / where.size * places.shape[0], 0, places.shape[0] - 1).astype(int)
    columns = np.clip(across / where.size * places.shape[1], 0, places.shape[1] - 1).astype(int)
    laid: NDArray[np.float32] = places[rows, columns]
    return laid


def _overlap(ends: NDArray[np.float64], count: int, size: int) -> NDArray[np.float64]:
    """Return the share of each of `count` equal stretches of 0..size that lies between two ends, in any order."""
    edges = np.arange(count + 1) * size / count
    inside = np.minimum(edges[1:], max(ends)) - np.maximum(edges[:-1], min(ends))
    shares: NDArray[np.float64] = np.clip(inside, 0, None) * count / size
    return shares
