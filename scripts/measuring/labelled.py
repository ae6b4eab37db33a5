"""Labelled pictures that find each other by a runtime's embeddings: what a precision costs in retrieval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evaluation.metrics import average_precision, rank
from measuring.machine import REPOSITORY
from sources.slice_files import picture
from sources.tables import Columns, read

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from measuring.runtimes import Run

TABLE = REPOSITORY.parent / "shared" / "data" / "brain15" / "index.csv"
"""Pictures of a collection that the shipped network was not trained on."""

COLUMNS = Columns(group="pseudo_case")
BATCH = 16


@dataclass(frozen=True, slots=True)
class Labelled:
    """Squares (n, 1, size, size), with class and case of each."""

    squares: NDArray[np.float32]
    labels: NDArray[np.str_]
    cases: NDArray[np.str_]

    @classmethod
    def sample(cls, number: int, size: int) -> Labelled | None:
        """Return so many pictures of the collection, or None where none are wanted or it is not there."""
        if not number or not TABLE.exists():
            return None
        rows = read(str(TABLE), COLUMNS)
        chosen = [rows[place] for place in np.random.default_rng(0).permutation(len(rows))[:number]]
        return cls(
            np.stack([picture(row.file, size) for row in chosen]),
            np.array([row.label for row in chosen]),
            np.array([row.group for row in chosen]),
        )

    def mean_average_precision(self, run: Run) -> float:
        """Return the mAP of every picture as a query among the others, without those of its own case."""
        parts = [run(self.squares[start : start + BATCH]) for start in range(0, len(self.squares), BATCH)]
        vectors = np.concatenate(parts)
        own = self.cases[:, np.newaxis] == self.cases
        return float(np.nanmean(average_precision(rank(vectors @ vectors.T, self.labels, self.labels, own))))
