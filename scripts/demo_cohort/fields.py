"""Shapes and textures as functions of a point in space, so that any plane through a head can be sampled.

Signed distances are in mm, negative inside. Arrays are one-dimensional float32: one value per sampled point.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Field: TypeAlias = "NDArray[np.floating[Any]]"
Vector: TypeAlias = tuple[float, float, float]
Path: TypeAlias = tuple[tuple[Vector, float], ...]


@dataclass(frozen=True, slots=True)
class Points:
    """Sampled points, three (n,) float32 arrays in mm: +x is the patient's left, +y back, +z head (as in DICOM)."""

    x: Field
    y: Field
    z: Field

    def mirrored(self) -> Points:
        """Return the points folded onto the left half, so that paired organs are described once."""
        return Points(np.abs(self.x), self.y, self.z)

    def moved(self, dx: Field | float, dy: Field | float, dz: Field | float) -> Points:
        """Return the points shifted by (n,) arrays or numbers in mm."""
        return Points(self.x + dx, self.y + dy, self.z + dz)


class Waves:
    """A smooth random field of unit variance: a sum of plane waves of nearly one length, hence even ripples.

    Its zeros form winding sheets half a wavelength apart, which is what sulci look like.
    """

    def __init__(self, rng: np.random.Generator, length: float, count: int = 14, spread: float = 0.3) -> None:
        directions = rng.normal(size=(count, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        lengths = length * (1 + spread * rng.uniform(-1, 1, size=(count, 1)))
        self._vectors: list[Vector] = [tuple(row) for row in (2 * np.pi * directions / lengths).tolist()]
        self._phases: list[float] = rng.uniform(0, 2 * np.pi, size=count).tolist()
        self._scale = float(np.sqrt(2 / count))

    def __call__(self, p: Points) -> Field:
        """Return the field at the points: (n,) float32, mean 0, variance 1."""
        total = np.zeros_like(p.x)
        for (kx, ky, kz), phase in zip(self._vectors, self._phases, strict=True):
            total += np.cos(kx * p.x + ky * p.y + kz * p.z + phase)
        return total * self._scale

    def sheet(self, p: Points) -> Field:
        """Return the distance in mm to the nearest zero of the field, from its value and slope."""
        value, gx, gy, gz = (np.zeros_like(p.x) for _ in range(4))
        for (kx, ky, kz), phase in zip(self._vectors, self._phases, strict=True):
            angle = kx * p.x + ky * p.y + kz * p.z + phase
            value += np.cos(angle)
            sine = np.sin(angle)
            gx += kx * sine
            gy += ky * sine
            gz += kz * sine
        slope = np.sqrt(gx * gx + gy * gy + gz * gz)
        # where the field is flat the quotient is no distance: the floor keeps such places closed
        floor = 0.35 * float(np.sqrt(len(self._phases) / 2 * np.mean(np.square(self._vectors)) * 3))
        return np.abs(value) / np.maximum(slope, floor)


def ellipsoid(p: Points, centre: Vector, radii: Vector) -> Field:
    """Return the approximate signed distance to an ellipsoid with axes along x, y and z."""
    dx, dy, dz = ((c - o) / r for c, o, r in zip((p.x, p.y, p.z), centre, radii, strict=True))
    k0 = np.sqrt(dx * dx + dy * dy + dz * dz) + 1e-6
    k1 = np.sqrt((dx / radii[0]) ** 2 + (dy / radii[1]) ** 2 + (dz / radii[2]) ** 2) + 1e-6
    distance: Field = k0 * (k0 - 1) / k1
    return distance


def sphere(p: Points, centre: Vector, radius: float) -> Field:
    """Return the signed distance to a sphere."""
    distance: Field = np.sqrt((p.x - centre[0]) ** 2 + (p.y - centre[1]) ** 2 + (p.z - centre[2]) ** 2) - radius
    return distance


def tube(p: Points, path: Path) -> Field:
    """Return the signed distance to a tube along a polyline of (point, radius)."""
    distance = np.full_like(p.x, np.inf)
    for (a, start), (b, end) in pairwise(path):
        ux, uy, uz = (t - f for f, t in zip(a, b, strict=True))
        dx, dy, dz = p.x - a[0], p.y - a[1], p.z - a[2]
        along = np.clip((dx * ux + dy * uy + dz * uz) / (ux * ux + uy * uy + uz * uz), 0, 1)
        off = np.sqrt((dx - along * ux) ** 2 + (dy - along * uy) ** 2 + (dz - along * uz) ** 2)
        distance = np.minimum(distance, off - start - along * (end - start))
    return distance


def union(a: Field, b: Field, blend: float) -> Field:
    """Return the union of two shapes, rounded where they meet (polynomial smooth minimum, width in mm)."""
    near = np.maximum(blend - np.abs(a - b), 0) / blend
    return np.minimum(a, b) - near * near * (blend / 4)


def overlap(a: Field, b: Field, blend: float) -> Field:
    """Return the intersection of two shapes, rounded where they meet."""
    return -union(-a, -b, blend)


def inside(distance: Field, softness: float = 0.6) -> Field:
    """Return 1 inside a shape and 0 outside, with an edge as soft as `softness` mm to either side."""
    cover: Field = np.clip(0.5 - distance / (2 * softness), 0, 1)
    return cover


def step(value: Field, start: float, end: float) -> Field:
    """Return a smooth step from 0 (at `start`) to 1 (at `end`); `start` may be the larger one."""
    t = np.clip((value - start) / (end - start), 0, 1)
    smooth: Field = t * t * (3 - 2 * t)
    return smooth


def bump(value: Field, centre: float, width: float) -> Field:
    """Return a bell of height 1 around `centre`, with standard deviation `width`."""
    bell: Field = np.exp(-0.5 * ((value - centre) / width) ** 2)
    return bell
