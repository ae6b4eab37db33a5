"""Nearest vectors by pgvector: a partial HNSW index over the catalogue's own rows, so that both always agree.

The graph holds numbers of 16 bits, which halves it; what it finds is compared once more by the exact vectors.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

import numpy as np

from cbmir.store.postgresql.pool import Packed
from cbmir.store.postgresql.statements import quoted

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from cbmir.store.postgresql.pool import Pool
    from cbmir.store.protocols import Live, Vectors

M = 24
EF_CONSTRUCTION = 256
"""Slices arrive series by series, which links a graph badly unless it searches wide while it grows."""

BEYOND = 8
"""Neighbours fetched beyond those wanted: numbers of 16 bits may have put them in a slightly wrong order."""

COUNT_SECONDS = 2.0
"""How long a count of vectors is believed: to count is to visit them all."""

LONGEST_DELETED_SECONDS = 12 * 3600.0
"""How long at most what was deleted, which is patient data, may wait for VACUUM."""

PREFIX = "slice_near_"


class PgvectorIndex:
    """The vectors of one model in PostgreSQL. All methods may be called from any thread."""

    def __init__(self, pool: Pool, *, dim: int, model: str) -> None:
        """Take the connections; the index itself is made when it is restored."""
        self._pool = pool
        self.dim = dim
        self._model = model
        self._counted = -1.0, 0
        self._deleted_since: float | None = None
        self.changes_since_snapshot = 0

    def __len__(self) -> int:
        """Return the number of vectors that could be found a moment ago."""
        then, count = self._counted
        now = time.monotonic()
        if not 0 <= now - then < COUNT_SECONDS or then < 0:
            (count,) = self._pool.execute("SELECT count(*) FROM slice WHERE model = ?", (self._model,)).fetchone()
            self._counted = now, count
        return int(count)

    @property
    def worn(self) -> bool:
        """Whether something was deleted so long ago that its bytes must go, should autovacuum not have seen to it."""
        return self._deleted_since is not None and time.monotonic() - self._deleted_since > LONGEST_DELETED_SECONDS

    def restore(self, live: NDArray[np.int64], vectors: Vectors) -> str:  # noqa: ARG002 - they are here
        """Make the index if there is none, which for many vectors takes minutes; return "snapshot" where there is."""
        name = _name(self._model)
        with self._pool.alone() as database:
            valid = database.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(?)", (name,))
            if valid.fetchone() is not None:
                return "snapshot"
            # parallel builds of pgvector before 0.8.2 write past a buffer (CVE-2026-3172)
            database.execute("SET max_parallel_maintenance_workers = 0")
            database.execute(
                f"CREATE INDEX {name} ON slice USING hnsw ({self._nearness('vector')} halfvec_ip_ops)"
                f" WITH (m = {M}, ef_construction = {EF_CONSTRUCTION}) WHERE model = {quoted(self._model)}"
            )
        return "rebuilt: the database had none for this model"

    def rebuild(self, live: Live, vectors: Vectors) -> None:  # noqa: ARG002 - they are here
        """Have the server take out what was deleted, and mend the graph where it was."""
        with self._pool.alone() as database:
            database.execute("VACUUM slice")
        self._deleted_since = None

    def add(self, labels: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Do nothing: what the catalogue has, the index has."""

    def remove(self, labels: list[int]) -> None:
        """Note that there is something for VACUUM."""
        if labels and self._deleted_since is None:
            self._deleted_since = time.monotonic()

    def search(self, vector: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return up to k labels and their similarities, the most similar first."""
        if k <= 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        rows = self._pool.execute(self._nearest(), (Packed.of(vector), k + BEYOND, k)).fetchall()
        labels, similarities = zip(*rows, strict=True) if rows else ((), ())
        return np.array(labels, np.int64), np.array(similarities, np.float32)

    def _nearest(self) -> str:
        """Return the statement for a vector, the number of candidates and that of the best of them."""
        return (
            "WITH near AS MATERIALIZED (SELECT label, vector FROM slice"
            f" WHERE model = {quoted(self._model)} ORDER BY {self._nearness('vector')} <#> {self._nearness('?1')}"
            " LIMIT ?2) SELECT label, -(vector <#> ?1) FROM near ORDER BY 2 DESC LIMIT ?3"
        )

    def snapshot(self, *, at_the_end: bool = False) -> None:
        """Do nothing: the server keeps what it was told."""

    def succeed(self, other: PgvectorIndex) -> None:
        """Do nothing: each model's index has a name of its own."""

    def _nearness(self, what: str) -> str:
        return f"({what}::halfvec({self.dim}))"


def drop_indexes_but(pool: Pool, models: Collection[str]) -> None:
    """Drop the indexes of models that have no part any more."""
    kept = {_name(model) for model in models}
    with pool.alone() as database:
        rows = database.execute(
            "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND starts_with(indexname, ?)",
            (PREFIX,),
        )
        for (name,) in rows:
            if name not in kept:
                database.execute(f"DROP INDEX {name}")


def _name(model: str) -> str:
    return PREFIX + hashlib.sha256(model.encode()).hexdigest()[:16]
