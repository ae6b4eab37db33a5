from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from parts import MODEL, embedded, series

from cbmir.answering import census as census_module
from cbmir.answering.census import Censuses
from cbmir.answering.matching import parse
from cbmir.answering.statistics import Grounds
from cbmir.records import ORTHANC_LABEL, Label
from cbmir.store.sqlite import SqliteCatalogue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cbmir.answering.matching import Condition
    from cbmir.catalogue import Catalogue
    from cbmir.records import Series

GROUNDS = Grounds.of(["histology"])


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    catalogue = SqliteCatalogue(tmp_path / "catalogue.sqlite")
    yield catalogue
    catalogue.close()


def put(catalogue: Catalogue, name: str, its: Series) -> None:
    catalogue.enqueue([name])
    catalogue.record(embedded(name, its), MODEL)


def conditions(**filters: str) -> tuple[Condition, ...]:
    return tuple(found for keyword, text in filters.items() if (found := parse(keyword, text)))


@pytest.fixture
def archive(catalogue: Catalogue) -> Catalogue:
    """Of P1 the study, of P2 the series, of P3 an instance is labelled, of P4 nothing."""
    for number in range(1, 5):
        put(catalogue, f"i{number}", series(f"P{number}", number, SeriesDescription=f"T{number % 2}"))
    catalogue.set_labels(series("P1", 1).study_orthanc_id, [Label("Glioma", "histology"), Label("x", ORTHANC_LABEL)])
    catalogue.set_labels(series("P2", 2).orthanc_id, [Label("glioma", "report")])
    catalogue.set_labels("i3", [Label("meningioma", "report")])
    return catalogue


def test_patients_are_counted_by_label_wherever_it_is(archive: Catalogue) -> None:
    found = Censuses(archive).of((), GROUNDS, verified=False)
    assert found.without("nobody") == (3, {"glioma": 2, "meningioma": 1})


def test_only_verified_labels_are_counted_with_the_switch(archive: Catalogue) -> None:
    assert Censuses(archive).of((), GROUNDS, verified=True).without("nobody") == (1, {"glioma": 1})


def test_the_patient_who_is_asked_about_is_none_of_the_others(archive: Catalogue) -> None:
    found = Censuses(archive).of((), GROUNDS, verified=False)
    assert found.without(series("P1", 1).patient) == (2, {"glioma": 1, "meningioma": 1})
    assert found.without(series("P4", 4).patient) == (3, {"glioma": 2, "meningioma": 1})


def test_only_what_fulfils_the_filters_is_counted(archive: Catalogue) -> None:
    found = Censuses(archive).of(conditions(SeriesDescription="T1", Modality="MR"), GROUNDS, verified=False)
    assert found.without("nobody") == (2, {"glioma": 1, "meningioma": 1})
    assert Censuses(archive).of(conditions(Modality="CT"), GROUNDS, verified=False).without("nobody") == (0, {})


def test_a_patient_with_many_labelled_things_is_one(archive: Catalogue) -> None:
    put(archive, "again", series("P2", 9))
    archive.set_labels(series("P2", 9).study_orthanc_id, [Label("glioma", "histology")])
    assert Censuses(archive).of((), GROUNDS, verified=False).without("nobody") == (3, {"glioma": 2, "meningioma": 1})


def test_a_count_is_believed_for_a_while(archive: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    censuses = Censuses(archive)
    before = censuses.of((), GROUNDS, verified=False)
    archive.set_labels(series("P4", 4).orthanc_id, [Label("glioma", "report")])
    assert censuses.of((), GROUNDS, verified=False) is before
    monkeypatch.setattr(census_module, "REMEMBERED_SECONDS", -1.0)
    assert censuses.of((), GROUNDS, verified=False).without("nobody")[0] == 4


def test_no_number_of_filters_fills_the_memory(archive: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(census_module, "MOST_REMEMBERED", 3)
    censuses = Censuses(archive)
    for number in range(10):
        censuses.of(conditions(SeriesDescription=f"T{number}"), GROUNDS, verified=False)
    assert len(censuses._found) <= 3
