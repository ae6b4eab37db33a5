"""What an answer says of the nearest patients, asked through the API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from dicom_files import mr_slice, picture
from parts import Workplace
from readers import Reader

from cbmir.records import Label

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HISTOLOGY, REPORT = "histology", "report"


class Archive:
    """A reader's slice, and patients beside it, the first ones nearest."""

    def __init__(self, directory: Path, reader: Reader | None = None, **settings: Any) -> None:
        self.workplace = Workplace(
            directory, **({"gatekeeper": reader} if reader else {}), query_expansion=0, **settings
        )
        self.query = self.put("reader", away=0)

    def put(self, patient: str, label: str | None = None, ground: str = HISTOLOGY, *, away: int) -> str:
        """Store a slice whose likeness to the query falls with `away`; return its Orthanc id."""
        pixels = (picture(1, kind=1) + away * (picture(2, kind=2) / 20.0)).astype("uint16")
        (stored,) = self.workplace.store(mr_slice(patient, pixels=pixels))
        self.workplace.work()
        if label:
            self.workplace.catalogue.set_labels(self.study(stored), [Label(label, ground)])
        return stored

    def study(self, stored: str) -> str:
        return self.workplace.orthanc.above(stored)[1]

    def answer(self, **query: str) -> dict[str, Any]:
        response = self.workplace.get(f"similar/{self.query}", **query)
        assert response.status == 200, response.body
        found: dict[str, Any] = json.loads(response.body)
        return found

    def statistics(self, **query: str) -> dict[str, Any]:
        found: dict[str, Any] = self.answer(**query)["statistics"]
        return found


def labels(statistics: dict[str, Any]) -> dict[str, int]:
    return {one["label"]: one["patients"] for one in statistics["labels"]}


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    archive = Archive(tmp_path)
    for number, (label, ground) in enumerate(
        [("glioma", REPORT), ("glioma", HISTOLOGY), (None, ""), ("glioma", REPORT), ("meningioma", REPORT)]
    ):
        archive.put(f"P{number}", label, ground, away=number + 1)
    yield archive
    archive.workplace.close()


def test_the_labels_of_the_nearest_patients_are_counted(archive: Archive) -> None:
    found = archive.statistics()
    assert (found["patients"], found["labelled"]) == (5, 4)
    assert labels(found) == {"glioma": 3, "meningioma": 1}
    assert [one["verifiedPatients"] for one in found["labels"]] == [1, 0]
    assert found["archivePatients"] == 4
    assert [one["archiveShare"] for one in found["labels"]] == [0.75, 0.25]


@pytest.mark.parametrize("group", ["patient", "study", "none"])
def test_as_many_patients_are_counted_as_are_asked_for_however_cases_are_grouped(archive: Archive, group: str) -> None:
    archive.put("P0", away=0)
    assert archive.statistics(patients="2", group=group)["patients"] == 2
    assert labels(archive.statistics(patients="2", group=group)) == {"glioma": 2}
    assert archive.statistics(k="3", group=group)["patients"] == 3
    assert len(archive.answer(k="1", patients="4")["cases"]) == 1


def test_only_verified_labels_count_with_the_switch(archive: Archive) -> None:
    found = archive.statistics(verified="true")
    assert (found["verifiedOnly"], found["labelled"], labels(found)) == (True, 1, {"glioma": 1})
    assert found["archivePatients"] == 1


def test_the_setting_says_what_is_verified(tmp_path: Path) -> None:
    archive = Archive(tmp_path, verified_provenances=("Report",))
    archive.put("P1", "glioma", REPORT, away=1)
    found = archive.statistics(verified="true")
    assert (labels(found), found["verifiedProvenances"]) == ({"glioma": 1}, ["Report"])
    archive.workplace.close()


def test_the_own_patient_is_none_of_the_others(archive: Archive) -> None:
    archive.workplace.catalogue.set_labels(archive.study(archive.query), [Label("glioma", HISTOLOGY)])
    (prior,) = archive.workplace.store(mr_slice("reader", 2, pixels=picture(1, kind=1)))
    archive.workplace.work()
    archive.workplace.catalogue.set_labels(archive.study(prior), [Label("glioma", HISTOLOGY)])
    found = archive.statistics(samePatient="include")
    assert (found["patients"], found["archivePatients"], labels(found)["glioma"]) == (5, 4, 3)


@pytest.mark.parametrize("query", [{"label": "glioma"}, {"class": "predicted"}, {"samePatient": "only"}])
def test_what_chose_the_cases_is_not_counted(archive: Archive, query: dict[str, str]) -> None:
    assert archive.statistics(**query) is None


def test_the_counter_example_is_the_nearest_verified_case_of_another_label(archive: Archive) -> None:
    assert archive.statistics()["counterExample"] is None
    far = archive.put("far", "pituitary", away=9)
    archive.put("farther", "meningioma", away=15)
    other = archive.statistics()["counterExample"]
    assert (other["slices"][0]["orthancId"], other["rank"]) == (far, 6)
    beyond = archive.statistics(k="2")["counterExample"]
    assert (beyond["slices"][0]["orthancId"], beyond["rank"]) == (far, None)
    assert beyond["labels"] == [{"label": "pituitary", "provenance": HISTOLOGY}]


def test_a_case_that_has_the_leading_label_too_is_no_counter_example(archive: Archive) -> None:
    both = archive.put("both", away=6)
    said = [Label("GLIOMA", REPORT), Label("meningioma", HISTOLOGY)]
    archive.workplace.catalogue.set_labels(archive.study(both), said)
    assert archive.statistics()["counterExample"] is None


def test_a_label_of_an_instance_counts_for_that_slice_only(archive: Archive) -> None:
    first = archive.put("many", away=0)
    (second,) = archive.workplace.store(mr_slice("many", number=2, pixels=picture(3, kind=3)))
    archive.workplace.work()
    archive.workplace.catalogue.set_labels(second, [Label("cyst", HISTOLOGY)])
    assert "cyst" not in labels(archive.statistics())
    archive.workplace.catalogue.set_labels(first, [Label("cyst", HISTOLOGY)])
    assert labels(archive.statistics())["cyst"] == 1
    assert [case["labels"] for case in archive.answer(label="cyst")["cases"]] == [
        [{"label": "cyst", "provenance": HISTOLOGY}]
    ]


# ---- callers from whom something is hidden ----


@pytest.fixture(params=[True, False], ids=["may see statistics", "may not"])
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Archive, Reader]]:
    reader = Reader(statistics=request.param)
    archive = Archive(tmp_path, reader)
    for number in range(4):
        archive.put(f"P{number}", "glioma", away=number + 1)
    reader.hidden.add(archive.study(archive.put("hidden", "meningioma", away=5)))
    yield archive, reader
    archive.workplace.close()


def test_hidden_studies_are_in_no_count_but_the_archive_s(told: tuple[Archive, Reader]) -> None:
    archive, reader = told
    found = archive.statistics()
    assert (found["patients"], labels(found), found["counterExample"]) == (4, {"glioma": 4}, None)
    share = found["labels"][0]
    if reader.sees_statistics():
        assert (found["archivePatients"], share["archiveShare"]) == (5, 0.8)
    else:
        assert (found["archivePatients"], share["archiveShare"]) == (None, None)
        assert (share["enrichment"], share["compared"]) == (None, None)


def test_no_filter_asks_for_what_is_said_of_a_hidden_study(told: tuple[Archive, Reader]) -> None:
    archive, _ = told
    found = archive.statistics(StudyDate="20240101-")
    assert found["patients"] == 4
    assert found["archivePatients"] is None
    assert found["labels"][0]["compared"] is None
