"""Three kinds of tumour, each with its site, its looks and what it does to the brain around it.

Canonical coordinates in mm, as in `skull`. Looks follow T1-weighted images after contrast: a meningioma sits broadly on
the dura and enhances evenly, a glioblastoma lies in the white matter as a ragged ring around necrosis with oedema, a
pituitary adenoma grows from the sella upward like a snowman.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from demo_cohort.fields import Points, Waves, ellipsoid, inside, overlap, sphere, step, union
from demo_cohort.skull import cavity

if TYPE_CHECKING:
    from demo_cohort.canvas import Canvas
    from demo_cohort.fields import Field, Vector


@dataclass(frozen=True, slots=True)
class Lesion:
    """A tumour within a head.

    Attributes
    ----------
    kind
        "meningioma", "glioma" or "pituitary".
    centre
        Where, in mm.
    radius
        Size in mm.
    on_falx
        True for a meningioma that sits on the falx instead of the vault.
    swelling
        Width of the oedema, as a multiple of the radius.
    cystic
        Share of an adenoma that does not enhance, 0 to 1.
    coarse, fine
        Fields that make outlines uneven and the inside spotty.

    """

    kind: str
    centre: Vector
    radius: float
    on_falx: bool
    swelling: float
    cystic: float
    coarse: Waves
    fine: Waves

    def middle(self) -> Vector:
        """Return the middle of the tumour along the body axis, around which slices are best taken."""
        x, y, z = self.centre
        return (x, y, z + 0.6 * self.radius) if self.kind == "pituitary" else self.centre

    def pushed(self, p: Points, hollow: Field) -> Points:
        """Return where the tissue now at `p` lay before the tumour grew: nearer to its centre, unless held by bone."""
        if self.kind == "pituitary":
            return p
        dx, dy, dz = p.x - self.centre[0], p.y - self.centre[1], p.z - self.centre[2]
        reach = (2.0 if self.kind == "glioma" else 1.35) * self.radius
        pull = 0.5 * np.exp(-(dx * dx + dy * dy + dz * dz) / (reach * reach)) * step(-hollow, 0, 10)
        return p.moved(-dx * pull, -dy * pull, -dz * pull)

    def paint(self, canvas: Canvas, p: Points, hollow: Field, surface: Field) -> None:
        """Paint the tumour over brain and bone."""
        {"meningioma": self._meningioma, "glioma": self._glioma, "pituitary": self._adenoma}[self.kind](
            canvas, p, hollow, surface
        )

    def _oedema(self, canvas: Canvas, p: Points, surface: Field) -> None:
        """Paint oedema: finger-like, in white matter only."""
        width = self.swelling * self.radius
        reach = sphere(p, self.centre, self.radius + width) + 0.55 * width * self.coarse(p)
        canvas.paint(0.9 * inside(reach, 3) * step(-surface, 3, 7), "oedema")

    def _meningioma(self, canvas: Canvas, p: Points, hollow: Field, surface: Field) -> None:
        self._oedema(canvas, p, surface)
        side = float(np.sign(self.centre[0]))
        base = np.maximum(hollow + 0.5, 0.6 - side * p.x) if self.on_falx else hollow + 0.5
        lump = sphere(p, self.centre, self.radius) + 0.055 * self.radius * self.coarse(p)
        shape = overlap(lump, base, 3)
        # a film of fluid between tumour and cortex shows that it lies outside the brain
        canvas.paint(0.75 * inside(np.maximum(shape - 1.5, base)), "csf")
        tail = np.maximum(np.abs(base + 0.8) - 1.1, lump - 0.55 * self.radius)
        canvas.paint(0.9 * inside(np.minimum(tail, shape)), "meningioma")
        canvas.paint(0.25 * inside(shape + 2) * inside(self.fine(p) - 0.2, 0.8), "rim")
        canvas.paint(0.25 * inside(shape + 0.25 * self.radius, 2) * inside(0.9 - self.fine(p), 0.5), "grey")

    def _glioma(self, canvas: Canvas, p: Points, hollow: Field, surface: Field) -> None:
        self._oedema(canvas, p, surface)
        ragged = 0.15 * self.radius * self.coarse(p)
        outer = overlap(sphere(p, self.centre, self.radius) + ragged, hollow + 2.5, 3)
        wall = self.radius * (0.18 + 0.11 * self.fine(p))
        canvas.paint(0.8 * inside(outer - 1, 1.5), "rim")
        core = outer + np.maximum(wall, 1.2)
        canvas.paint(inside(core, 1.0), "necrosis")
        strands = inside(np.abs(self.fine(p)) - 0.15, 0.3) * inside(core + 2, 2)
        canvas.paint(0.18 * strands, "rim")

    def _adenoma(self, canvas: Canvas, p: Points, hollow: Field, surface: Field) -> None:
        del hollow, surface
        x, y, z = self.centre
        r = self.radius
        lower = ellipsoid(p, (x, y, z), (1.1 * r, r, 0.95 * r))
        upper = ellipsoid(p, (0.5 * x, y + 1, z + 1.35 * r), (0.88 * r, 0.85 * r, 0.85 * r))
        shape = union(lower, upper, 2) + 0.07 * r * self.coarse(p)
        canvas.paint(inside(shape - 1.2), "bone")
        canvas.paint(inside(shape), "adenoma")
        canvas.paint(0.3 * inside(shape + 1.5) * inside(self.fine(p) - 0.2, 0.8), "meningioma")
        if not self.cystic:
            return
        cyst = ellipsoid(p, (0.5 * x, y + 1, z + 1.4 * r), (0.9 * r * self.cystic,) * 3)
        canvas.paint(inside(cyst + 0.1 * r * self.coarse(p), 1), "cyst")


def on_dura(direction: Vector, depth: float) -> Vector:
    """Return the point in a direction from the origin that lies `depth` mm within the skull."""
    unit = np.array(direction, np.float32) / np.float32(np.linalg.norm(direction))
    ray = np.arange(0, 110, 0.5, dtype=np.float32)
    hollow = cavity(Points(unit[0] * ray, unit[1] * ray, unit[2] * ray))
    # the last point still deep enough: rays toward the base may leave and enter again
    return tuple((unit * ray[np.flatnonzero(hollow < -depth)[-1]]).tolist())
