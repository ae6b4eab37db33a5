"""The catalogue's part about moving house: all its rows from one database into another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from cbmir.store.database import Database
from cbmir.store.sql import SCHEMA, marks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cbmir.store.database import Connection

PORTION = 5000
"""Rows read at once: 5 MB of vectors."""

TABLES = tuple(re.findall(r"CREATE TABLE (\w+)", SCHEMA))
"""All tables, each after those that it refers to."""

NUMBERED = {"series": "id", "instance": "id", "slice": "label", "feedback": "id"}
"""Tables whose rows have a number that the database gives."""


class Copying(Database):
    """Takes over what another catalogue holds."""

    def is_empty(self) -> bool:
        """Return whether no table has a row."""
        found = (self._connection().execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() for table in TABLES)
        return not any(found)

    def take_over(self, source: Copying) -> Iterator[tuple[str, int]]:
        """Copy all rows, with their numbers, whole or not at all; yield each table and how many of its are there."""
        with self._transaction() as database:
            for table in TABLES:
                columns = self._common_columns(source, table)
                number = 0
                for rows in source._portions(table, columns):
                    if "vector" in columns:
                        rows = [self._with_vector(row, columns.index("vector")) for row in rows]  # noqa: PLW2901
                    database.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks(columns)})", rows)
                    number += len(rows)
                    yield table, number
                if number and table in NUMBERED:
                    self._count_on(database, table, NUMBERED[table])

    def _common_columns(self, other: Copying, table: str) -> list[str]:
        known = {name.lower() for name in self._columns(table)}
        return [name.lower() for name in other._columns(table) if name.lower() in known]

    def _portions(self, table: str, columns: list[str]) -> Iterator[list[tuple[Any, ...]]]:
        what = f"SELECT {', '.join(columns)} FROM {table}"
        if table not in NUMBERED:
            yield self._connection().execute(what).fetchall()
            return
        key = columns.index(NUMBERED[table])
        last = -1
        while rows := (
            self._connection()
            .execute(f"{what} WHERE {columns[key]} > ? ORDER BY {columns[key]} LIMIT ?", (last, PORTION))
            .fetchall()
        ):
            last = rows[-1][key]
            yield rows

    def _with_vector(self, row: tuple[Any, ...], place: int) -> tuple[Any, ...]:
        return (*row[:place], self._packed(np.frombuffer(row[place], np.float32)), *row[place + 1 :])

    def _count_on(self, database: Connection, table: str, column: str) -> None:
        """Have the database give higher numbers from now on, if it does not see to that itself."""
