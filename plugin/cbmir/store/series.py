"""The catalogue's part about series: their facts, and which slices they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cbmir.answering.matching import age_in_days
from cbmir.records import FACTS, Members, Series
from cbmir.store.belonging import NONE
from cbmir.store.database import Database
from cbmir.store.owners import Owners, patient_number, study_number
from cbmir.store.sql import marks, portions, upsert

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from cbmir.store.database import Connection

_MEMBER = np.dtype([("label", np.int64), ("series", np.int64)])

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

    def owners(self, labels: NDArray[np.int64], model: str) -> Owners:  # noqa: ARG002 - for those that keep them by model
        """Return studies and patients of a model's slices."""
        series = self.series_of(labels.tolist())
        found = [series.get(label) for label in labels.tolist()]
        return Owners(
            np.array([NONE if one is None else study_number(one) for one in found], np.int64),
            np.array([NONE if one is None else patient_number(one) for one in found], np.int64),
        )

    def members(self, orthanc_ids: Collection[str], model: str) -> list[Members]:
        """Return these series, and all series of these studies, with the slices that a model has seen of each."""
        numbers = self._named(orthanc_ids)
        labels, owners = self._slices_of(numbers, model)
        if not len(labels):
            return []
        order = np.lexsort((labels, owners))
        there, starts = np.unique(owners[order], return_index=True)
        series = self._many_series(there.tolist())
        return [
            Members(series[number], some)
            for number, some in zip(there.tolist(), np.split(labels[order], starts[1:]), strict=True)
            if number in series
        ]

    def series_among(self, orthanc_ids: Collection[str]) -> set[str]:
        """Return those of the ids that are of series with indexed pictures."""
        found: set[str] = set()
        for some in portions(list(orthanc_ids)):
            rows = self._connection().execute(
                f"SELECT orthanc_id FROM series WHERE orthanc_id IN ({marks(some)})", some
            )
            found.update(orthanc_id for (orthanc_id,) in rows)
        return found

    def indexed_of(self, orthanc_id: str, model: str) -> int:
        """Return how many instances of a series or study a model has seen."""
        rows = self._named([orthanc_id])
        (number,) = (
            self._connection()
            .execute(
                f"SELECT COUNT(*) FROM instance WHERE series IN ({marks(rows)})"
                " AND EXISTS (SELECT 1 FROM slice WHERE instance = instance.id AND model = ?)",
                [*rows, model],
            )
            .fetchone()
        )
        return int(number)

    # ---- beneath ----

    def _named(self, orthanc_ids: Collection[str]) -> list[int]:
        """Return the row ids of these series, and of all series of these studies."""
        found: set[int] = set()
        for some in portions(list(orthanc_ids)):
            # an id is that of a series or of a study: two look-ups by index
            for column in ("orthanc_id", "study_orthanc_id"):
                rows = self._connection().execute(f"SELECT id FROM series WHERE {column} IN ({marks(some)})", some)
                found.update(row for (row,) in rows)
        return sorted(found)

    def _slices_of(self, rows: Sequence[int], model: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the labels of the slices of these series in any order, and the row id of the series of each."""
        parts = [np.empty(0, _MEMBER)]
        for some in portions(rows):
            found = self._connection().execute(
                "SELECT label, series FROM instance JOIN slice ON slice.instance = instance.id"
                f" WHERE series IN ({marks(some)}) AND model = ?",
                [*some, model],
            )
            parts.append(np.fromiter(found, _MEMBER))
        members = np.concatenate(parts)
        return members["label"], members["series"]

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
