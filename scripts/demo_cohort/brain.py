"""The brain: sulci, ventricles, nuclei, brainstem, cerebellum.

Canonical coordinates in mm, as in `skull`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from demo_cohort.fields import Points, Waves, ellipsoid, inside, overlap, step, tube, union

if TYPE_CHECKING:
    from demo_cohort.canvas import Canvas
    from demo_cohort.fields import Field

CORTEX_MM = 3.0
"""Thickness of the cortex."""


@dataclass(frozen=True, slots=True)
class Folds:
    """What differs between two brains of one shape.

    Attributes
    ----------
    sulci
        Field whose zeros are the sulci.
    depth, bend, vessels
        Fields that vary the depth of sulci, bend them, and break vessels up.
    ventricles
        Width of the ventricles, 1 in the young.
    atrophy
        Half width of sulci in mm at the surface.

    """

    sulci: Waves
    depth: Waves
    bend: Waves
    vessels: Waves
    ventricles: float
    atrophy: float

    @classmethod
    def of(cls, rng: np.random.Generator, ventricles: float, atrophy: float) -> Folds:
        """Draw the random fields."""
        return cls(Waves(rng, 22, 18), Waves(rng, 40, 8), Waves(rng, 30, 8), Waves(rng, 16, 10), ventricles, atrophy)


def tentorium(p: Points) -> Field:
    """Return the height of the tent over the cerebellum above (x, y)."""
    height: Field = -31 + 34 * np.exp(-((p.x / 27) ** 2) - ((p.y - 36) / 30) ** 2)
    return height


def brainstem(p: Points) -> Field:
    """Return the distance to midbrain, pons and medulla."""
    wide = Points(p.x / 1.2, p.y, p.z)
    stem = tube(
        wide, (((0, 12, -6), 13), ((0, 14, -20), 12), ((0, 13, -34), 13.5), ((0, 19, -50), 9), ((0, 24, -75), 7))
    )
    # the interpeduncular fossa parts the two cerebral peduncles
    notch = tube(p, (((0, 1, -8), 6.5), ((0, 0, -20), 6)))
    return overlap(stem, -notch, 4)


def cerebrum(p: Points, hollow: Field, stem: Field) -> Field:
    """Return the distance to the surface of both hemispheres, sulci still closed."""
    shape = overlap(hollow + 1.3, tentorium(p) + 2 - p.z - 60 * step(p.y - 0.48 * np.abs(p.x), 10, 0), 3)
    cistern = ellipsoid(p, (0, -6, -22), (15, 14, 9))
    shape = overlap(shape, -cistern, 4)
    around = np.maximum(stem - 5, p.z + 7)
    shape = overlap(shape, -around, 4)
    sylvian = tube(p.mirrored(), (((24, -18, -15), 2.5), ((46, -22, -10), 3), ((62, -24, -6), 3)))
    return overlap(shape, -sylvian, 3)


def fissure(p: Points) -> Field:
    """Return the distance to the gap between the hemispheres, which ends at the corpus callosum."""
    callosum = ellipsoid(p, (0, 2, 0), (30, 44, 30))
    return np.maximum(np.abs(p.x) - 0.8 - 0.012 * np.abs(p.y), -callosum)


def insula(p: Points, bend: Field) -> Field:
    """Return the distance to the lateral fissure: a curved cleft from the surface in to the insula."""
    m = p.mirrored().moved(1.6 * bend, 2 * bend, -2 * bend)
    sheet = 0.84 * np.abs(m.z - 3 - 0.65 * (m.y + 4)) - 1.0
    lateral = np.maximum(sheet, np.maximum(41 - m.x, np.abs(m.y + 2) - 34))
    cleft = np.abs(m.x - 41 + 0.008 * (m.y + 2) ** 2) - 1.3
    island = np.maximum(cleft, np.maximum(np.abs(m.y + 2) - 19, np.abs(m.z - 4 - 0.2 * m.y) - 15))
    distance: Field = np.minimum(lateral, island)
    return distance


def ventricles(p: Points, folds: Folds) -> Field:
    """Return the distance to the lateral and third ventricles."""
    w = folds.ventricles
    m = Points(np.abs(p.x) - 1.2, p.y, p.z)
    horn = tube(m, (((12, -34, 8), 3.5 * w), ((8.5, -22, 14), 5.2 * w), ((9, 0, 22), 4.8 * w), ((14, 20, 20), 5.2 * w)))
    atrium = tube(m, (((14, 20, 20), 5.2 * w), ((25, 36, 10), 6.0 * w), ((23, 56, 7), 3.0 * w)))
    temporal = tube(m, (((26, 36, 9), 5.0 * w), ((33, 18, -12), 2.4 * w), ((31, -8, -22), 1.8 * w)))
    lateral = union(union(horn, atrium, 4), temporal, 3)
    # septum pellucidum and fornix keep the two apart
    lateral = np.maximum(lateral, 0.5 - np.abs(p.x))
    third = ellipsoid(p, (0, 2, 1), (2.4 * w, 15, 12))
    return np.minimum(lateral, third)


def paint_cerebrum(canvas: Canvas, p: Points, hollow: Field, surface: Field, folds: Folds) -> None:
    """Paint white matter, cortex along surface and sulci, nuclei, and the fluid in fissures and ventricles."""
    bend = folds.bend(p)
    cut = np.minimum(fissure(p), insula(p, bend))
    shell = np.maximum(surface, -cut)
    radius = np.sqrt(p.x * p.x + 0.66 * p.y * p.y + p.z * p.z) + 1e-3
    # sampled nearly on a sphere, so that sulci run inward; a little of the depth bends them
    reach = (62 / radius) ** 0.75
    bend *= 3.2
    fan = Points(p.x * reach + bend, p.y * reach - bend, p.z * reach + bend)
    limit = 15 + 4.5 * folds.depth(p)
    depth = -hollow
    sulcus = folds.sulci.sheet(fan) - folds.atrophy * np.clip(1.25 - depth / limit, -3, 1.25)
    sulcus = np.maximum(sulcus, depth - limit)
    cover = inside(shell)
    canvas.paint(cover, "white")
    near = np.minimum(np.minimum(-surface, sulcus), np.maximum(cut, 0))
    canvas.paint(cover * inside(near - CORTEX_MM, 1.0), "grey")
    paint_nuclei(canvas, p)
    canvas.paint(cover * inside(sulcus, 0.7), "csf")
    vessel = np.maximum(sulcus - 0.2, 0.55 - folds.vessels(p))
    canvas.paint(0.75 * cover * inside(np.maximum(vessel, depth - 9)), "vein")
    canvas.paint(inside(ventricles(p, folds), 0.8), "csf")


def paint_nuclei(canvas: Canvas, p: Points) -> None:
    """Paint caudate, lentiform nucleus and thalamus."""
    m = p.mirrored()
    turned = Points(0.91 * (m.x - 25) - 0.42 * (m.y + 1), 0.42 * (m.x - 25) + 0.91 * (m.y + 1), m.z - 3)
    lentiform = ellipsoid(turned, (0, 0, 0), (6.5, 17, 10))
    caudate = tube(m, (((14, -24, 6), 6.0), ((15, -12, 17), 4.5), ((17, 6, 23), 3.0)))
    thalamus = ellipsoid(m, (11, 13, 6), (9, 14, 10))
    canvas.paint(inside(np.minimum(lentiform, caudate), 1.0), "nucleus")
    canvas.paint(0.8 * inside(thalamus, 1.5), "nucleus")


def paint_hindbrain(canvas: Canvas, p: Points, hollow: Field, stem: Field, folds: Folds) -> None:
    """Paint cerebellum with its folia, brainstem and fourth ventricle."""
    m = p.mirrored()
    lobe = np.maximum(hollow + 3.5, p.z - tentorium(p) + 2.5)
    lobe = overlap(lobe, 4 + 0.46 * m.x - p.y, 6)
    lobe = overlap(lobe, 4 - stem - 12 * step(p.y, 13, 22), 4)
    vallecula = np.maximum(m.x - 3.0, 66 - p.y)
    lobe = overlap(lobe, -vallecula, 3)
    canvas.paint(inside(lobe), "grey")
    core = overlap(lobe + 9, -ellipsoid(m, (0, 45, -35), (7, 30, 30)), 6)
    bend = folds.bend(p)
    canvas.paint(inside(core + 3.0 * bend, 2.5), "white")
    # folia follow the surface of the lobe: shells about 3.5 mm apart
    folia = np.cos((lobe + 1.3 * bend + 0.35 * p.z) * 1.8)
    canvas.paint(0.55 * inside(lobe) * inside(0.86 - folia, 0.2) * inside(core * -1 + 2, 2), "csf")
    canvas.paint(inside(stem, 0.8), "white")
    peduncle = tube(m, (((8, 15, -36), 9), ((24, 32, -38), 6)))
    canvas.paint(inside(peduncle, 2), "white")
    fourth = ellipsoid(p, (0, 31, -37), (8.5 * folds.ventricles, 4.5, 10))
    aqueduct = tube(p, (((0, 22, -8), 1.2), ((0, 26, -24), 1.3), ((0, 30, -34), 1.8)))
    canvas.paint(inside(np.minimum(fourth, aqueduct)), "csf")
