"""The catalogue's part about series: their facts, and which slices they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cbmir.answering.matching import age_in_days
from cbmir.records import FACTS, Members, Series
from cbmir.store.database import Database
from cbmir.store.sql import marks, portions, upsert

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cbmir.store.database import Connection

_MEMBER = np.dtype([("series", np.int64), ("label", np.int64), ("instance", np.int64)])

MIXED = "mixed"
"""Plane of a series whose slices lie in several, as those of a localizer do."""

_COLUMNS = (
    "orthanc_id, study_orthanc_id, patient_orthanc_id, patient, StudyInstanceUID, SeriesInstanceUID,"
    f" NULLIF(plane, '{MIXED}'), {', '.join(FACTS)}"
)

_PLANE = f"""CASE
    WHEN series.plane IS NULL THEN excluded.plane
    WHEN excluded.plane IS NULL OR excluded.plane = series.plane THEN series.plane
    ELSE '{MIXED}' END"""


class SeriesTable(Database):
    """Series and their slices. All writing is by the worker's thread."""

    def series_of(self, labels: Sequence[int]) -> dict[int, Series]:
        """Return the series that slices belong to, by the slices' labels; those deleted meanwhile are missing."""
        rows: dict[int, int] = {}
        for some in portions(labels):
            rows.update(
                self._connection().execute(
                    "SELECT label, series FROM slice JOIN instance ON instance.id = slice.instance"
                    f" WHERE label IN ({marks(some)}) AND series IS NOT NULL",
                    some,
                )
            )
        found = self._many_series(set(rows.values()))
        return {label: found[row] for label, row in rows.items() if row in found}

    def members(self, orthanc_ids: Collection[str], model: str) -> list[Members]:
        """Return these series, and all series of these studies, with the slices that a model has seen of each."""
        parts = [np.empty(0, _MEMBER)]
        for some in portions(list(orthanc_ids)):
            # an id is that of a series or of a study: two look-ups by index
            for column in ("orthanc_id", "study_orthanc_id"):
                rows = self._connection().execute(
                    "SELECT series.id, label, instance.id FROM series JOIN instance ON instance.series = series.id"
                    " JOIN slice ON slice.instance = instance.id"
                    f" WHERE series.{column} IN ({marks(some)}) AND model = ?",
                    [*some, model],
                )
                parts.append(np.fromiter(rows, _MEMBER))
        # a study and one of its series may both be named
        found = np.unique(np.concatenate(parts))
        if not len(found):
            return []
        numbers, starts = np.unique(found["series"], return_index=True)
        series = self._many_series(numbers.tolist())
        return [
            Members(series[number], some["label"], len(np.unique(some["instance"])))
            for number, some in zip(numbers.tolist(), np.split(found, starts[1:]), strict=True)
            if number in series
        ]

    # ---- beneath ----

    def _many_series(self, rows: Collection[int]) -> dict[int, Series]:
        """Return series by their row ids."""
        found: dict[int, Series] = {}
        for some in portions(list(rows)):
            for row in self._connection().execute(
                f"SELECT id, {_COLUMNS} FROM series WHERE id IN ({marks(some)})", some
            ):
                found[row[0]] = _series(row[1:])
        return found

    @staticmethod
    def _drop_empty_series(database: Connection, series: int) -> None:
        """Remove a series without instances, and what was said of it and of its study if that was the last."""
        row = database.execute(
            "DELETE FROM series WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM instance WHERE series = ?1)"
            " RETURNING orthanc_id, study_orthanc_id",
            (series,),
        ).fetchone()
        if row is None:
            return
        database.execute("DELETE FROM diagnosis WHERE orthanc_id = ?", row[:1])
        database.execute(
            "DELETE FROM diagnosis WHERE orthanc_id = ?1"
            " AND NOT EXISTS (SELECT 1 FROM series WHERE study_orthanc_id = ?1)",
            row[1:],
        )

    @staticmethod
    def _series_id(database: Connection, series: Series) -> int:
        """Insert the series, or bring its row up to date; return its row id."""
        columns: dict[str, Any] = {
            "orthanc_id": series.orthanc_id,
            "study_orthanc_id": series.study_orthanc_id,
            "patient_orthanc_id": series.patient_orthanc_id,
            "patient": series.patient,
            "StudyInstanceUID": series.study_instance_uid,
            "SeriesInstanceUID": series.series_instance_uid,
            "plane": series.plane,
            **{keyword: series.facts.get(keyword) for keyword in FACTS},
            "age_in_days": age_in_days(series.facts.get("PatientAge", "")),
        }
        text = upsert("series", list(columns), ("orthanc_id",), {"plane": _PLANE})
        (row_id,) = database.execute(f"{text} RETURNING id", list(columns.values())).fetchone()
        return int(row_id)


def _series(row: Sequence[Any]) -> Series:
    """Return the series in a row of _COLUMNS."""
    facts = {keyword: text for keyword, text in zip(FACTS, row[7:], strict=True) if text}
    return Series(row[0], row[1], row[2], row[3], row[4], row[5], facts, row[6])
