"""The catalogue's part about days: what the worker found out about its own work on each."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from cbmir.records import Quality
from cbmir.store.database import Database
from cbmir.store.sql import upsert

if TYPE_CHECKING:
    from collections.abc import Mapping


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
                (kind, model, date, json.dumps(figures)),
            )

    def last_day(self, kind: str, model: str) -> dict[str, Any] | None:
        """Return the latest figures of one kind, with their date, or None where there are none."""
        row = (
            self._connection()
            .execute(
                "SELECT date, figures FROM day WHERE kind = ? AND model = ? ORDER BY date DESC LIMIT 1", (kind, model)
            )
            .fetchone()
        )
        return _day(*row) if row else None

    def days(self, kind: str, model: str) -> list[dict[str, Any]]:
        """Return the figures of one kind, each with its date, the earliest day first."""
        rows = self._connection().execute(
            "SELECT date, figures FROM day WHERE kind = ? AND model = ? ORDER BY date", (kind, model)
        )
        return [day for row in rows if (day := _day(*row)) is not None]


def _day(date: str, figures: str) -> dict[str, Any] | None:
    """Return the figures with their date; None where bits have flipped so that they are none any more."""
    try:
        return {"date": date, **json.loads(figures)}
    except (ValueError, TypeError):
        return None
