"""The head around the brain: skin, fat, muscle, skull, sinuses, orbits, ears.

Canonical coordinates in mm: the origin lies between the thalami, the orbits at z = -30, the vertex of the brain at +70.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from demo_cohort.fields import bump, ellipsoid, inside, overlap, sphere, step, tube, union

if TYPE_CHECKING:
    from demo_cohort.canvas import Canvas
    from demo_cohort.fields import Field, Points, Waves

SKULL_MM = 6.0
"""Thickness of the vault between inner and outer table."""

GLOBE = (32.0, -75.0, -30.0)
"""Centre of the left eye."""


def vault(p: Points) -> Field:
    """Return the distance to the inner table of the vault, which goes on downward as a tapering egg."""
    low = np.minimum(p.z + 5, 0)
    stretched = type(p)(p.x / (1 + 0.06 * np.tanh(p.y / 50)), p.y, p.z - 0.62 * low)
    return ellipsoid(stretched, (0, 0, -5), (67, 84, 75))


def floor(p: Points) -> Field:
    """Return the height of the skull base under (x, y): three fossae in steps, the sella, the petrous ridges."""
    x, y = np.abs(p.x), p.y
    wing = -42 + 0.028 * (x - 38) ** 2
    front = -21 + 10 * np.exp(-(((x - 30) / 17) ** 2) - ((y + 52) / 20) ** 2)
    middle = -46 + 0.010 * np.maximum(x - 38, 0) ** 2 + 20 * step(x, 18, 10)
    sella = -33 + 9 * bump(y, -19, 3) + 10 * bump(y, 1, 2.5) - 45 * step(y, 1, 22)
    centre = step(x, 17, 11)
    middle = middle + centre * (sella - middle)
    petrous = 2 + 0.48 * (x - 8)
    back = -72 + 36 * bump(y - petrous, 0, 6.5) * step(x, 10, 20)
    height: Field = middle + step(y - wing, 3, -3) * (front - middle)
    behind = step(y - petrous, -3, 3) * np.maximum(1 - centre, step(y, 12, 24))
    height += behind * (back - height)
    return height


def cavity(p: Points) -> Field:
    """Return the distance to the inside of the skull."""
    return overlap(vault(p), 0.75 * (floor(p) - p.z), 3)


def skin(p: Points, scalp: float) -> Field:
    """Return the distance to the skin: vault and scalp, face, nose, lids and ears."""
    m = p.mirrored()
    shape = vault(p) - SKULL_MM - scalp
    shape = union(shape, ellipsoid(m, (0, -46, -58), (60, 47, 62)), 12)
    shape = union(shape, ellipsoid(m, (0, -88, -46), (12, 21, 28)), 10)
    shape = union(shape, sphere(m, GLOBE, 14.5), 6)
    # a temporal hollow behind the orbit, then the zygoma
    shape = np.maximum(shape, -ellipsoid(m, (88, -48, -8), (22, 30, 40)))
    ear = np.maximum(ellipsoid(m, (79, 16, -36), (9, 16, 26)), -ellipsoid(m, (82, 10, -38), (7, 9, 17)))
    return union(shape, ear, 4)


def paint_soft_tissue(canvas: Canvas, p: Points, outer: Field, texture: Waves) -> None:
    """Paint everything under the skin as fat, then the muscles within it."""
    canvas.paint(inside(outer), "fat")
    canvas.paint(0.3 * inside(0.8 - texture(p), 0.8) * inside(outer + 1), "skin")
    canvas.paint(inside(np.abs(outer + 0.8) - 0.8), "skin")
    m = p.mirrored()
    temporal = overlap(ellipsoid(m, (66, -26, -12), (15, 38, 44)), outer + 4, 3)
    deep = np.maximum(ellipsoid(m, (44, -30, -66), (26, 34, 34)), outer + 5)
    neck = np.maximum(ellipsoid(p, (0, 72, -92), (62, 50, 46)), outer + 7)
    hollow = np.maximum(ellipsoid(m, (50, -50, -28), (15, 24, 26)), outer + 5)
    muscle = np.minimum(np.minimum(temporal, deep), np.minimum(neck, hollow))
    canvas.paint(inside(muscle, 1.2), "muscle")
    planes = inside(np.abs(texture(p)) - 0.13, 0.12) * inside(muscle + 2)
    canvas.paint(0.7 * planes, "fat")


def paint_skull(canvas: Canvas, p: Points, hollow: Field, texture: Waves) -> None:
    """Paint the vault as two dark tables with marrow between, and the base as thicker, spottier bone."""
    egg = vault(p)
    base = step(egg, 1, -6) * step(p.z, -2, -14)
    shell = np.maximum(egg - SKULL_MM, -hollow)
    body = 9 * step(np.abs(p.x), 32, 16) * step(p.y, -58, -42)
    canvas.paint(inside(np.maximum(shell, hollow - SKULL_MM - 1 - body)), "bone")
    grain = texture(p)
    middle = np.abs(egg - 0.55 * SKULL_MM) - 1.1 - 0.2 * grain
    canvas.paint(inside(np.maximum(middle, -hollow + 1.2)) * (1 - base), "marrow")
    spongy = np.maximum(np.abs(hollow - 4) - 1.6, 0.3 - grain)
    canvas.paint(0.8 * base * inside(spongy), "marrow")
    clivus = tube(p, (((0, 1, -38), 5.5), ((0, 14, -64), 4.5)))
    canvas.paint(inside(np.maximum(clivus, 1.5 - hollow)), "marrow")


def paint_sinuses(canvas: Canvas, p: Points, texture: Waves) -> None:
    """Paint the air of frontal, ethmoid, sphenoid and maxillary sinuses and of the mastoids, lined with mucosa."""
    m = p.mirrored()
    nose = ellipsoid(m, (0, -64, -48), (13, 30, 31))
    sphenoid = ellipsoid(m, (6, -24, -42), (11, 13, 10))
    frontal = ellipsoid(m, (6, -85, -10), (9, 3.2, 8))
    maxillary = ellipsoid(m, (31, -60, -66), (15, 18, 18))
    cells = np.abs(texture(m))
    for sinus, walls in ((nose, 0.28), (sphenoid, 0.05), (frontal, 0.0), (maxillary, 0.0)):
        canvas.paint(inside(sinus - 1.6), "bone")
        canvas.paint(inside(sinus - 0.2), "mucosa")
        canvas.paint(inside(sinus + 1.0) * inside(walls - cells, 0.1), "air")
    septum = np.maximum(m.x - 0.7, nose)
    canvas.paint(0.8 * inside(septum), "mucosa")
    mastoid = ellipsoid(m, (54, 26, -46), (13, 17, 20))
    canvas.paint(inside(mastoid) * inside(0.12 - cells, 0.25), "bone")


def paint_orbits(canvas: Canvas, p: Points, outer: Field) -> None:
    """Paint the cones of fat with globe, lens, optic nerve and the four straight muscles."""
    m = p.mirrored()
    x, y, z = GLOBE
    apex = (13.0, -36.0, -27.0)
    cone = tube(m, ((apex, 3.0), ((26, -62, -29), 16.5), ((31, -73, -30), 18.0)))
    cone = overlap(cone, outer + 3, 3)
    canvas.paint(inside(cone - 1.8), "bone")
    canvas.paint(inside(cone), "fat")
    for dx, dz in ((-12.5, 0.0), (12.5, 0.0), (0.0, 11.5), (0.0, -11.5)):
        belly = ((x + apex[0]) / 2 + 1.15 * dx, (y + apex[1]) / 2, z + 1.1 * dz)
        muscle = tube(m, ((apex, 1.4), (belly, 2.6), ((x + dx, y, z + dz), 1.3)))
        canvas.paint(inside(muscle), "mucosa")
    canvas.paint(inside(tube(m, ((apex, 2.0), ((24, -52, -29), 2.1), ((x, y + 10, z), 2.1)))), "nerve")
    globe = sphere(m, GLOBE, 12.2)
    canvas.paint(inside(globe), "mucosa")
    canvas.paint(inside(globe + 1.1), "vitreous")
    canvas.paint(inside(ellipsoid(m, (x, y - 8.5, z), (4.6, 2.2, 4.6))), "lens")
