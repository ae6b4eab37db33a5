"""The catalogue of a node that is alone with it: which series a slice belongs to need not be read again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from cbmir.catalogue import Catalogue
from cbmir.store.belonging import NONE, Belonging, Listed, OfSeries
from cbmir.store.owners import Owners, OwnersOfSeries
from cbmir.store.sql import clauses, marks, portions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from cbmir.answering.matching import Condition
    from cbmir.records import Embedded, Series
    from cbmir.store.protocols import Selection

K = TypeVar("K")
T = TypeVar("T")

MOST_FILTERS = 64
MOST_SERIES = 2000
"""Filters and series that are kept until something is written."""

_Filter = tuple[tuple["Condition", ...], str | None, str]


class Remembering(Catalogue):
    """Knows by heart which series every slice belongs to."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._belonging: dict[str, Belonging] = {}
        self._owners = OwnersOfSeries()
        self._filters: dict[_Filter, tuple[int, OfSeries]] = {}
        self._read: tuple[int, dict[int, Series]] = (0, {})
        self._counted: dict[str, tuple[int, dict[str, int]]] = {}

    # ---- reading ----

    def prepare(self, model: str) -> None:
        """Read of every slice of a model which series it belongs to: a second for a million."""
        self._known(model)

    def series_of(self, labels: Sequence[int]) -> dict[int, Series]:
        """As Catalogue.series_of."""
        wanted = np.array(labels, np.int64)
        rows = np.full(len(wanted), NONE)
        for model in list(self._belonging):
            rows = np.maximum(rows, self._known(model).series_of(wanted))
        known = rows != NONE
        found = self._many_series(set(rows[known].tolist()))
        return {
            # of a model that is not prepared
            **super().series_of(wanted[~known].tolist()),
            **{label: found[row] for label, row in zip(labels, rows.tolist(), strict=True) if row in found},
        }

    def _slices_of(self, rows: Sequence[int], model: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """As Catalogue._slices_of."""
        known = self._known(model)
        labels = known.of_series(np.array(rows, np.int64)).labels()
        return labels, known.series_of(labels)

    def owners(self, labels: NDArray[np.int64], model: str) -> Owners:
        """As SeriesTable.owners."""
        return self._owners.of(self._known(model).series_of(labels), self._read_owners)

    def _read_owners(self, rows: Sequence[int]) -> Iterator[tuple[int, str, str]]:
        for some in portions(rows):
            yield from self._connection().execute(
                f"SELECT id, study_orthanc_id, patient FROM series WHERE id IN ({marks(some)})", some
            )

    def _many_series(self, rows: Collection[int]) -> dict[int, Series]:
        """As Catalogue._many_series; what was read stays until something is written."""
        commits, (then, known) = self.commits, self._read
        if then != commits or len(known) > MOST_SERIES:
            known = {}
        if missing := [row for row in rows if row not in known]:
            # never changed in place: another thread may be reading it
            known = known | super()._many_series(missing)
        self._read = commits, known
        return {row: known[row] for row in rows if row in known}

    def counts(self) -> dict[str, int]:
        """As Catalogue.counts."""
        return self._until_written(self._counted, "counts", super().counts).copy()

    def modalities(self) -> dict[str, int]:
        """As Catalogue.modalities."""
        return self._until_written(self._counted, "modalities", super().modalities).copy()

    def selection(self, conditions: Sequence[Condition], *, model: str, patient: str | None = None) -> Selection:
        """Return the slices that fulfil every condition, and belong to the patient if one is named."""
        if any(condition.keyword == "label" for condition in conditions):
            # may be said of one instance of a series
            return Listed(super().select(conditions, model=model, patient=patient))
        return self._until_written(
            self._filters,
            (tuple(conditions), patient, model),
            lambda: self._known(model).of_series(self._series_of(conditions, patient)),
        )

    def _until_written(self, kept: dict[K, tuple[int, T]], key: K, read: Callable[[], T]) -> T:
        """Return what is kept of an earlier read, and read once more only where something was written since."""
        commits, found = self.commits, kept.get(key)
        if found is None or found[0] != commits:
            found = commits, read()
            if len(kept) >= MOST_FILTERS:
                kept.clear()
            kept[key] = found
        return found[1]

    def select(
        self,
        conditions: Sequence[Condition],
        *,
        model: str,
        patient: str | None = None,
        among: Sequence[int] | None = None,
    ) -> NDArray[np.int64]:
        """As Catalogue.select."""
        if among is not None:
            return super().select(conditions, model=model, patient=patient, among=among)
        return self.selection(conditions, model=model, patient=patient).labels()

    def _series_of(self, conditions: Sequence[Condition], patient: str | None) -> NDArray[np.int64]:
        """Return the row ids of all series that fulfil every condition, and belong to the patient."""
        texts, values = clauses(conditions, patient)
        where = " AND ".join(texts) or "TRUE"
        rows = self._connection().execute(f"SELECT series.id FROM series WHERE {where}", values)
        return np.fromiter((row_id for (row_id,) in rows), np.int64)

    def _known(self, model: str) -> Belonging:
        """Return what is known of a model's slices, with those that came since it was asked for last."""
        belonging = self._belonging.setdefault(model, Belonging())
        belonging.extend(
            self.commits,
            lambda last: self._connection().execute(
                "SELECT label, series FROM slice JOIN instance ON instance.id = slice.instance"
                " WHERE model = ? AND label > ? AND series IS NOT NULL ORDER BY label",
                (model, last),
            ),
        )
        return belonging

    # ---- writing: what goes is to be known no more ----

    def enqueue(self, orthanc_ids: Iterable[str]) -> list[int]:
        """As Catalogue.enqueue."""
        return self._without(super().enqueue(orthanc_ids))

    def forget(self, orthanc_ids: Iterable[str]) -> list[int]:
        """As Catalogue.forget."""
        return self._without(super().forget(orthanc_ids))

    def settle(self, orthanc_id: str, state: str, reason: str) -> list[int]:
        """As Catalogue.settle."""
        return self._without(super().settle(orthanc_id, state, reason))

    def record(self, embedded: Embedded, model: str, *, beside: str | None = None) -> tuple[list[int], list[int]]:
        """As Catalogue.record."""
        came, gone = super().record(embedded, model, beside=beside)
        return came, self._without(gone)

    def drop_other_models(self, models: Collection[str], limit: int) -> bool:
        """As Catalogue.drop_other_models."""
        for model in self._belonging.keys() - set(models):
            del self._belonging[model]
        return super().drop_other_models(models, limit)

    def _without(self, gone: list[int]) -> list[int]:
        if gone:
            for belonging in list(self._belonging.values()):
                self._owners.discard(belonging.discard(gone))
        return gone
