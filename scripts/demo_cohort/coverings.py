"""What surrounds the brain within the skull: dura, falx, tentorium, veins, arteries, and the pituitary gland.

Canonical coordinates in mm, as in `skull`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from demo_cohort.brain import tentorium
from demo_cohort.fields import ellipsoid, inside, overlap, tube

if TYPE_CHECKING:
    from demo_cohort.brain import Folds
    from demo_cohort.canvas import Canvas
    from demo_cohort.fields import Field, Path, Points

TRANSVERSE_SINUS: Path = (
    ((0, 78, -19), 3.6), ((24, 75, -22), 3.8), ((44, 60, -26), 4.0), ((56, 40, -30), 4.2), ((57, 28, -33), 4.4),
)  # fmt: skip
SIGMOID_SINUS: Path = (((57, 28, -33), 4.5), ((46, 22, -48), 4.5))
STRAIGHT_SINUS: Path = (((0, 32, 8), 1.8), ((0, 60, -8), 2.0), ((0, 80, -17), 2.6))
INTERNAL_CEREBRAL_VEIN: Path = (((2, -4, 13), 0.7), ((2.5, 18, 12), 0.9), ((0, 32, 8), 1.6))
CHOROID_PLEXUS: Path = (((5, -4, 17), 0.8), ((15, 21, 17), 1.4), ((23, 34, 10), 2.6), ((30, 22, -8), 1.0))

ARTERIES: tuple[Path, ...] = (
    (((15, -2, -44), 2.5), ((14, -14, -32), 2.5), ((12, -14, -20), 2.2)),
    (((12, -14, -19), 1.5), ((28, -18, -15), 1.4), ((42, -16, -8), 1.2), ((43, 2, 6), 1.0)),
    (((11, -14, -19), 1.2), ((2, -24, -16), 1.1), ((1.6, -44, 4), 1.0), ((1.6, -34, 30), 0.8)),
    (((0, 4, -58), 1.7), ((0, -2, -40), 1.7), ((0, 0, -20), 1.5)),
    (((1, 0, -19), 1.1), ((15, 8, -17), 1.0), ((18, 26, -13), 1.0)),
)
"""Internal carotid, middle, anterior cerebral, basilar and posterior cerebral artery, left side."""


def paint_dura(canvas: Canvas, hollow: Field) -> None:
    """Paint dura, falx and tentorium, which enhance a little, and fill the inside of the skull with fluid first."""
    canvas.paint(inside(hollow), "csf")
    canvas.paint(0.35 * inside(np.abs(hollow + 0.4) - 0.5), "dura")


def paint_membranes(canvas: Canvas, p: Points, hollow: Field, surface: Field) -> None:
    """Paint falx and tentorium over the brain."""
    free = ellipsoid(p, (0, 8, -2), (40, 58, 40))
    falx = np.maximum(np.abs(p.x) - 0.6, np.maximum(-free, hollow))
    falx = np.maximum(falx, tentorium(p) - p.z)
    canvas.paint(0.8 * inside(falx), "dura")
    leaf = np.abs(p.z - tentorium(p)) * 0.6 - 0.6
    edge = np.sqrt((p.x / 19) ** 2 + ((p.y - 12) / 26) ** 2)
    leaf = np.maximum(leaf, np.maximum(hollow, 8 * (1 - edge)))
    leaf = np.maximum(leaf, 6 + 0.45 * np.abs(p.x) - p.y)
    canvas.paint(0.6 * inside(np.maximum(leaf, -surface - 8)), "dura")


def paint_vessels(canvas: Canvas, p: Points, hollow: Field, folds: Folds) -> None:
    """Paint the sinuses of the dura, deep veins, choroid plexus and arteries."""
    m = p.mirrored()
    sagittal = np.maximum(overlap(hollow + 0.3, m.x * 1.25 + np.minimum(-hollow, 20) - 6.5, 1), 18 - p.z - 0.9 * p.y)
    transverse = np.maximum(tube(m, TRANSVERSE_SINUS), hollow + 0.2)
    sigmoid = np.maximum(tube(m, SIGMOID_SINUS), hollow - 3)
    for vein in (sagittal, transverse, sigmoid, tube(m, STRAIGHT_SINUS), tube(m, INTERNAL_CEREBRAL_VEIN)):
        canvas.paint(inside(vein), "vein")
    canvas.paint(0.75 * inside(tube(m, CHOROID_PLEXUS) + 0.5 * folds.vessels(p)), "vein")
    for artery in ARTERIES:
        canvas.paint(inside(tube(m, artery)), "artery")


def paint_sella(canvas: Canvas, p: Points) -> None:
    """Paint cavernous sinuses, pituitary gland, its stalk, and the optic nerves where they cross."""
    m = p.mirrored()
    canvas.paint(0.85 * inside(ellipsoid(m, (15, -9, -31), (6, 13, 7))), "vein")
    canvas.paint(inside(ellipsoid(m, (0, -9, -30), (8, 6, 4))), "pituitary")
    canvas.paint(0.8 * inside(tube(m, (((0, -7, -16), 1.2), ((0, -9, -27), 1.2)))), "vein")
    chiasm = tube(m, (((13, -26, -24), 1.8), ((3, -9, -17), 2.0), ((12, 4, -14), 2.0)))
    canvas.paint(inside(chiasm), "nerve")
