"""One patient's head: the canonical anatomy, shaped, turned and with a tumour put into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from demo_cohort import brain, coverings, skull
from demo_cohort.canvas import Canvas
from demo_cohort.fields import Points, Waves

if TYPE_CHECKING:
    from demo_cohort.fields import Field, Vector
    from demo_cohort.lesions import Lesion


@dataclass(frozen=True, slots=True)
class Head:
    """What makes a head this patient's.

    Attributes
    ----------
    scale
        Size along x, y and z relative to the canonical head.
    scalp
        Thickness of skin and fat in mm.
    folds
        The brain within.
    shape, grain, strands
        Fields that bend the whole head (mm), spot the marrow, and divide the muscles.
    lesion
        The tumour, if any.

    """

    scale: Vector
    scalp: float
    folds: brain.Folds
    shape: tuple[Waves, Waves, Waves]
    grain: Waves
    strands: Waves
    lesion: Lesion | None

    @classmethod
    def of(cls, rng: np.random.Generator, age: int, lesion: Lesion | None) -> Head:
        """Draw a head; ventricles and sulci widen with age."""
        old = max(0.0, (age - 35) / 45)
        scale = (rng.normal(1, 0.03), rng.normal(1, 0.03), rng.normal(1, 0.025))
        folds = brain.Folds.of(rng, 0.85 + 0.45 * old + 0.12 * rng.random(), 0.75 + 0.6 * old + 0.2 * rng.random())
        shape = (Waves(rng, 130, 8), Waves(rng, 130, 8), Waves(rng, 130, 8))
        return cls(scale, rng.uniform(4.5, 8), folds, shape, Waves(rng, 9, 10), Waves(rng, 12, 8), lesion)

    def pictures(self, p: Points, sequences: tuple[str, ...]) -> dict[str, Field]:
        """Return the brightness at each point for each sequence: (n,) float32, 1 for fat on T1.

        `p` is in mm in the head's own upright axes.
        """
        p = self._canonical(p)
        outer = skull.skin(p, self.scalp) + 0.5 * self.shape[0](Points(3 * p.x, 3 * p.y, 3 * p.z))
        # everything farther out is air: not worth the time
        head = np.flatnonzero(outer < 2)
        canvas = self._painted(Points(p.x[head], p.y[head], p.z[head]), outer[head], sequences)
        pictures = {sequence: np.zeros_like(p.x) for sequence in sequences}
        for sequence, picture in pictures.items():
            picture[head] = canvas.pictures[sequence]
        return pictures

    def _canonical(self, p: Points) -> Points:
        p = Points(p.x / self.scale[0], p.y / self.scale[1], p.z / self.scale[2])
        dx, dy, dz = (1.7 * waves(p) for waves in self.shape)
        return p.moved(dx, dy, dz)

    def _painted(self, p: Points, outer: Field, sequences: tuple[str, ...]) -> Canvas:
        """Paint from outside to inside and from back to front."""
        canvas = Canvas.blank(p.x, sequences)
        hollow = skull.cavity(p)
        skull.paint_soft_tissue(canvas, p, outer, self.strands)
        skull.paint_skull(canvas, p, hollow, self.grain)
        skull.paint_sinuses(canvas, p, self.grain)
        skull.paint_orbits(canvas, p, outer)
        coverings.paint_dura(canvas, hollow)
        q = self.lesion.pushed(p, hollow) if self.lesion else p
        stem = brain.brainstem(q)
        surface = brain.cerebrum(q, hollow, stem)
        brain.paint_hindbrain(canvas, q, hollow, stem, self.folds)
        brain.paint_cerebrum(canvas, q, hollow, surface, self.folds)
        coverings.paint_membranes(canvas, q, hollow, surface)
        coverings.paint_vessels(canvas, q, hollow, self.folds)
        coverings.paint_sella(canvas, q)
        canvas.modulate(1 + 0.02 * self.folds.vessels(q))
        if self.lesion:
            self.lesion.paint(canvas, p, hollow, surface)
        return canvas
