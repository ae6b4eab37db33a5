"""The catalogue's part about what slices look like from afar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cbmir.store.database import Database
from cbmir.store.sql import marks, portions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cbmir.store.protocols import Connection


class Sketches(Database):
    """A sketch (see `pixels.sketch`) of each slice that was indexed since there are any. It goes with its slice."""

    def sketches(self, labels: Sequence[int]) -> dict[int, NDArray[np.uint8]]:
        """Return the (64,) sketches of slices by label; those without one are missing."""
        found: dict[int, NDArray[np.uint8]] = {}
        for some in portions(labels):
            rows = self._connection().execute(f"SELECT label, greys FROM sketch WHERE label IN ({marks(some)})", some)
            found.update((label, np.frombuffer(greys, np.uint8)) for label, greys in rows)
        return found

    @staticmethod
    def _keep_sketches(
        database: Connection, labels: Sequence[int], sketches: Sequence[NDArray[np.uint8] | None]
    ) -> None:
        """Keep those that there are, one a label."""
        database.executemany(
            "INSERT INTO sketch (label, greys) VALUES (?, ?)",
            [(label, one.tobytes()) for label, one in zip(labels, sketches, strict=True) if one is not None],
        )
