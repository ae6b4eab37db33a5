from __future__ import annotations

import itertools
import json
from typing import Any
from urllib.parse import parse_qs

import pytest
from dicom_files import CANARY, mr_slice
from orthanc_double import OrthancDouble

from cbmir import archive as archive_module
from cbmir.archive import Archive
from cbmir.errors import NotFound, Unavailable
from cbmir.records import Label

NOBODY = "00000000-00000000-00000000-00000000-00000000"


@pytest.fixture
def orthanc() -> OrthancDouble:
    return OrthancDouble()


@pytest.fixture
def archive(orthanc: OrthancDouble) -> Archive:
    return Archive(orthanc)


def test_instances_come_by_series_in_pages_that_leave_none_out_and_the_newest_last(
    orthanc: OrthancDouble, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = [orthanc.store(mr_slice(series=series, number=number)) for series in range(7) for number in (1, 2)]
    newest = orthanc.store(mr_slice(series=3, number=3))
    monkeypatch.setattr(archive_module, "PAGE", 3)
    expected = [[*stored[2 * series : 2 * series + 2]] for series in (0, 1, 2, 4, 5, 6)]
    assert list(archive.instances()) == [*expected, [*stored[6:8], newest]]
    assert len([call for call in orthanc.calls if call.startswith("/series?")]) == 4


@pytest.mark.parametrize("deleted", [[0], [1, 2], [0, 1, 2, 3], [2], [3], [8, 9]])
@pytest.mark.parametrize("after", [1, 2, 3])
def test_series_that_go_while_the_others_are_listed_hide_none_of_them(
    orthanc: OrthancDouble, archive: Archive, monkeypatch: pytest.MonkeyPatch, deleted: list[int], after: int
) -> None:
    """A page begins where the one before ended: what went meanwhile moved others past that place."""
    monkeypatch.setattr(archive_module, "PAGE", 3)
    for number in range(10):
        orthanc.store(mr_slice(series=number))
    listed = [instance for page in archive.instances() for instance in page]
    by_id = sorted(listed, key=lambda one: orthanc.above(one)[0])
    get, pages = orthanc.RestApiGet, []

    def get_and_delete(uri: str) -> bytes:
        found = get(uri)
        pages.append(uri)
        if len(pages) == after:
            for place in deleted:
                orthanc.delete(by_id[place])
        return found

    monkeypatch.setattr(orthanc, "RestApiGet", get_and_delete)
    assert {instance for page in archive.instances() for instance in page} >= set(orthanc.files)


def test_an_archive_whose_order_changes_all_the_time_is_listed_to_an_end(
    orthanc: OrthancDouble, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_module, "PAGE", 3)
    for number in range(10):
        orthanc.store(mr_slice(series=number))
    get, turn = orthanc.RestApiGet, itertools.count()

    def turned_round(uri: str) -> bytes:
        everything = json.loads(get("/series?expand&since=0&limit=10"))
        since = int(parse_qs(uri)["since"][0])
        return json.dumps(everything[:: (-1) ** next(turn)][since : since + 3]).encode()

    monkeypatch.setattr(orthanc, "RestApiGet", turned_round)
    assert {instance for page in archive.instances() for instance in page} <= set(orthanc.files)


def test_an_empty_archive_has_no_page(archive: Archive) -> None:
    assert list(archive.instances()) == []


def test_an_instance_is_known_by_its_place_size_and_bytes(orthanc: OrthancDouble, archive: Archive) -> None:
    stored = orthanc.store(mr_slice())
    series, study, patient = orthanc.above(stored)
    assert archive.instance(stored) == (series, len(orthanc.files[stored]))
    assert archive.dicom(stored) == orthanc.files[stored]
    assert archive.parents(series) == (study, patient)


def test_the_patient_is_named_as_far_as_known(orthanc: OrthancDouble, archive: Archive) -> None:
    _, study, _ = orthanc.above(orthanc.store(mr_slice("P1")))
    assert archive.studies([study])[study].patient == {"PatientName": CANARY, "PatientID": "P1"}
    _, study, _ = orthanc.above(orthanc.store(mr_slice("", PatientName="")))
    assert archive.studies([study])[study].patient == {}


def test_a_study_that_is_not_there_is_missing_and_costs_no_call_that_fails(
    orthanc: OrthancDouble, archive: Archive
) -> None:
    _, study, _ = orthanc.above(orthanc.store(mr_slice("P1")))
    orthanc.calls.clear()
    assert list(archive.studies([NOBODY, study])) == [study]
    assert orthanc.calls == ["/tools/bulk-content"]


def test_what_is_not_there_is_not_found(archive: Archive) -> None:
    for ask in (archive.instance, archive.parents):
        with pytest.raises(NotFound):
            ask(NOBODY)
    assert not archive.is_above_instance(NOBODY)


def test_an_orthanc_in_trouble_is_unavailable_and_not_taken_for_empty(orthanc: OrthancDouble, archive: Archive) -> None:
    stored = orthanc.store(mr_slice())
    orthanc.failing = {f"/instances/{stored}": 1, stored: 1, "/series?expand&since=0&limit=100": 1}
    with pytest.raises(Unavailable):
        archive.instance(stored)
    with pytest.raises(Unavailable, match=stored):
        archive.dicom(stored)
    with pytest.raises(Unavailable):
        list(archive.instances())
    assert archive.instance(stored)


def test_ids_of_series_studies_and_patients_are_told_from_those_of_instances(
    orthanc: OrthancDouble, archive: Archive
) -> None:
    stored = orthanc.store(mr_slice())
    assert all(archive.is_above_instance(one) for one in orthanc.above(stored))
    assert not archive.is_above_instance(stored)


def test_only_series_and_studies_are_more_than_a_slice(orthanc: OrthancDouble, archive: Archive) -> None:
    """A slice that was not indexed was once taken for a study, whose images could not be counted."""
    stored = orthanc.store(mr_slice())
    found = [archive.volume(name) for name in (*orthanc.above(stored), stored, NOBODY)]
    assert [one and one.level for one in found] == ["series", "study", None, None, None]


def test_an_instance_is_found_by_its_uid(orthanc: OrthancDouble, archive: Archive) -> None:
    dataset = mr_slice()
    stored = orthanc.store(dataset)
    assert archive.lookup(str(dataset.SOPInstanceUID)) == stored
    assert archive.lookup("1.2.3") is None


def test_numbers_are_published(orthanc: OrthancDouble, archive: Archive) -> None:
    archive.metric("cbmir_slices", 3)
    assert orthanc.metrics == {"cbmir_slices": 3.0}


def test_what_is_said_of_a_study_or_series_is_read(orthanc: OrthancDouble, archive: Archive) -> None:
    orthanc.say("study", [{"label": "glioma", "provenance": "histology"}, {"label": "L" * 99, "more": 1}])
    assert archive.labels("studies", "study") == [Label("glioma", "histology"), Label("L" * 64, "")]


@pytest.mark.parametrize(
    "said",
    [
        "",
        "glioma",
        "7",
        "null",
        "[1]",
        "[[]]",
        "{}",
        '{"label": "x"}',
        '[{"provenance": "x"}]',
        '[{"label": "a"}, "b"]',
        "[" * 100_000,
        "NaN",
    ],
)
def test_what_is_said_in_another_form_is_passed_over(orthanc: OrthancDouble, archive: Archive, said: str) -> None:
    orthanc.say("study", said)
    assert archive.labels("studies", "study") == []


@pytest.mark.parametrize(("label", "kept"), [("gli\ud800oma", "gli oma"), ("a\0b\nc", "a b c"), ("头部", "头部")])
def test_labels_are_clean_text(orthanc: OrthancDouble, archive: Archive, label: str, kept: str) -> None:
    """A label with a lone surrogate could not be written to the catalogue, and stopped all indexing for good."""
    orthanc.say("study", json.dumps([{"label": label, "provenance": label}]))
    (found,) = archive.labels("studies", "study")
    assert found == Label(kept, kept)
    found.label.encode()


@pytest.mark.parametrize("label", ["", "  ", None, 5, ["a"], {"a": 1}])
def test_a_label_that_is_no_text_is_none(orthanc: OrthancDouble, archive: Archive, label: Any) -> None:
    orthanc.say("study", [{"label": label, "provenance": "x"}])
    assert archive.labels("studies", "study") == []


def test_of_many_instances_those_that_are_there_are_told_in_few_calls_that_never_fail(
    orthanc: OrthancDouble, archive: Archive
) -> None:
    stored = [orthanc.store(mr_slice(number=number)) for number in range(3)]
    gone = [f"gone{number}" for number in range(250)]
    assert list(archive.gone([*gone, *stored])) == gone
    assert orthanc.calls.count("/tools/bulk-content") == 3
    assert orthanc.failures == 0
    assert list(archive.gone([])) == []


def test_what_orthanc_cannot_tell_of_is_not_gone(orthanc: OrthancDouble, archive: Archive) -> None:
    orthanc.failing = {"/tools/bulk-content": 1}
    assert len(list(archive.gone([f"gone{number}" for number in range(250)]))) == 150


def test_nobody_has_said_anything(orthanc: OrthancDouble, archive: Archive) -> None:
    """Each call of Orthanc's that fails leaves some hundred bytes behind, and most slices have no labels."""
    for level in ("studies", "series", "instances"):
        assert archive.labels(level, NOBODY) == []
    assert orthanc.failures == 0


def test_labels_are_found_whatever_name_the_metadata_was_given(orthanc: OrthancDouble, archive: Archive) -> None:
    orthanc.configuration = {"UserMetadata": {"Other": 3871, "Odd": [3872, "text/plain"], "Diagnosis": 3872}}
    orthanc.say("study", [{"label": "glioma"}])
    assert archive.labels("studies", "study") == [Label("glioma", "")]
    assert orthanc.failures == 0


def test_the_double_refuses_what_it_does_not_know(orthanc: OrthancDouble) -> None:
    with pytest.raises(AssertionError, match="stubs no"):
        orthanc.RestApiPost("/instances", b"")
    with pytest.raises(AssertionError, match="stubs no"):
        orthanc.RestApiGet("/system/version")
