"""How bright each tissue is in each pulse sequence, and the canvas on which tissues are painted over one another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from demo_cohort.fields import Field

SEQUENCES = ("T1C", "T2")
"""T1-weighted spin echo after gadolinium, and T2-weighted fast spin echo."""

BRIGHTNESS: dict[str, tuple[float, float]] = {
    # tissue: (T1C, T2), where 1 is subcutaneous fat on T1
    "air": (0.0, 0.0),
    "bone": (0.04, 0.04),
    "marrow": (0.50, 0.34),
    "fat": (1.0, 0.62),
    "skin": (0.62, 0.40),
    "muscle": (0.34, 0.17),
    "mucosa": (0.66, 0.72),
    "csf": (0.11, 1.0),
    "grey": (0.315, 0.52),
    "white": (0.410, 0.36),
    "nucleus": (0.350, 0.44),
    "vitreous": (0.10, 1.05),
    "lens": (0.34, 0.22),
    "nerve": (0.36, 0.40),
    "dura": (0.50, 0.20),
    "vein": (0.82, 0.08),
    "artery": (0.55, 0.03),
    "pituitary": (0.66, 0.45),
    "meningioma": (0.78, 0.56),
    "rim": (0.80, 0.55),
    "necrosis": (0.17, 0.92),
    "oedema": (0.285, 0.80),
    "adenoma": (0.63, 0.50),
    "cyst": (0.24, 0.90),
}


@dataclass(slots=True)
class Canvas:
    """Pictures in the making, one (n,) float32 array for each pulse sequence; it starts as air."""

    pictures: dict[str, Field] = field(default_factory=dict)

    @classmethod
    def blank(cls, like: Field, sequences: tuple[str, ...]) -> Canvas:
        """Return a canvas with as many points as `like`."""
        return cls({sequence: np.zeros_like(like) for sequence in sequences})

    def paint(self, cover: Field, tissue: str) -> None:
        """Lay a tissue over what is there; `cover` is 1 where it hides everything, 0 where it is absent."""
        for sequence in self.pictures:
            brightness = BRIGHTNESS[tissue][SEQUENCES.index(sequence)]
            self.pictures[sequence] += cover * (brightness - self.pictures[sequence])

    def modulate(self, factor: Field) -> None:
        """Multiply every picture by a texture around 1."""
        for sequence in self.pictures:
            self.pictures[sequence] *= factor
