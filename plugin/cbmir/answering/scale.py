"""How alike slices are in this archive, and what that says of a similarity. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from cbmir.records import Calibration
from cbmir.watching.calibration import FEWEST_PATIENTS, FEWEST_SLICES, UNUSUAL_PERCENT

if TYPE_CHECKING:
    from collections.abc import Mapping

CALIBRATION = "calibration"
"""What the catalogue calls this kind of figures."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Says where a similarity lies among those of the archive's slices to their nearest."""

    calibration: Calibration | None

    @classmethod
    def of(cls, figures: Mapping[str, Any] | None) -> Self:
        """Return the scale of what the catalogue holds, if it holds anything."""
        if figures is None:
            return cls(None)
        return cls(Calibration(figures["patients"], figures["sample"], tuple(map(float, figures["quantiles"]))))

    @property
    def is_known(self) -> bool:
        """Whether enough was measured to say anything."""
        one = self.calibration
        return one is not None and one.patients >= FEWEST_PATIENTS and one.sample >= FEWEST_SLICES

    @property
    def usual_from(self) -> float | None:
        """The similarity below which a nearest slice is farther than nearly every slice of the archive has its own."""
        if self.calibration is None or not self.is_known:
            return None
        return self.calibration.quantiles[UNUSUAL_PERCENT]

    def percentile(self, similarity: float) -> int | None:
        """Return the percentage of the archive's slices whose nearest is less similar than this; None if not known."""
        if self.calibration is None or not self.is_known:
            return None
        quantiles = self.calibration.quantiles
        # among equal quantiles the one in the middle: a similarity that half of the archive has is no rarity
        return (bisect_left(quantiles, similarity) + bisect_right(quantiles, similarity)) * 100 // (2 * len(quantiles))


NO_SCALE = Scale(None)
