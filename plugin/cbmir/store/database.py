"""What a database gives to the catalogue, which is written once for all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from cbmir.store.protocols import Connection

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from cbmir.errors import CbmirError
    from cbmir.store.protocols import VectorIndex

__all__ = ["Connection", "Database"]


class Database(ABC):
    """The database beneath the catalogue. Any number of threads read; of one node, one thread writes at a time."""

    shared = False
    """Whether other nodes may write too."""

    commits = 0
    """Another number whenever this node has written."""

    @abstractmethod
    def _connection(self) -> Connection:
        """Return what reads."""

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[Connection]:
        """Return what writes, whole or not at all.

        Raises
        ------
        Unavailable
            The database can only be read now, or not be reached.

        """

    @abstractmethod
    def _overwrite_deleted(self) -> None:
        """Leave nothing of what was deleted, as far as that is in the hand of whoever uses the database."""

    @abstractmethod
    def explained(self, error: Exception) -> CbmirError | None:
        """Return what an error of the database means for whoever asked, or None where it is of another kind."""

    @abstractmethod
    def leave(self) -> None:
        """Let go of what this thread alone holds, before it ends."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the connections of this thread, or of all where threads share them."""

    @abstractmethod
    def _columns(self, table: str) -> list[str]:
        """Return the names of a table's columns."""

    def own_index(self, *, dim: int, model: str) -> VectorIndex | None:  # noqa: ARG002 - for those that have one
        """Return the database's own index of a model's vectors, or None where it has none."""
        return None

    def _packed(self, vector: NDArray[np.float32]) -> Any:
        """Return a (dim,) vector as the database keeps it; it comes back as the bytes of its float32 numbers."""
        return np.ascontiguousarray(vector, np.float32).tobytes()

    def _row(self, database: Connection, orthanc_id: str) -> int | None:
        """Return the row id of an instance that something is to be written of, or None if it is not known any more."""
        row = database.execute("SELECT id FROM instance WHERE orthanc_id = ?", (orthanc_id,)).fetchone()
        return None if row is None else int(row[0])
