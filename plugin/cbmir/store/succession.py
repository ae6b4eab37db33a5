"""The catalogue's part about models: whose vectors answer, and how far another model is that is to take over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cbmir.failpoints import reach
from cbmir.records import Answering
from cbmir.store.sharing import Sharing
from cbmir.store.sql import marks, portions

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from cbmir.records import Settled


class Succession(Sharing):
    """Which model's vectors answer. All writing is by the worker's thread."""

    def answering(self) -> Answering | None:
        """Return the model whose vectors answer, or None where none has embedded anything yet."""
        row = self._connection().execute("SELECT model, folder FROM answering").fetchone()
        return Answering(*row) if row else None

    def answer_with(self, model: str, folder: str, refused: Mapping[str, Settled] | None = None) -> None:
        """Let this model's vectors answer from now on, whole or not at all.

        What it refused is no longer indexed. Vectors of other models stay until they are dropped.
        """
        with self._transaction() as database:
            database.execute("DELETE FROM answering")
            database.execute("INSERT INTO answering VALUES (?, ?)", (model, folder))
            database.executemany(
                "UPDATE instance SET state = ?, reason = ? WHERE orthanc_id = ? AND state = 'indexed'",
                [(one.state, one.reason, one.orthanc_id) for one in (refused or {}).values()],
            )
            reach("before-switch")
        reach("switched")

    def lacking(self, model: str, before: int, limit: int) -> list[tuple[int, str]]:
        """Return indexed instances that a model has not seen, newest first: their place among arrivals, and id.

        `before` is such a place; only instances that arrived earlier are looked at.
        """
        return (
            self._connection()
            .execute(
                "SELECT id, orthanc_id FROM instance WHERE state = 'indexed' AND id < ?1 AND NOT EXISTS"
                " (SELECT 1 FROM slice WHERE slice.instance = instance.id AND slice.model = ?2)"
                " ORDER BY id DESC LIMIT ?3",
                (before, model, limit),
            )
            .fetchall()
        )

    def reopen_lacking(self, model: str) -> int:
        """Make pending what only another model has seen, keeping its vectors until the new ones are there."""
        with self._transaction() as database:
            return database.execute(
                "UPDATE instance SET state = 'pending' WHERE state = 'indexed'"
                " AND NOT EXISTS (SELECT 1 FROM slice WHERE slice.instance = instance.id AND slice.model = ?)",
                (model,),
            ).rowcount

    def reopen_slices(self, labels: Sequence[int]) -> None:
        """Make the instances of these slices pending again."""
        with self._transaction() as database:
            for some in portions(labels):
                database.execute(
                    "UPDATE instance SET state = 'pending'"
                    f" WHERE id IN (SELECT instance FROM slice WHERE label IN ({marks(some)}))",
                    some,
                )

    def drop_other_models(self, models: Collection[str], limit: int) -> bool:
        """Remove some of the vectors of all but these models. Return whether there were any."""
        with self._transaction() as database:
            reach("dropping")
            for (model,) in database.execute("SELECT DISTINCT model FROM slice").fetchall():
                if model not in models:
                    database.execute(
                        "DELETE FROM slice WHERE label IN (SELECT label FROM slice WHERE model = ? LIMIT ?)",
                        (model, limit),
                    )
                    return True
            return False

    def live_labels(self, model: str) -> NDArray[np.int64]:
        """Return the labels of all slices of a model, ascending."""
        rows = self._connection().execute("SELECT label FROM slice WHERE model = ? ORDER BY label", (model,))
        return np.fromiter((label for (label,) in rows), np.int64)

    def dimension(self, model: str) -> int | None:
        """Return the length of a model's vectors, or None if there are none."""
        row = self._connection().execute("SELECT vector FROM slice WHERE model = ? LIMIT 1", (model,)).fetchone()
        return len(row[0]) // np.dtype(np.float32).itemsize if row else None
