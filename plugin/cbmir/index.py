"""Stage 5: nearest vectors by HNSW. A cache of the catalogue, rebuilt whenever in doubt. The only file with hnswlib."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from typing import TYPE_CHECKING

import hnswlib
import numpy as np

from cbmir.errors import IndexUnusable
from cbmir.failpoints import reach
from cbmir.locks import ReadWriteLock

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cbmir.store.protocols import Vectors

M = 32
EF_CONSTRUCTION = 400
"""Slices arrive series by series, which links a graph badly unless it searches wide while it grows."""
EF_SEARCH = 200
SMALLEST_CAPACITY = 4096
GROWTH = 1.5
MOST_DELETED = 0.2
"""Share of deleted vectors at which a rebuild pays: they are still visited."""

LONGEST_DELETED_SECONDS = 12 * 3600.0
"""How long at most before a rebuild is due whatever it costs: the bytes of deleted vectors, which are patient data,
are still in the graph and its snapshots. Long before a day is over, as it waits for the next maintenance."""

FORMAT = 1
MANIFEST = "index.json"


class SliceIndex:
    """Unit vectors by label, searched by inner product. All methods may be called from any thread."""

    def __init__(self, directory: Path, *, dim: int, model: str, threads: int = 1) -> None:
        """Make an empty index whose snapshots go into the directory."""
        self._directory = directory
        self.dim = dim
        self._model = model
        self._threads = threads
        self._lock = ReadWriteLock()
        self._graph = self._new_graph(SMALLEST_CAPACITY)
        self._deleted = 0
        self._deleted_since: float | None = None
        self.changes_since_snapshot = 0

    def __len__(self) -> int:
        """Return the number of vectors that can be found."""
        return int(self._graph.get_current_count()) - self._deleted

    def restore(self, live: NDArray[np.int64], vectors: Vectors) -> str:
        """Fill the index with the live labels of the catalogue. Return "snapshot" or "rebuilt: reason"."""
        try:
            self._replay(live, vectors)
        except (IndexUnusable, RuntimeError, OSError) as error:
            reason = str(error)
        else:
            if not self.worn:
                return "snapshot"
            reason = "what is deleted must go from the snapshot"
        self.rebuild(live, vectors)
        return f"rebuilt: {reason}"

    def rebuild(self, live: NDArray[np.int64], vectors: Vectors) -> None:
        """Build the graph anew from the catalogue, in shuffled order, while the old one goes on answering.

        Labels that are added or removed meanwhile must be by the same thread, so there are none.
        """
        shuffled = np.random.default_rng(len(live)).permutation(live)
        graph = self._new_graph(max(SMALLEST_CAPACITY, int(len(live) * GROWTH)))
        for labels, portion in vectors(shuffled):
            graph.add_items(portion, labels, num_threads=self._threads)
        with self._lock.write():
            self._graph, self._deleted, self._deleted_since = graph, 0, None
            self.changes_since_snapshot += 1

    @property
    def worn(self) -> bool:
        """Whether a rebuild is due: so much is deleted that it pays, or something so long ago that it must go."""
        if self._deleted > MOST_DELETED * max(SMALLEST_CAPACITY, int(self._graph.get_current_count())):
            return True
        # a clock that was set back proves nothing
        return self._deleted_since is not None and not 0 <= time.time() - self._deleted_since < LONGEST_DELETED_SECONDS

    def add(self, labels: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Add (n, dim) float32 unit vectors under n new labels."""
        with self._lock.write():
            needed = self._graph.get_current_count() + len(labels)
            if needed > self._graph.get_max_elements():
                self._graph.resize_index(int(needed * GROWTH))
            self._graph.add_items(vectors, labels, num_threads=self._threads)
            self.changes_since_snapshot += len(labels)

    def remove(self, labels: list[int]) -> None:
        """Remove labels; unknown and already removed ones are passed over."""
        with self._lock.write():
            newly = _mark_deleted(self._graph, labels)
            self._deleted += newly
            self.changes_since_snapshot += newly
            if newly and self._deleted_since is None:
                self._deleted_since = time.time()

    def search(self, vector: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return up to k labels and their similarities, the most similar first."""
        with self._lock.read():
            k = min(k, len(self))
            while k > 0:
                try:
                    labels, distances = self._graph.knn_query(vector, k=k, num_threads=1)
                except RuntimeError:
                    # the graph reaches fewer than k vectors from here
                    k //= 2
                else:
                    return labels[0].astype(np.int64), 1 - distances[0]
        return np.empty(0, np.int64), np.empty(0, np.float32)

    def vectors(self, labels: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """Return the (n, dim) vectors of these labels, or None if one of them is not here."""
        with self._lock.read():
            try:
                return np.asarray(self._graph.get_items(labels, return_type="numpy"), np.float32)
            except RuntimeError:
                return None

    def snapshot(self) -> None:
        """Write the graph to disk, whole or not at all: the manifest's rename is the moment it counts.

        Raises
        ------
        OSError
            The volume is full or read-only; the earlier snapshot is still good.

        """
        with self._lock.read():
            changes = self.changes_since_snapshot
            written = self._directory / "index.tmp"
            _make_private(written)
            self._graph.save_index(str(written))
            # hnswlib does not notice a full disk
            if written.stat().st_size != self._graph.index_file_size():
                written.unlink()
                raise OSError("the snapshot is shorter than the index: is the volume full?")
            count = int(self._graph.get_current_count())
            since = self._deleted_since
        reach("snapshot-written")
        sha256 = _sha256(written)
        final = self._directory / f"index-{sha256[:12]}.bin"
        _sync(written)
        written.rename(final)
        reach("snapshot-renamed")
        facts = {"format": FORMAT, "file": final.name, "sha256": sha256, "count": count, "deletedSince": since}
        facts |= self._identity()
        manifest = self._directory / f"{MANIFEST}.tmp"
        _make_private(manifest)
        manifest.write_text(json.dumps(facts, indent=1), encoding="utf-8")
        _sync(manifest)
        reach("manifest-written")
        manifest.rename(self._directory / MANIFEST)
        reach("manifest-renamed")
        _sync(self._directory)
        self.changes_since_snapshot -= changes
        for other in self._directory.glob("index-*.bin"):
            if other != final:
                other.unlink()

    def succeed(self, other: SliceIndex) -> None:
        """Have later snapshots take the place of another index's; those that there are of this one are removed."""
        for file in (self._directory / MANIFEST, *self._directory.glob("index-*.bin")):
            # on a disk that has become read-only, the next start removes them
            with contextlib.suppress(OSError):
                file.unlink()
        self._directory = other._directory
        self.changes_since_snapshot += 1

    def _replay(self, live: NDArray[np.int64], vectors: Vectors) -> None:
        """Load the snapshot, take out what the catalogue has no more and add what came after."""
        graph, known, since = self._load()
        gone = np.setdiff1d(known, live).tolist()
        newly = _mark_deleted(graph, gone)
        with self._lock.write():
            # the others were deleted before the snapshot was taken, and are in it as such
            self._graph, self._deleted = graph, len(gone)
            self._deleted_since = (since or time.time()) if gone else None
            self.changes_since_snapshot += newly
        for labels, portion in vectors(np.setdiff1d(live, known)):
            self.add(labels, portion)

    def _load(self) -> tuple[hnswlib.Index, NDArray[np.int64], float | None]:
        """Return the graph of the snapshot, its labels, and since when some of them are deleted.

        hnswlib believes any file, so the manifest decides.
        """
        try:
            facts = json.loads((self._directory / MANIFEST).read_text(encoding="utf-8"))
            path = self._directory / str(facts["file"])
            expected = {"format": FORMAT, **self._identity()}
            if {key: facts.get(key) for key in expected} != expected:
                raise IndexUnusable("the snapshot is of another model or version")
            if path.parent != self._directory or path.is_symlink() or _sha256(path) != facts["sha256"]:
                raise IndexUnusable("the snapshot is not the file its manifest describes")
            count = int(facts["count"])
            since = None if facts.get("deletedSince") is None else float(facts["deletedSince"])
        except FileNotFoundError:
            raise IndexUnusable("there is no snapshot") from None
        except (OSError, ValueError, OverflowError, KeyError, TypeError, AttributeError) as error:
            raise IndexUnusable(f"the snapshot's manifest cannot be read ({type(error).__name__})") from None
        graph = hnswlib.Index("ip", self.dim)
        graph.load_index(str(path), max_elements=max(SMALLEST_CAPACITY, int(count * GROWTH)))
        if graph.get_current_count() != count:
            raise IndexUnusable("the snapshot holds another number of vectors than its manifest says")
        graph.set_ef(EF_SEARCH)
        return graph, np.array(graph.get_ids_list(), np.int64), since

    def _identity(self) -> dict[str, object]:
        return {"space": "ip", "dim": self.dim, "model": self._model, "M": M, "efConstruction": EF_CONSTRUCTION}

    def _new_graph(self, capacity: int) -> hnswlib.Index:
        graph = hnswlib.Index("ip", self.dim)
        graph.init_index(capacity, M=M, ef_construction=EF_CONSTRUCTION)
        graph.set_ef(EF_SEARCH)
        return graph


def _mark_deleted(graph: hnswlib.Index, labels: list[int]) -> int:
    """Have a graph no longer find these labels. Return how many of them it knew and still found."""
    newly = 0
    for label in labels:
        with contextlib.suppress(RuntimeError):
            graph.mark_deleted(label)
            newly += 1
    return newly


def _make_private(path: Path) -> None:
    """Make an empty file that nobody else can read, in place of one that may be there."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Have the disk hold the file, or the directory's entries, before what comes next."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
