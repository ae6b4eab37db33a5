"""What stands behind the catalogue and the index: SQLite and hnswlib, or PostgreSQL and pgvector. Protocols only.

The catalogue is written once, in SQL that both databases understand, with SQLite's marks for values (`?`, `?1`,
`:name`); `Database` is what a database gives to it. An index is written for each engine; each is a `VectorIndex`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    Live = Callable[[], NDArray[np.int64]]
    Vectors = Callable[[NDArray[np.int64]], Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]]


class Rows(Protocol):
    """What a statement gives back."""

    @property
    def rowcount(self) -> int:
        """The number of rows that were written."""

    def __iter__(self) -> Iterator[Any]:
        """Yield the rows as tuples."""

    def fetchone(self) -> Any:
        """Return the next row, or None."""

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""


class Connection(Protocol):
    """Takes statements, within a transaction or each as one."""

    def execute(self, text: str, values: Any = ..., /) -> Rows:
        """Run a statement with the values that it binds."""

    def executemany(self, text: str, values: Iterable[Any], /) -> object:
        """Run a statement with each of these values."""


class VectorIndex(Protocol):
    """The nearest unit vectors of one model, by label and inner product. All methods may be called from any thread."""

    dim: int
    changes_since_snapshot: int

    def __len__(self) -> int:
        """Return the number of vectors that can be found."""

    @property
    def worn(self) -> bool:
        """Whether a rebuild is due."""

    def restore(self, live: NDArray[np.int64], vectors: Vectors) -> str:
        """Have the index hold the live labels of the catalogue. Return "snapshot" or "rebuilt: reason"."""

    def rebuild(self, live: Live, vectors: Vectors) -> None:
        """Make it as good as new, while it goes on answering and other threads go on to add and remove.

        `live` reads the labels of the catalogue when it is called.
        """

    def add(self, labels: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Add (n, dim) float32 unit vectors under n new labels, which the catalogue has already."""

    def remove(self, labels: list[int]) -> None:
        """Remove labels; unknown ones are passed over."""

    def search(self, vector: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return up to k labels and their similarities, the most similar first."""

    def snapshot(self, *, at_the_end: bool = False) -> None:
        """Save what the next start needs. Raises OSError if that cannot be written."""

    def succeed(self, other: Self) -> None:
        """Take the place of another index of the same kind, also in what the next start finds."""


class Selection(Protocol):
    """Some of the slices of a model."""

    def __len__(self) -> int:
        """Return their number."""

    def labels(self) -> NDArray[np.int64]:
        """Return their labels."""

    def holds(self, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of these labels are among them."""
