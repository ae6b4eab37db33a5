"""What graphs of neighbours have in common, whichever library links them: how worn they are."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

GROWTH = 1.5
MOST_DELETED = 0.2
"""Share of deleted vectors at which a rebuild pays: they are still visited."""

SMALLEST_WORTH = 1000
"""Vectors from which on that share counts: few are rebuilt in no time, but not after each one that goes."""

MOST_COMPARED = 20_000
"""Vectors that are compared one by one, at most, where the graph reaches too few."""

MOST_UNSHUFFLED = 0.25
"""Share of vectors that were added in the order of their arrival at which a rebuild pays: they are found less often."""

FEW_UNSHUFFLED = 20_000
"""Vectors that may be added so before it pays at all."""

LONGEST_DELETED_SECONDS = 12 * 3600.0
"""How long at most before a rebuild is due whatever it costs: the bytes of deleted vectors, which are patient data,
are still in the graph and its snapshots. Long before a day is over, as a rebuild takes its time."""


class Linked(ABC):
    """Unit vectors by label, linked for a search by inner product. It has no lock.

    Attributes
    ----------
    deleted, deleted_since
        How many vectors are marked as deleted, and when the first of them was.
    unshuffled
        How many vectors were added in the order of their arrival.

    """

    PARAMETERS: ClassVar[dict[str, object]]
    """What a saved graph was made with."""

    def __init__(self) -> None:
        self.deleted = 0
        self.deleted_since: float | None = None
        self.unshuffled = 0

    @classmethod
    @abstractmethod
    def empty(cls, dim: int, capacity: int = 0) -> Self:
        """Return a graph without vectors, with room for so many."""

    @classmethod
    @abstractmethod
    def loaded(cls, path: Path, dim: int, count: int) -> Self:
        """Return the graph in a file that is known to be whole. Raises IndexUnusable if it holds another number."""

    @abstractmethod
    def prepare_to_save(self) -> None:
        """Do what may take long before, and may be done while others search and change it."""

    @abstractmethod
    def saving(self, path: Path) -> Callable[[], int]:
        """Begin to write the graph to a file, as it is now.

        Return what waits for the end, and then returns how long the file should be. Both may raise OSError.
        """

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of vectors, deleted ones included."""

    @abstractmethod
    def labels(self) -> NDArray[np.int64]:
        """Return the labels of all vectors, deleted ones included."""

    @abstractmethod
    def add(self, labels: NDArray[np.int64], vectors: NDArray[np.float32], threads: int) -> None:
        """Add (n, dim) float32 unit vectors under n new labels."""

    @abstractmethod
    def remove(self, labels: list[int]) -> int:
        """Have these labels no longer found. Return how many of them were known and not removed before."""

    @abstractmethod
    def search(self, vector: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return up to k labels and their similarities, the most similar first."""

    def is_worn(self) -> bool:
        """Return whether a rebuild pays, or must be because something was deleted long ago."""
        if self.deleted > MOST_DELETED * max(SMALLEST_WORTH, len(self)):
            return True
        if self.unshuffled > max(FEW_UNSHUFFLED, MOST_UNSHUFFLED * len(self)):
            return True
        # a clock that was set back proves nothing
        return self.deleted_since is not None and not 0 <= time.time() - self.deleted_since < LONGEST_DELETED_SECONDS

    def _count_removed(self, newly: int) -> None:
        self.deleted += newly
        if newly and self.deleted_since is None:
            self.deleted_since = time.time()


def nearest(
    labels: NDArray[np.int64], similarities: NDArray[np.float32], k: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the labels, or those k of them that are the most similar, and their similarities, the nearest first."""
    order = np.argsort(-similarities, kind="stable")[:k]
    return labels[order], similarities[order]
