"""The catalogue's part about days: what the worker found out about its own work on each."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from cbmir.records import Quality
from cbmir.store.database import Database
from cbmir.store.sql import upsert

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class Days(Database):
    """A model's figures by day. All writing is by the worker's thread."""

    def add_quality(self, quality: Quality, model: str) -> None:
        """Keep how well a model's answers were on a day, in place of an earlier measurement of that day."""
        values = {"model": model, **asdict(quality)}
        with self._transaction() as database:
            database.execute(upsert("quality", list(values), ("model", "date")), list(values.values()))

    def quality(self, model: str) -> list[Quality]:
        """Return how well a model's answers were, the earliest day first."""
        names = [field.name for field in fields(Quality)]
        rows = self._connection().execute(
            f"SELECT {', '.join(names)} FROM quality WHERE model = ? ORDER BY date", (model,)
        )
        return [Quality(*row) for row in rows]

    def keep_day(self, kind: str, model: str, date: str, figures: Mapping[str, Any]) -> None:
        """Keep figures of one kind of a day (YYYY-MM-DD, UTC), in place of earlier ones of that day."""
        with self._transaction() as database:
            database.execute(
                upsert("day", ("kind", "model", "date", "figures"), ("kind", "model", "date")),
                (kind, model, date, _sealed(figures)),
            )

    def last_day(self, kind: str, model: str) -> dict[str, Any] | None:
        """Return the latest figures of one kind, with their date, or None where there are none."""
        rows = self._connection().execute(
            "SELECT date, figures FROM day WHERE kind = ? AND model = ? ORDER BY date DESC LIMIT 1", (kind, model)
        )
        return next(_opened(rows), None)

    def days(self, kind: str, model: str) -> list[dict[str, Any]]:
        """Return the figures of one kind, each with its date, the earliest day first."""
        rows = self._connection().execute(
            "SELECT date, figures FROM day WHERE kind = ? AND model = ? ORDER BY date", (kind, model)
        )
        return list(_opened(rows))


def _sealed(figures: Mapping[str, Any]) -> str:
    """Return the text that is kept: a checksum, and the figures as JSON."""
    text = json.dumps(figures)
    return f"{zlib.crc32(text.encode()):08x} {text}"


def _opened(rows: Iterable[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Yield the figures of (date, text); those damaged on the disk are as if they had never been measured."""
    for date, kept in rows:
        _, _, text = kept.partition(" ")
        if kept == f"{zlib.crc32(text.encode('utf-8', 'replace')):08x} {text}":
            yield {"date": date, **json.loads(text)}
