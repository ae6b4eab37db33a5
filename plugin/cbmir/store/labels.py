"""The catalogue's part about labels: what is said of studies, series and instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cbmir.records import Label
from cbmir.store.database import Database
from cbmir.store.sql import clause, marks, portions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cbmir.answering.matching import Condition
    from cbmir.records import CataloguedSlice

_LABELLED_THINGS = (
    "series ON series.orthanc_id = diagnosis.orthanc_id",
    "series ON series.study_orthanc_id = diagnosis.orthanc_id",
    "instance ON instance.orthanc_id = diagnosis.orthanc_id JOIN series ON series.id = instance.series",
)
"""What a label can be of, as a join."""

_COLUMNS = {
    "instances": "orthanc_id FROM instance",
    "series": "orthanc_id FROM series",
    "studies": "study_orthanc_id FROM series",
}
"""Where the ids of each level are, by Orthanc's word for it."""


class Labels(Database):
    """Who said what on what ground. All writing is by the worker's thread."""

    def set_labels(self, orthanc_id: str, labels: Iterable[Label]) -> None:
        """Replace the labels of a study, series or instance; where they are the same, nothing is written."""
        said = set(labels)
        if said == set(self.labels([orthanc_id])[orthanc_id]):
            return
        with self._transaction() as database:
            database.execute("DELETE FROM diagnosis WHERE orthanc_id = ?", (orthanc_id,))
            database.executemany(
                "INSERT INTO diagnosis VALUES (?, ?, ?)",
                [(orthanc_id, label.label, label.provenance) for label in said],
            )

    def labelled(self) -> set[str]:
        """Return every study, series and instance that has a label."""
        rows = self._connection().execute("SELECT DISTINCT orthanc_id FROM diagnosis")
        return {orthanc_id for (orthanc_id,) in rows}

    def labels_on(self, provenance: str) -> set[tuple[str, str]]:
        """Return (Orthanc id, label) of everything that is said on one ground."""
        return set(
            self._connection().execute("SELECT orthanc_id, label FROM diagnosis WHERE provenance = ?", (provenance,))
        )

    def levels(self, orthanc_ids: Iterable[str]) -> dict[str, str]:
        """Return which of these are known studies, series or instances, with Orthanc's word for the level."""
        found: dict[str, str] = {}
        for some in portions(list(orthanc_ids)):
            for level, column in _COLUMNS.items():
                wanted = f"SELECT DISTINCT {column} WHERE {column.partition(' ')[0]} IN ({marks(some)})"
                found.update((orthanc_id, level) for (orthanc_id,) in self._connection().execute(wanted, some))
        return found

    def labels(self, orthanc_ids: Sequence[str]) -> dict[str, list[Label]]:
        """Return the labels of studies, series or instances."""
        found: dict[str, list[Label]] = {orthanc_id: [] for orthanc_id in orthanc_ids}
        said = "SELECT orthanc_id, label, provenance FROM diagnosis WHERE orthanc_id"
        for some in portions(list(found)):
            for orthanc_id, label, provenance in self._connection().execute(
                f"{said} IN ({marks(some)}) ORDER BY label, provenance", some
            ):
                found[orthanc_id].append(Label(label, provenance))
        return found

    def labels_of(self, found: CataloguedSlice) -> list[Label]:
        """Return what is said of a slice: of its study, its series and itself."""
        (said,) = self.labels_of_each([found])
        return said

    def labels_of_each(self, slices: Sequence[CataloguedSlice]) -> list[list[Label]]:
        """Return what is said of each slice, read at once."""
        said = self.labels([orthanc_id for one in slices for orthanc_id in one.labelled])
        return [[label for orthanc_id in one.labelled for label in said[orthanc_id]] for one in slices]

    def number_of_diagnoses(self) -> int:
        """Return how many diagnoses studies, series and instances have."""
        return int(self._connection().execute("SELECT count(*) FROM diagnosis").fetchone()[0])

    def labels_by_patient(self, conditions: Sequence[Condition] = ()) -> dict[str, set[Label]]:
        """Return what is said of each patient, where all conditions are fulfilled; of those without a label, nothing.

        It is of the whole archive, and may hold what is hidden from some callers. No condition may be on a label.
        """
        clauses: list[str] = ["1 = 1"]
        values: list[Any] = []
        for condition in conditions:
            text, more = clause(condition)
            clauses.append(text)
            values += more
        where = " AND ".join(clauses)
        said = "SELECT series.patient, label, provenance FROM diagnosis JOIN"
        rows = self._connection().execute(
            " UNION ".join(f"{said} {things} WHERE {where}" for things in _LABELLED_THINGS),
            values * len(_LABELLED_THINGS),
        )
        found: dict[str, set[Label]] = {}
        for patient, label, provenance in rows:
            found.setdefault(patient, set()).add(Label(label, provenance))
        return found
