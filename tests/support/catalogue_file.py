"""The plugin's catalogue as its file holds it, read past the plugin: what is there after all."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ORPHANS = """
SELECT 'slice without instance', label FROM slice WHERE instance NOT IN (SELECT id FROM instance)
UNION ALL SELECT 'slice of an instance that is not indexed', label FROM slice
    JOIN instance ON instance.id = slice.instance WHERE state <> 'indexed'
UNION ALL SELECT 'indexed instance without slice', orthanc_id FROM instance
    WHERE state = 'indexed' AND id NOT IN (SELECT instance FROM slice)
UNION ALL SELECT 'instance of an unknown series', orthanc_id FROM instance
    WHERE series IS NOT NULL AND series NOT IN (SELECT id FROM series)
UNION ALL SELECT 'series without instance', orthanc_id FROM series WHERE id NOT IN
    (SELECT series FROM instance WHERE series IS NOT NULL)
UNION ALL SELECT 'label of an unknown study or series', orthanc_id FROM diagnosis WHERE orthanc_id NOT IN
    (SELECT orthanc_id FROM series UNION SELECT study_orthanc_id FROM series)
"""
"""Rows that nothing leads to. To be asked while the plugin is at rest."""


class CatalogueFile:
    """Reads the catalogue in a data directory, also while the plugin writes it."""

    def __init__(self, data: Path) -> None:
        """Take the plugin's data directory."""
        self._path = data / "catalogue.sqlite"

    def states(self) -> dict[str, str]:
        """Return the state of each instance by its Orthanc id."""
        return dict(self._rows("SELECT orthanc_id, state FROM instance"))

    def reasons(self) -> dict[str, str | None]:
        """Return why an instance is not indexed, by its Orthanc id."""
        return dict(self._rows("SELECT orthanc_id, reason FROM instance"))

    def arrivals(self) -> dict[str, int]:
        """Return a number that grows with each arrival of an instance, by its Orthanc id."""
        return dict(self._rows("SELECT orthanc_id, id FROM instance"))

    def vectors(self) -> dict[tuple[str, int], bytes]:
        """Return the vectors by Orthanc id and frame."""
        return {
            (orthanc_id, frame): vector
            for orthanc_id, frame, vector in self._rows(
                "SELECT orthanc_id, frame, vector FROM slice JOIN instance ON instance.id = slice.instance"
            )
        }

    def one_of_each_study(self) -> list[str]:
        """Return the Orthanc id of an indexed instance of each study."""
        rows = self._rows(
            "SELECT min(instance.orthanc_id) FROM instance JOIN series ON series.id = instance.series"
            " WHERE state = 'indexed' GROUP BY study_orthanc_id"
        )
        return [orthanc_id for (orthanc_id,) in rows]

    def in_order_of_indexing(self) -> list[str]:
        """Return the Orthanc ids of indexed instances in the order in which their vectors came."""
        rows = self._rows(
            "SELECT orthanc_id FROM slice JOIN instance ON instance.id = slice.instance"
            " GROUP BY orthanc_id ORDER BY min(label)"
        )
        return [orthanc_id for (orthanc_id,) in rows]

    def models(self) -> set[str]:
        """Return the ids of the models whose vectors are there."""
        return {model for (model,) in self._rows("SELECT DISTINCT model FROM slice")}

    def orphans(self) -> list[tuple[str, str]]:
        """Return rows that nothing leads to, and what is odd about them."""
        return self._rows(ORPHANS)

    def _rows(self, sql: str) -> list[Any]:
        with self._open() as database:
            return database.execute(sql).fetchall()

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=10)) as database:
            yield database
