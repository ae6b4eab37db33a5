"""Stage 4: the source of truth: which slice has which vector, and what people said of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from cbmir.records import CataloguedSlice, Entry, Feedback, Window
from cbmir.store.belonging import Listed
from cbmir.store.copying import Copying
from cbmir.store.days import Days
from cbmir.store.labels import Labels
from cbmir.store.series import SeriesTable
from cbmir.store.sketches import Sketches
from cbmir.store.sql import clauses, marks, portions
from cbmir.store.succession import Succession
from cbmir.units import are_units

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from cbmir.answering.matching import Condition
    from cbmir.records import Embedded
    from cbmir.store.database import Connection
    from cbmir.store.protocols import Selection

CHUNK = 10_000
"""Vectors read at once when the index is rebuilt: 10 MB."""


class Catalogue(SeriesTable, Succession, Days, Labels, Sketches, Copying):
    """The catalogue over any database. Slices are written by one thread of a node, and read by any."""

    # ---- writing: the worker's thread only ----

    def enqueue(self, orthanc_ids: Iterable[str]) -> list[int]:
        """Make instances pending, whatever they were, in this order of arrival. Return labels that are gone."""
        with self._transaction() as database:
            gone = []
            for orthanc_id in orthanc_ids:
                labels, series = self._drop(database, orthanc_id)
                gone += labels
                # an overwritten instance keeps its series, so that the series goes when the instance does
                database.execute(
                    "INSERT INTO instance (orthanc_id, state, series) VALUES (?, 'pending', ?)", (orthanc_id, series)
                )
            return gone

    def forget(self, orthanc_ids: Iterable[str]) -> list[int]:
        """Remove instances with all that was said of them, and series left without any. Return labels that are gone."""
        with self._transaction() as database:
            forgotten = list(orthanc_ids)
            dropped = [self._drop(database, orthanc_id) for orthanc_id in forgotten]
            for what in ("feedback WHERE query = ?1 OR hit = ?1", "diagnosis WHERE orthanc_id = ?1"):
                database.executemany(f"DELETE FROM {what}", [(orthanc_id,) for orthanc_id in forgotten])
            for series in {series for _, series in dropped if series is not None}:
                self._drop_empty_series(database, series)
        gone = [label for labels, _ in dropped for label in labels]
        if gone:
            self._overwrite_deleted()
        return gone

    def record(self, embedded: Embedded, model: str, *, beside: str | None = None) -> tuple[list[int], list[int]]:
        """Write an instance's vectors in place of older ones. Return the labels that came and those that are gone.

        Those of the model `beside` stay. An instance that was forgotten meanwhile stays forgotten.
        """
        with self._transaction() as database:
            row = self._row(database, embedded.orthanc_id)
            if row is None:
                return [], []
            gone = database.execute(
                "DELETE FROM slice WHERE instance = ? AND model IS DISTINCT FROM ? RETURNING label", (row, beside)
            ).fetchall()
            came = [
                database.execute(
                    "INSERT INTO slice (instance, frame, model, vector, window_center, window_width)"
                    " VALUES (?, ?, ?, ?, ?, ?) RETURNING label",
                    (row, frame, model, self._packed(vector), *embedded.windows.get(frame, (None, None))),
                ).fetchone()[0]
                for frame, vector in embedded.vectors.items()
            ]
            self._keep_sketches(database, came, [embedded.sketches.get(frame) for frame in embedded.vectors])
            database.execute(
                "UPDATE instance SET state = 'indexed', reason = ?, series = ?, SOPInstanceUID = ?,"
                " number_of_frames = ? WHERE id = ?",
                (
                    embedded.note,
                    self._series_id(database, embedded.series),
                    embedded.sop_instance_uid,
                    embedded.number_of_frames,
                    row,
                ),
            )
            return came, [label for (label,) in gone]

    def settle(self, orthanc_id: str, state: str, reason: str) -> list[int]:
        """Say that an instance was skipped or failed, and why. Return labels that are gone."""
        with self._transaction() as database:
            row = self._row(database, orthanc_id)
            if row is None:
                return []
            gone = database.execute("DELETE FROM slice WHERE instance = ? RETURNING label", (row,)).fetchall()
            database.execute("UPDATE instance SET state = ?, reason = ? WHERE id = ?", (state, reason, row))
            return [label for (label,) in gone]

    def reopen(self, states: Iterable[str]) -> int:
        """Make instances in these states pending again, keeping their vectors until the new ones are there."""
        with self._transaction() as database:
            wanted = list(states)
            return database.execute(
                f"UPDATE instance SET state = 'pending', reason = NULL WHERE state IN ({marks(wanted)})", wanted
            ).rowcount

    # ---- writing: any thread ----

    def add_feedback(self, feedback: Feedback) -> bool:
        """Keep a reader's word, in place of an earlier one on the same pair. Return whether both slices are known."""
        with self._transaction() as database:
            return bool(
                database.execute(
                    "INSERT INTO feedback (query, query_frame, hit, hit_frame, verdict, model, time)"
                    " SELECT query.orthanc_id, :query_frame, hit.orthanc_id, :hit_frame, :verdict, :model, :time"
                    " FROM instance AS query, instance AS hit WHERE query.orthanc_id = :query AND hit.orthanc_id = :hit"
                    " ON CONFLICT (query, query_frame, hit, hit_frame) DO UPDATE"
                    " SET verdict = excluded.verdict, model = excluded.model, time = excluded.time",
                    asdict(feedback),
                ).rowcount
            )

    def withdraw_feedback(self, feedback: Feedback) -> None:
        """Forget a reader's word on a pair, if there is one."""
        pair = "query = :query AND query_frame = :query_frame AND hit = :hit AND hit_frame = :hit_frame"
        with self._transaction() as database:
            database.execute(f"DELETE FROM feedback WHERE {pair}", asdict(feedback))

    # ---- reading: any thread ----

    def prepare(self, model: str) -> None:
        """Have in memory what searches by a model ask for again and again, where that is worth it."""

    def feedback(self) -> list[Feedback]:
        """Return all that readers said, the oldest first."""
        rows = self._connection().execute(
            "SELECT query, query_frame, hit, hit_frame, verdict, model, time FROM feedback ORDER BY id"
        )
        return [Feedback(*row) for row in rows]

    def counts(self) -> dict[str, int]:
        """Return the number of instances in each state."""
        found = dict(self._connection().execute("SELECT state, count(*) FROM instance GROUP BY state"))
        return {state: found.get(state, 0) for state in ("pending", "indexed", "skipped", "failed")}

    def modalities(self) -> dict[str, int]:
        """Return the number of indexed instances by modality."""
        return dict(
            self._connection().execute(
                # counted by series first, which is one pass through an index that has all it needs
                "SELECT Modality, CAST(sum(number) AS BIGINT) FROM"
                " (SELECT series AS row_id, sum(CASE WHEN state = 'indexed' THEN 1 ELSE 0 END) AS number FROM instance"
                " GROUP BY series) AS counted JOIN series ON series.id = row_id"
                " GROUP BY 1 HAVING sum(number) > 0 ORDER BY 2 DESC"
            )
        )

    def reasons(self, limit: int) -> list[tuple[str, str, int]]:
        """Return (state, reason, number) of what was skipped or failed, the most frequent first."""
        return (
            self._connection()
            .execute(
                "SELECT state, reason, count(*) FROM instance WHERE state IN ('skipped', 'failed')"
                " GROUP BY 1, 2 ORDER BY 3 DESC LIMIT ?",
                (limit,),
            )
            .fetchall()
        )

    def orthanc_ids(self) -> set[str]:
        """Return every instance that is known."""
        return {orthanc_id for (orthanc_id,) in self._connection().execute("SELECT orthanc_id FROM instance")}

    def parents(self) -> set[str]:
        """Return every study and series that has an indexed instance."""
        rows = self._connection().execute("SELECT orthanc_id FROM series UNION SELECT study_orthanc_id FROM series")
        return {orthanc_id for (orthanc_id,) in rows}

    def entry(self, identifier: str) -> Entry | None:
        """Return what is known of an instance, by Orthanc id or SOPInstanceUID."""
        row = (
            self._connection()
            .execute(
                "SELECT orthanc_id, state, reason FROM instance WHERE orthanc_id = ?1 OR SOPInstanceUID = ?1 LIMIT 1",
                (identifier,),
            )
            .fetchone()
        )
        return Entry(*row) if row else None

    def studies(self, orthanc_ids: Collection[str]) -> dict[str, str]:
        """Return the Orthanc ids of the studies that instances belong to; those never indexed are missing."""
        found: dict[str, str] = {}
        for some in portions(list(orthanc_ids)):
            found.update(
                self._connection().execute(
                    "SELECT instance.orthanc_id, study_orthanc_id FROM instance"
                    f" JOIN series ON series.id = instance.series WHERE instance.orthanc_id IN ({marks(some)})",
                    some,
                )
            )
        return found

    def slice_vector(
        self, orthanc_id: str, frame: int, model: str
    ) -> tuple[CataloguedSlice, NDArray[np.float32]] | None:
        """Return a slice and its (dim,) float32 vector, or None if this model has not seen it."""
        row = (
            self._connection()
            .execute(
                "SELECT label, vector FROM slice JOIN instance ON instance.id = slice.instance"
                " WHERE orthanc_id = ? AND frame = ? AND model = ?",
                (orthanc_id, frame, model),
            )
            .fetchone()
        )
        if row is None:
            return None
        vector = np.frombuffer(row[1], np.float32)
        found = self.slices([row[0]])
        return (found[row[0]], vector) if found and are_units(vector[None])[0] else None

    def slices(self, labels: Sequence[int]) -> dict[int, CataloguedSlice]:
        """Return the slices with these labels; those deleted meanwhile are missing."""
        rows: list[Any] = []
        for some in portions(labels):
            rows += self._connection().execute(
                "SELECT label, orthanc_id, frame, number_of_frames, SOPInstanceUID, series, window_center, window_width"
                f" FROM slice JOIN instance ON instance.id = slice.instance WHERE label IN ({marks(some)})",
                some,
            )
        series = self._many_series({row[5] for row in rows if row[5] is not None})
        return {
            row[0]: CataloguedSlice(
                row[0], row[1], row[2], row[3], row[4], series[row[5]], None if row[6] is None else Window(*row[6:])
            )
            for row in rows
            if row[5] in series
        }

    def select(
        self,
        conditions: Sequence[Condition],
        *,
        model: str,
        patient: str | None = None,
        among: Sequence[int] | None = None,
    ) -> NDArray[np.int64]:
        """Return the labels of all slices that fulfil every condition, and belong to the patient if one is named.

        Of those in `among` only, where that is given.
        """
        texts, values = clauses(conditions, patient)
        joined = "slice JOIN instance ON instance.id = slice.instance JOIN series ON series.id = instance.series"
        wanted = f"SELECT label FROM {joined} WHERE {' AND '.join(['slice.model = ?', *texts])}"
        if among is None:
            rows = self._connection().execute(wanted, [model, *values]).fetchall()
        else:
            rows = [
                row
                for some in portions(among)
                for row in self._connection().execute(f"{wanted} AND label IN ({marks(some)})", [model, *values, *some])
            ]
        return np.fromiter((label for (label,) in rows), np.int64)

    def selection(self, conditions: Sequence[Condition], *, model: str, patient: str | None = None) -> Selection:
        """Return what `select` does, in a form that need not name every slice."""
        return Listed(self.select(conditions, model=model, patient=patient))

    def vectors(self, labels: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield (labels, vectors) in portions, in the order asked for; deleted and damaged ones are missing."""
        for start in range(0, len(labels), CHUNK):
            wanted = labels[start : start + CHUNK].tolist()
            found: dict[int, bytes] = {}
            for some in portions(wanted):
                found.update(
                    self._connection().execute(f"SELECT label, vector FROM slice WHERE label IN ({marks(some)})", some)
                )
            present = [label for label in wanted if label in found]
            if present:
                rows = np.frombuffer(b"".join(map(found.__getitem__, present)), np.float32).reshape(len(present), -1)
                sound = are_units(rows)
                there = np.array(present, np.int64)
                # a copy of so much only where something is damaged
                yield (there, rows) if sound.all() else (there[sound], rows[sound])

    # ---- beneath ----

    @staticmethod
    def _drop(database: Connection, orthanc_id: str) -> tuple[list[int], int | None]:
        """Remove an instance with its slices; return their labels and its series."""
        row = database.execute("SELECT id, series FROM instance WHERE orthanc_id = ?", (orthanc_id,)).fetchone()
        if row is None:
            return [], None
        gone = [label for (label,) in database.execute("SELECT label FROM slice WHERE instance = ?", row[:1])]
        database.execute("DELETE FROM instance WHERE id = ?", row[:1])
        return gone, row[1]
