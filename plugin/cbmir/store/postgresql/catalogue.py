"""The catalogue in PostgreSQL, for several nodes: who is at what, and who still lives.

An instance that a node has claimed is passed over by the others for as long as the node gives signs of life. A claim is
of a row: what is stored once more meanwhile is another row, so that a late word on the old file changes nothing.
"""

from __future__ import annotations

import contextlib
import math
import time
from typing import TYPE_CHECKING

from cbmir.catalogue import Catalogue
from cbmir.errors import Unavailable
from cbmir.store.postgresql.index import PgvectorIndex, drop_indexes_but
from cbmir.store.postgresql.pool import Packed, Pool

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from contextlib import AbstractContextManager
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from cbmir.errors import CbmirError
    from cbmir.store.protocols import Connection

LEASE_SECONDS = 30.0
"""How long a node counts as alive after a sign of life."""

SIGN_SECONDS = 5.0

_FREE = (
    "(claimed_by IS NULL OR NOT EXISTS (SELECT 1 FROM node WHERE node.id = instance.claimed_by AND node.until > now()))"
)


class PostgresCatalogue(Catalogue):
    """The catalogue that several nodes share."""

    shared = True

    def __init__(self, conninfo: str, node: str, *, connections: int = 4) -> None:
        """Connect as a node, whose name is its own for ever; what it claimed before it died is free. Raises as `Pool`.

        `connections` is the number of threads that may read at once.
        """
        self._node = node
        self._signed: tuple[float, frozenset[str]] = -math.inf, frozenset()
        self._claimed: dict[str, int] = {}
        self._pool = Pool(conninfo, connections)
        try:
            self._let_go(self._pool)
        except BaseException:
            self._pool.close()
            raise

    # ---- as every database ----

    def _connection(self) -> Connection:
        return self._pool

    def _transaction(self) -> AbstractContextManager[Connection]:
        return self._pool.transaction()

    def _overwrite_deleted(self) -> None:
        """Leave that to VACUUM, which PostgreSQL and the index see to."""

    def _columns(self, table: str) -> list[str]:
        rows = self._pool.execute(
            "SELECT column_name::text FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND table_name = ? ORDER BY ordinal_position",
            (table,),
        )
        return [name for (name,) in rows]

    def explained(self, error: Exception) -> CbmirError | None:
        """Return the error if it is the pool's word that the server is away, or None."""
        return error if isinstance(error, Unavailable) else None

    def leave(self) -> None:
        """Do nothing: all threads share the connections."""

    def close(self) -> None:
        """Let others have what this node claimed, and close all connections."""
        with contextlib.suppress(Unavailable):
            self._let_go(self._pool)
            self._pool.execute("DELETE FROM node WHERE id = ?", (self._node,))
        self._pool.close()

    def own_index(self, *, dim: int, model: str) -> PgvectorIndex:
        """Return pgvector's index of a model's vectors."""
        return PgvectorIndex(self._pool, dim=dim, model=model)

    def _packed(self, vector: NDArray[np.float32]) -> Packed:
        return Packed.of(vector)

    def _row(self, database: Connection, orthanc_id: str) -> int | None:
        found = database.execute("SELECT id FROM instance WHERE orthanc_id = ? FOR UPDATE", (orthanc_id,)).fetchone()
        # another row than was claimed is of another file
        return None if found is None or found[0] != self._claimed.get(orthanc_id, found[0]) else int(found[0])

    # ---- what nodes share ----

    def claim(self, limit: int, *, without: Collection[str] = ()) -> list[str]:
        """Return pending instances, newest arrival first, which from now on no other node takes.

        What this node claimed before and has not finished is free again.
        """
        rows = self._claim("state = 'pending' AND orthanc_id <> ALL(?)", (list(without),), limit)
        return [orthanc_id for _, orthanc_id in rows]

    def lacking(self, model: str, before: int, limit: int) -> list[tuple[int, str]]:
        """Return indexed instances that a model has not seen, as where a node is alone, and claim them."""
        unseen = "NOT EXISTS (SELECT 1 FROM slice WHERE slice.instance = instance.id AND slice.model = ?)"
        return self._claim(f"state = 'indexed' AND id < ? AND {unseen}", (before, model), limit)

    def _claim(self, which: str, values: Sequence[Any], limit: int) -> list[tuple[int, str]]:
        """Claim instances; return their rows and ids, newest arrival first."""
        with self._transaction() as database:
            self._sign(database, self._signed[1])
            self._let_go(database)
            rows = database.execute(
                "WITH chosen AS MATERIALIZED (SELECT id, claimed_by AS owner FROM instance"
                f" WHERE {which} AND {_FREE} ORDER BY id DESC LIMIT ? FOR UPDATE SKIP LOCKED)"
                " UPDATE instance SET claimed_by = ? FROM chosen WHERE instance.id = chosen.id"
                " RETURNING instance.id, orthanc_id, owner",
                (*values, limit, self._node),
            ).fetchall()
            kept = self._without_robbed(database, rows)
        self._claimed = {orthanc_id: row for row, orthanc_id in kept}
        return sorted(kept, reverse=True)

    @staticmethod
    def _without_robbed(database: Connection, rows: Sequence[tuple[int, str, str | None]]) -> list[tuple[int, str]]:
        """Give back what was claimed from a node that lives; return the rows and ids of the others.

        A statement sees a claim that was committed while it ran, but not the node that was first heard of with it.
        """
        owners = sorted({owner for *_, owner in rows if owner is not None})
        seen = database.execute("SELECT id FROM node WHERE id = ANY(?) AND until > now()", (owners,)) if owners else ()
        living = {node for (node,) in seen}
        for node in living:
            robbed = [row for row, _, owner in rows if owner == node]
            database.execute("UPDATE instance SET claimed_by = ? WHERE id = ANY(?)", (node, robbed))
        return [(row, orthanc_id) for row, orthanc_id, owner in rows if owner not in living]

    def _let_go(self, database: Connection) -> None:
        database.execute("UPDATE instance SET claimed_by = NULL WHERE claimed_by = ?", (self._node,))

    def sign_of_life(self, models: Collection[str]) -> None:
        """Say that this node is at work, with these models: a node that says nothing for long loses its claims."""
        self._sign(self._pool, frozenset(models))

    def _sign(self, database: Connection, models: frozenset[str]) -> None:
        then, before = self._signed
        now = time.monotonic()
        if models == before and now - then < SIGN_SECONDS:
            return
        database.execute(
            "INSERT INTO node (id, until, models) VALUES (?1, now() + make_interval(secs => ?2), ?3)"
            " ON CONFLICT (id) DO UPDATE SET until = excluded.until, models = excluded.models",
            (self._node, LEASE_SECONDS, sorted(models)),
        )
        self._signed = now, models

    def others_at_work(self) -> bool:
        """Return whether another node that lives has claimed something."""
        (found,) = self._pool.execute(
            "SELECT EXISTS (SELECT 1 FROM instance JOIN node ON node.id = claimed_by"
            " WHERE node.id <> ? AND node.until > now())",
            (self._node,),
        ).fetchone()
        return bool(found)

    def other_nodes(self) -> bool:
        """Return whether there is another node that lives."""
        asked = "SELECT EXISTS (SELECT 1 FROM node WHERE id <> ? AND until > now())"
        return bool(self._pool.execute(asked, (self._node,)).fetchone()[0])

    def _count_on(self, database: Connection, table: str, column: str) -> None:
        database.execute(f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), max({column})) FROM {table}")

    def drop_other_models(self, models: Collection[str], limit: int) -> bool:
        """Remove some of the vectors of all but these models and those of other nodes that live; at last the indexes.

        Return whether there were any.
        """
        rows = self._pool.execute("SELECT DISTINCT unnest(models) FROM node WHERE until > now()")
        kept = {*models, *(model for (model,) in rows)}
        if super().drop_other_models(kept, limit):
            return True
        drop_indexes_but(self._pool, kept)
        return False
