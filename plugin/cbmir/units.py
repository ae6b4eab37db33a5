"""Whether vectors are what the network promises, finite and of unit length: one that is not might beat all others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE = 1e-3
"""How far from 1 the length of an embedding may be before it counts as broken."""


def are_units(rows: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which of (n, dim) rows are finite and of unit length."""
    with np.errstate(all="ignore"):
        # NaN compares false; what is too large for float32 becomes infinite
        lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
        return np.asarray(np.abs(lengths - 1) < TOLERANCE)
