"""Stage 5: the nearest vectors. A cache of the catalogue, with snapshots, rebuilt whenever in doubt."""

from __future__ import annotations

import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from cbmir.errors import IndexUnusable
from cbmir.locks import ReadWriteLock
from cbmir.store.graph import Graph
from cbmir.store.linked import GROWTH, Linked
from cbmir.store.snapshots import Snapshots, unreadable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from cbmir.store.protocols import Live, Vectors

    Missed = deque[Callable[[Linked], object]]

FEW_CHANGES = 20
"""Changes made during a rebuild that searches may wait for at its end."""


class SliceIndex:
    """Unit vectors by label, searched by inner product. All methods may be called from any thread."""

    KIND: ClassVar[type[Linked]] = Graph
    """What links them."""

    def __init__(self, directory: Path, *, dim: int, model: str, threads: int = 1) -> None:
        """Make an empty index whose snapshots go into the directory."""
        self._snapshots = Snapshots(directory, {**self.KIND.PARAMETERS, "dim": dim, "model": model})
        self.dim = dim
        self._threads = threads
        self._lock = ReadWriteLock()
        # for a rebuild to wait for the end of a saving: to wait as a writer would hold up every search meanwhile
        self._saving = threading.Lock()
        self._graph = self.KIND.empty(dim)
        self._missed: Missed | None = None
        self.changes_since_snapshot = 0

    def __len__(self) -> int:
        """Return the number of vectors that can be found."""
        graph = self._graph
        return len(graph) - graph.deleted

    def restore(self, live: NDArray[np.int64], vectors: Vectors) -> str:
        """Fill the index with the live labels of the catalogue. Return "snapshot" or "rebuilt: reason"."""
        try:
            self._replay(live, vectors)
        except (IndexUnusable, RuntimeError, OSError) as error:
            self.rebuild(lambda: live, vectors)
            return f"rebuilt: {error}"
        return "snapshot"

    def rebuild(self, live: Live, vectors: Vectors) -> None:
        """Build the graph anew from the catalogue, in random order, while the old one goes on answering.

        What is added and removed meanwhile is made up for at the end; so `live` must read the labels when it is called.
        """
        missed: Missed = deque()
        with self._saving, self._lock.write():
            self._missed = missed
        try:
            graph = self._built(live(), vectors)
            while len(missed) > FEW_CHANGES:
                missed.popleft()(graph)
            with self._saving, self._lock.write():
                # if it was restored or rebuilt meanwhile, this graph knows less
                if self._missed is missed:
                    for change in missed:
                        change(graph)
                    self._replace(graph)
                    self.changes_since_snapshot += 1
        except BaseException:
            self._miss_no_more(missed)
            raise

    def _built(self, labels: NDArray[np.int64], vectors: Vectors) -> Linked:
        """Return a graph of these labels, linked in random order."""
        graph = self.KIND.empty(self.dim, int(len(labels) * GROWTH))
        for some, rows in vectors(np.random.default_rng(len(labels)).permutation(labels)):
            graph.add(some, rows, self._threads)
        graph.unshuffled = 0
        return graph

    def _miss_no_more(self, missed: Missed) -> None:
        """Keep no changes for a rebuild that has failed, as of too little memory."""
        with self._lock.write():
            if self._missed is missed:
                self._missed = None

    @property
    def worn(self) -> bool:
        """Whether a rebuild is due."""
        return self._graph.is_worn()

    def add(self, labels: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Add (n, dim) float32 unit vectors under n new labels."""
        with self._lock.write():
            self._graph.add(labels, vectors, self._threads)
            self.changes_since_snapshot += len(labels)
            if self._missed is not None:
                self._missed.append(lambda graph: graph.add(labels, vectors, self._threads))

    def remove(self, labels: list[int]) -> None:
        """Remove labels; unknown and already removed ones are passed over."""
        with self._lock.write():
            self.changes_since_snapshot += self._graph.remove(labels)
            if self._missed is not None:
                self._missed.append(lambda graph: graph.remove(labels))

    def search(self, vector: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return up to k labels and their similarities, the most similar first."""
        with self._lock.read():
            return self._graph.search(vector, k)

    def snapshot(self, *, at_the_end: bool = False) -> None:
        """Write the graph to disk, whole or not at all; `at_the_end` nobody is left whom that could hold up.

        Raises
        ------
        OSError
            The volume is full or read-only; the earlier snapshot is still good.

        """
        changes = self.changes_since_snapshot
        self._snapshots.write(partial(self._save, at_the_end=at_the_end))
        self.changes_since_snapshot -= changes

    def _save(self, path: Path, *, at_the_end: bool) -> tuple[dict[str, object], int]:
        """Write the graph to a file. Return facts for its manifest, and how long the file should be."""
        if not at_the_end:
            self._graph.prepare_to_save()
        with self._saving, self._lock.read():
            graph = self._graph
            facts: dict[str, object] = {
                "count": len(graph),
                "deletedSince": graph.deleted_since,
                "unshuffled": graph.unshuffled,
            }
            end = graph.saving(path)
        return facts, end()

    def succeed(self, other: SliceIndex) -> None:
        """Have later snapshots take the place of another index's; those that there are of this one are removed."""
        self._snapshots.remove()
        self._snapshots = self._snapshots.in_place_of(other._snapshots)
        self.changes_since_snapshot += 1

    def _replay(self, live: NDArray[np.int64], vectors: Vectors) -> None:
        """Load the snapshot, take out what the catalogue has no more and add what came after."""
        graph, since = self._load()
        known = graph.labels()
        # neither holds a label twice; to look for such takes seconds of a million
        gone = np.setdiff1d(known, live, assume_unique=True).tolist()
        newly = graph.remove(gone)
        # the others were deleted before the snapshot was taken, and are in it as such
        graph.deleted = len(gone)
        graph.deleted_since = (since or time.time()) if gone else None
        with self._lock.write():
            self._replace(graph)
            self.changes_since_snapshot += newly
        for labels, portion in vectors(np.setdiff1d(live, known, assume_unique=True)):
            self.add(labels, portion)

    def _replace(self, graph: Linked) -> None:
        """Let another graph answer, and be the one that changes are for."""
        self._graph, self._missed = graph, None

    def _load(self) -> tuple[Linked, float | None]:
        """Return the graph of the snapshot, and since when some of it is deleted. Only a whole file may be loaded."""
        path, facts = self._snapshots.read()
        try:
            count = int(facts["count"])
            since = None if facts.get("deletedSince") is None else float(facts["deletedSince"])
            # an earlier version did not tell
            unshuffled = int(facts.get("unshuffled", count))
        except (ValueError, OverflowError, KeyError, TypeError) as error:
            raise unreadable(error) from None
        graph = self.KIND.loaded(path, self.dim, count)
        graph.unshuffled = unshuffled
        return graph, since
