from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from parts import MODEL, embedded, series

from cbmir.store.belonging import NONE
from cbmir.store.owners import OwnersOfSeries, patient_number, study_number
from cbmir.store.series import SeriesTable
from cbmir.store.sqlite import SqliteCatalogue

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class Table:
    """Series by row id, as the catalogue reads them."""

    def __init__(self, rows: dict[int, tuple[str, str]]) -> None:
        self.rows = rows
        self.asked: list[int] = []

    def read(self, wanted: Sequence[int]) -> Iterator[tuple[int, str, str]]:
        self.asked += wanted
        return ((row, *self.rows[row]) for row in wanted if row in self.rows)


def test_equal_owners_have_equal_numbers_and_each_series_is_read_once() -> None:
    table, owners = Table({1: ("S1", "P"), 2: ("S2", "P"), 900: ("S3", "Q")}), OwnersOfSeries()
    studies, patients = owners.of(np.array([1, 2, 900, 1, NONE]), table.read)
    assert studies[0] == studies[3]
    assert len(set(studies.tolist())) == 4
    assert patients[0] == patients[1] == patients[3] != patients[2]
    assert studies[4] == patients[4] == NONE
    owners.of(np.array([900, 2, 1]), table.read)
    assert table.asked == [1, 2, 900]


def test_a_row_that_is_given_to_another_series_is_read_again() -> None:
    table, owners = Table({5: ("S1", "P")}), OwnersOfSeries()
    before = owners.of(np.array([5]), table.read)
    table.rows[5] = ("S2", "Q")
    owners.discard(np.array([5, 10**6]))
    after = owners.of(np.array([5]), table.read)
    assert before.studies[0] != after.studies[0]
    assert before.patients[0] != after.patients[0]


def test_nothing_asked_is_nothing_found() -> None:
    studies, patients = OwnersOfSeries().of(np.empty(0, np.int64), Table({}).read)
    assert len(studies) == len(patients) == 0


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[SqliteCatalogue]:
    catalogue = SqliteCatalogue(tmp_path / "catalogue.sqlite")
    yield catalogue
    catalogue.close()


def put(catalogue: SqliteCatalogue, name: str, number: int) -> list[int]:
    catalogue.enqueue([f"{name}-instance"])
    return catalogue.record(embedded(f"{name}-instance", series(name, number)), MODEL)[0]


def test_the_catalogue_tells_owners_by_heart_as_it_would_read_them(catalogue: SqliteCatalogue) -> None:
    labels = np.array([*put(catalogue, "A", 1), *put(catalogue, "B", 2), 10**9])
    known, read = catalogue.owners(labels, MODEL), SeriesTable.owners(catalogue, labels, MODEL)
    for one in (known, read):
        assert one.studies.tolist() == [study_number(series("A", 1)), study_number(series("B", 2)), NONE]
        assert one.patients.tolist() == [patient_number(series("A", 1)), patient_number(series("B", 2)), NONE]


def test_a_series_in_the_place_of_a_deleted_one_is_its_own(catalogue: SqliteCatalogue) -> None:
    # SQLite gives the row id of the last series that went to the next that comes
    labels = put(catalogue, "A", 1)
    catalogue.owners(np.array(labels), MODEL)
    catalogue.forget(["A-instance"])
    owners = catalogue.owners(np.array([*labels, *put(catalogue, "B", 2)]), MODEL)
    assert owners.studies.tolist() == [NONE, study_number(series("B", 2))]
    assert owners.patients.tolist() == [NONE, patient_number(series("B", 2))]
