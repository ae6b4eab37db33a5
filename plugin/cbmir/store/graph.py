"""A graph of neighbours (HNSW) with what hnswlib does not tell of it. The only file with hnswlib."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import hnswlib
import numpy as np

from cbmir.errors import IndexUnusable
from cbmir.store.forked import gather_pages, started_copy
from cbmir.store.linked import GROWTH, MOST_COMPARED, Linked, nearest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

M = 32
EF_CONSTRUCTION = 200
"""Enough for a graph that is linked in random order, at half the time of 400. For what arrives see MOST_UNSHUFFLED."""
EF_SEARCH = 200
SMALLEST_CAPACITY = 4096


class Graph(Linked):
    """Whole vectors, linked by hnswlib."""

    PARAMETERS: ClassVar[dict[str, object]] = {"space": "ip", "M": M, "efConstruction": EF_CONSTRUCTION}

    def __init__(self, linked: hnswlib.Index) -> None:
        super().__init__()
        linked.set_ef(EF_SEARCH)
        self._linked = linked
        self._gone: set[int] = set()

    @classmethod
    def empty(cls, dim: int, capacity: int = 0) -> Graph:
        """Return a graph without vectors, with room for so many."""
        linked = hnswlib.Index("ip", dim)
        linked.init_index(max(SMALLEST_CAPACITY, capacity), M=M, ef_construction=EF_CONSTRUCTION)
        return cls(linked)

    @classmethod
    def loaded(cls, path: Path, dim: int, count: int) -> Graph:
        """Return the graph in a file that is known to be whole. Raises IndexUnusable if it holds another number."""
        linked = hnswlib.Index("ip", dim)
        linked.load_index(str(path), max_elements=max(SMALLEST_CAPACITY, int(count * GROWTH)))
        graph = cls(linked)
        if len(graph) != count:
            raise IndexUnusable("the snapshot holds another number of vectors than its manifest says")
        return graph

    def prepare_to_save(self) -> None:
        """As Linked.prepare_to_save: the copy of the process that saves is made sooner then."""
        gather_pages()

    def saving(self, path: Path) -> Callable[[], int]:
        """As Linked.saving: a copy of the process writes, where there can be one."""
        size = self.bytes_when_saved()
        copy = started_copy(partial(self.save, path))
        if copy is None:
            self.save(path)

        def end() -> int:
            if copy is not None:
                copy.wait()
            return size

        return end

    def save(self, path: Path) -> None:
        """Write the graph to a file. Holds Python's lock meanwhile, and does not notice a full disk."""
        self._linked.save_index(str(path))

    def __len__(self) -> int:
        """Return the number of vectors, deleted ones included."""
        return int(self._linked.get_current_count())

    def bytes_when_saved(self) -> int:
        """Return how long the file of a saved graph is."""
        return int(self._linked.index_file_size())

    def labels(self) -> NDArray[np.int64]:
        """Return the labels of all vectors, deleted ones included."""
        return np.array(self._linked.get_ids_list(), np.int64)

    def add(self, labels: NDArray[np.int64], vectors: NDArray[np.float32], threads: int) -> None:
        """Add (n, dim) float32 unit vectors under n new labels."""
        needed = len(self) + len(labels)
        if needed > self._linked.get_max_elements():
            self._linked.resize_index(int(needed * GROWTH))
        self._linked.add_items(vectors, labels, num_threads=threads)
        self.unshuffled += len(labels)

    def remove(self, labels: list[int]) -> int:
        """Have these labels no longer found. Return how many of them were known and not removed before."""
        newly = 0
        for label in labels:
            with contextlib.suppress(RuntimeError):
                self._linked.mark_deleted(label)
                newly += 1
        self._gone.update(labels)
        self._count_removed(newly)
        return newly

    def search(self, vector: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return up to k labels and their similarities, the most similar first."""
        k = min(k, len(self) - self.deleted)
        while k > 0:
            try:
                labels, distances = self._linked.knn_query(vector, k=k, num_threads=1)
            except RuntimeError:
                # the graph reaches fewer than k vectors from here: deleted copies of a vector can take all its links
                if len(self) <= MOST_COMPARED:
                    return self._one_by_one(vector, k)
                k //= 2
            else:
                return labels[0].astype(np.int64), 1 - distances[0]
        return np.empty(0, np.int64), np.empty(0, np.float32)

    def _one_by_one(self, vector: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return what `search` does, whatever is linked to what."""
        labels = np.array([label for label in self._linked.get_ids_list() if label not in self._gone], np.int64)
        similarities = np.asarray(self._linked.get_items(labels, return_type="numpy"), np.float32) @ vector
        return nearest(labels, similarities, k)
