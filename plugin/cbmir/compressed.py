"""Stage 5 in a third of the memory: vectors of bytes find the candidates, whole ones from the catalogue decide.

The only file with faiss, which gives Python's lock back while it works, also while it saves.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import faiss
import numpy as np

from cbmir.errors import IndexUnusable
from cbmir.index import SliceIndex
from cbmir.store.linked import GROWTH, MOST_COMPARED, Linked, nearest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from cbmir.store.protocols import Vectors

M = 20
EF_CONSTRUCTION = 200
EF_SEARCH = 400
"""With less, one in twenty queries by slices of unknown series does not get out of a wrong part of the graph."""
MOST = 127
"""Of a number of a vector, as a byte."""

DEVIATIONS = 5
"""Where that lies: an element of a unit vector is rarely farther from 0 than so many times 1 / sqrt(dim)."""

LEAST_COMPARED, MOST_COMPARED_IN_FULL = 100, 1000
"""Candidates of a search whose whole vectors are read. Those beyond keep the similarity of the bytes."""


class CompressedGraph(Linked):
    """Vectors of a byte a number, linked by faiss.

    faiss cannot take vectors out: what is deleted is told to every search, and goes with the next rebuild.
    """

    PARAMETERS: ClassVar[dict[str, object]] = {
        "space": "ip",
        "M": M,
        "efConstruction": EF_CONSTRUCTION,
        "numbers": f"int8 of {DEVIATIONS} deviations",
    }

    def __init__(self, linked: Any, labels: NDArray[np.int64]) -> None:
        """Take a graph and the labels of its vectors, in their order; those of deleted ones inverted (~)."""
        super().__init__()
        self._linked = linked
        self._labels = labels
        self._scale = MOST * math.sqrt(linked.d) / DEVIATIONS
        self._alive: NDArray[np.uint8] | None = None
        self._mark()

    @classmethod
    def empty(cls, dim: int, capacity: int = 0) -> CompressedGraph:
        """Return a graph without vectors, with room for so many labels."""
        kind = faiss.ScalarQuantizer.QT_8bit_direct_signed
        linked = faiss.IndexHNSWSQ(dim, kind, M, faiss.METRIC_INNER_PRODUCT)
        linked.hnsw.efConstruction = EF_CONSTRUCTION
        return cls(linked, np.empty(capacity, np.int64))

    @classmethod
    def loaded(cls, path: Path, dim: int, count: int) -> CompressedGraph:
        """Return the graph in a file that is known to be whole. Raises IndexUnusable if it holds another number."""
        linked = faiss.read_index(str(path))
        if not isinstance(linked, faiss.IndexHNSWSQ) or (linked.d, linked.ntotal) != (dim, count):
            raise IndexUnusable("the snapshot holds another number of vectors than its manifest says")
        size = count * np.dtype(np.int64).itemsize
        return cls(linked, np.fromfile(path, np.int64, offset=path.stat().st_size - size))

    def prepare_to_save(self) -> None:
        """As Linked.prepare_to_save: there is nothing to do."""

    def saving(self, path: Path) -> Callable[[], int]:
        """As Linked.saving. It is all written at once: no other thread waits for that."""
        with path.open("wb") as file:
            # not by faiss itself, which would not say that the end of a file did not fit onto the disk
            faiss.write_index(self._linked, faiss.PyCallbackIOWriter(file.write))
            file.write(self._labels[: len(self)].tobytes())
            size = file.tell()
        return lambda: size

    def __len__(self) -> int:
        """Return the number of vectors, deleted ones included."""
        return int(self._linked.ntotal)

    def labels(self) -> NDArray[np.int64]:
        """Return the labels of all vectors, deleted ones included."""
        labels = self._labels[: len(self)]
        return np.where(labels < 0, ~labels, labels)

    def add(self, labels: NDArray[np.int64], vectors: NDArray[np.float32], threads: int) -> None:
        """Add (n, dim) float32 unit vectors under n new labels."""
        start, end = len(self), len(self) + len(labels)
        if end > len(self._labels):
            self._labels = np.concatenate([self._labels[:start], np.empty(int(GROWTH * end) - start, np.int64)])
        self._labels[start:end] = labels
        # of the calling thread alone
        faiss.omp_set_num_threads(threads)
        self._linked.add(np.clip(np.rint(vectors * self._scale), -MOST, MOST))
        self.unshuffled += len(labels)
        self._mark()

    def remove(self, labels: list[int]) -> int:
        """Have these labels no longer found. Return how many of them were known and not removed before."""
        known = self._labels[: len(self)]
        places = np.flatnonzero(np.isin(known, np.array(labels, np.int64)))
        known[places] = ~known[places]
        self._mark()
        self._count_removed(len(places))
        return len(places)

    def _mark(self) -> None:
        """Note which vectors may be found, a bit each, where some may not."""
        alive = self._labels[: len(self)] >= 0
        self._alive = None if alive.all() else np.packbits(alive, bitorder="little")

    def search(self, vector: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return up to k labels and about their similarities, the most similar first."""
        k = min(k, len(self) - self.deleted)
        if k <= 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        alive = self._alive
        selector = None if alive is None else faiss.IDSelectorBitmap(alive)
        # the queue without a bound is the quicker one, and does not ask the selector
        bounded = selector is not None
        parameters = faiss.SearchParametersHNSW(sel=selector, efSearch=max(k, EF_SEARCH), bounded_queue=bounded)
        similarities, places = self._linked.search(vector[np.newaxis] * self._scale, k, params=parameters)
        found = places[0] >= 0
        if not found.all() and len(self) <= MOST_COMPARED:
            # deleted copies of a vector can take all its links
            return self._one_by_one(vector, k)
        return self._labels[places[0, found]], similarities[0, found] / np.float32(self._scale**2)

    def _one_by_one(self, vector: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return what `search` does, whatever is linked to what."""
        places = np.flatnonzero(self._labels[: len(self)] >= 0)
        similarities = self._linked.reconstruct_batch(places) @ vector / np.float32(self._scale)
        return nearest(self._labels[places], similarities, k)


class CompressedIndex(SliceIndex):
    """As SliceIndex, of compressed vectors; the nearest are compared in full."""

    KIND: ClassVar[type[Linked]] = CompressedGraph

    def __init__(self, directory: Path, *, dim: int, model: str, vectors: Vectors, threads: int = 1) -> None:
        """Make an empty index; `vectors` reads whole ones."""
        super().__init__(directory, dim=dim, model=model, threads=threads)
        self._vectors = vectors

    def search(self, vector: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return up to k labels and their similarities, the most similar first."""
        labels, similarities = super().search(vector, max(k, LEAST_COMPARED))
        near = labels[:MOST_COMPARED_IN_FULL]
        for some, rows in self._vectors(near):
            # in the order asked for, without what the catalogue has no more
            similarities[np.flatnonzero(np.isin(near, some))] = rows @ vector
        return nearest(labels, similarities, k)
