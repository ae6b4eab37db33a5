"""The catalogue's part about work: what waits, and who takes it. A node that is alone takes all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbmir.store.database import Database

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


class Sharing(Database):
    """What is to be done. All writing is by the worker's thread."""

    def enqueue_new(self, orthanc_ids: Iterable[str]) -> None:
        """Make instances pending that are not known yet; the others stay as they are."""
        with self._transaction() as database:
            database.executemany(
                "INSERT INTO instance (orthanc_id, state) VALUES (?, 'pending') ON CONFLICT DO NOTHING",
                [(orthanc_id,) for orthanc_id in orthanc_ids],
            )

    def pending(self, limit: int, *, without: Collection[str] = ()) -> list[str]:
        """Return pending instances, newest arrival first."""
        rows = self._connection().execute(
            "SELECT orthanc_id FROM instance WHERE state = 'pending' ORDER BY id DESC LIMIT ?",
            (limit + len(without),),
        )
        return [orthanc_id for (orthanc_id,) in rows if orthanc_id not in without][:limit]

    def claim(self, limit: int, *, without: Collection[str] = ()) -> list[str]:
        """Return pending instances, newest arrival first, which from now on no other node takes.

        What this node claimed before and has not finished is free again.
        """
        return self.pending(limit, without=without)

    def sign_of_life(self, models: Collection[str]) -> None:
        """Say that this node is at work, with these models: a node that says nothing for long loses its claims."""

    def others_at_work(self) -> bool:
        """Return whether another node that lives has claimed something."""
        return False
