from __future__ import annotations

import dataclasses
import itertools
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from dicom_files import CANARY, mr_slice
from parts import Workplace
from reports import structured_report

from cbmir.answering.answers import Answers
from cbmir.cases import Case, Hit
from cbmir.records import FACTS, Label, Window

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cbmir.records import CataloguedSlice


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    workplace = Workplace(tmp_path)
    workplace.store(*(mr_slice(f"P{number}", number, StudyDescription="MR BRAIN") for number in range(3)))
    workplace.work()
    yield workplace
    workplace.close()


def answers(workplace: Workplace, *, anonymize: bool = False, viewer: bool = True) -> Answers:
    parts = workplace.services
    return Answers(parts.archive, parts.catalogue, parts.reports, anonymize=anonymize, viewer=viewer)


def slices(workplace: Workplace) -> list[CataloguedSlice]:
    found = workplace.catalogue.slices(sorted(workplace.labels()))
    return sorted(found.values(), key=lambda one: one.series.study_instance_uid)


def cases(workplace: Workplace) -> list[Case]:
    return [Case((Hit(found, 0.9 - rank / 10),)) for rank, found in enumerate(slices(workplace))]


def test_ranks_count_from_one_and_similarities_are_rounded(workplace: Workplace) -> None:
    found = slices(workplace)[0]
    shown = answers(workplace).cases([Case((Hit(found, 0.123456),)), Case((Hit(found, 1 / 3),))])
    assert [(case["rank"], case["similarity"]) for case in shown] == [(1, 0.1235), (2, 0.3333)]


def test_a_case_tells_its_place_facts_patient_and_slices(workplace: Workplace) -> None:
    found = next(one for one in slices(workplace) if one.sop_instance_uid == mr_slice("P0", 0).SOPInstanceUID)
    (case,) = answers(workplace).cases([Case((Hit(found, 0.9), Hit(found, 0.8)))])
    assert case["patientOrthancId"] == found.series.patient_orthanc_id
    assert case["studyOrthancId"] == found.series.study_orthanc_id
    assert case["seriesOrthancId"] == found.series.orthanc_id
    assert case["StudyDescription"] == "MR BRAIN"
    assert case["patient"] == {
        "PatientName": CANARY,
        "PatientID": "P0",
        "PatientSex": "F",
        "PatientAge": "050Y",
    }
    assert [one["similarity"] for one in case["slices"]] == [0.9, 0.8]
    assert case["slices"][0]["SOPInstanceUID"] == found.sop_instance_uid


def test_cases_deleted_a_moment_ago_leave_no_gap(workplace: Workplace) -> None:
    found = cases(workplace)
    workplace.orthanc.delete(found[1].best.slice.orthanc_id)
    shown = answers(workplace).cases(found)
    assert [case["rank"] for case in shown] == [1, 2]
    assert [case["similarity"] for case in shown] == [0.9, 0.7]


def test_anonymous_answers_hold_nothing_of_who_or_when(workplace: Workplace) -> None:
    text = json.dumps(
        [
            answers(workplace, anonymize=True).cases(cases(workplace)),
            answers(workplace, anonymize=True).query(slices(workplace)[0], indexed=True),
        ]
    )
    for secret in (CANARY, '"P0"', "20240131", "050Y", 'patient"'):
        assert secret not in text
    assert "MR BRAIN" in text


def test_a_case_says_where_the_report_of_its_study_is(workplace: Workplace) -> None:
    workplace.store(structured_report("P1", 1))
    urls = {case["StudyInstanceUID"]: case["reportUrl"] for case in answers(workplace).cases(cases(workplace))}
    found = next(one for one in slices(workplace) if one.sop_instance_uid == mr_slice("P1", 1).SOPInstanceUID)
    reported = f"/cbmir/report/{found.series.study_orthanc_id}"
    assert [url for url in urls.values() if url] == [urls[found.series.study_instance_uid]] == [reported]


def test_one_question_tells_of_all_reports_and_without_its_answer_there_are_just_none(workplace: Workplace) -> None:
    workplace.store(structured_report("P1", 1))
    workplace.orthanc.calls.clear()
    workplace.orthanc.failing = {"/tools/find": 1}
    shown = answers(workplace).cases(cases(workplace))
    assert [case["reportUrl"] for case in shown] == [None] * 3
    assert workplace.orthanc.calls.count("/tools/find") == 1


def test_where_all_series_are_indexed_pictures_nobody_asks_for_reports(workplace: Workplace) -> None:
    workplace.orthanc.calls.clear()
    shown = answers(workplace).cases(cases(workplace))
    assert [case["reportUrl"] for case in shown] == [None] * 3
    assert "/tools/find" not in workplace.orthanc.calls


def test_in_anonymous_mode_nobody_asks_for_reports(workplace: Workplace) -> None:
    workplace.store(structured_report("P1", 1))
    workplace.orthanc.calls.clear()
    shown = answers(workplace, anonymize=True).cases(cases(workplace))
    assert [case["reportUrl"] for case in shown] == [None] * 3
    assert "/tools/find" not in workplace.orthanc.calls


def test_a_patient_without_name_has_only_what_is_known(tmp_path: Path) -> None:
    workplace = Workplace(tmp_path)
    dataset = mr_slice("", PatientName="")
    del dataset.PatientAge
    workplace.store(dataset)
    workplace.work()
    (case,) = answers(workplace).cases(cases(workplace))
    assert case["patient"] == {"PatientSex": "F"}
    workplace.close()


def test_every_fact_is_shown_once(workplace: Workplace) -> None:
    shown = answers(workplace).query(slices(workplace)[0], indexed=True)
    for keyword in slices(workplace)[0].series.facts:
        assert (keyword in shown) != (keyword in shown["patient"])
    assert set(shown) & set(FACTS) <= set(slices(workplace)[0].series.facts)


def test_labels_of_study_and_series_are_both_shown(workplace: Workplace) -> None:
    series = slices(workplace)[0].series
    workplace.catalogue.set_labels(series.study_orthanc_id, [Label("glioma", "histology")])
    workplace.catalogue.set_labels(series.orthanc_id, [Label("artefact", "")])
    shown = answers(workplace).query(slices(workplace)[0], indexed=False)
    assert shown["labels"] == [
        {"label": "glioma", "provenance": "histology"},
        {"label": "artefact", "provenance": ""},
    ]
    assert shown["indexed"] is False


def test_a_thumbnail_has_the_window_that_the_viewer_shows_first(workplace: Workplace) -> None:
    found = dataclasses.replace(slices(workplace)[0], window=Window(1e22, 300.5))
    thumbnail = urlsplit(answers(workplace).query(found, indexed=True)["thumbnailUrl"])
    asked = {name: float(value) for name, (value,) in parse_qs(thumbnail.query).items()}
    assert asked == {"width": 192, "height": 192, "smooth": 1, "window-center": 1e22, "window-width": 300.5}


def test_links_of_ids_that_are_no_uids_lead_there_all_the_same(workplace: Workplace) -> None:
    found = dataclasses.replace(slices(workplace)[0], sop_instance_uid="1.2&x=3 ٣%")
    link = urlsplit(answers(workplace).query(found, indexed=True)["viewerUrl"])
    assert parse_qs(link.query)["initialSOPInstanceUID"] == ["1.2&x=3 ٣%"]
    assert "x" not in parse_qs(link.query)


def test_a_slice_without_window_is_shown_with_all_its_values(workplace: Workplace) -> None:
    found = dataclasses.replace(slices(workplace)[0], window=None)
    thumbnail = answers(workplace).query(found, indexed=True)["thumbnailUrl"]
    assert thumbnail == f"/instances/{found.orthanc_id}/frames/0/preview"


@pytest.mark.parametrize(("anonymize", "viewer"), list(itertools.product([False, True], repeat=2)))
def test_links_lead_to_the_picture_and_into_the_viewer(workplace: Workplace, *, anonymize: bool, viewer: bool) -> None:
    found = slices(workplace)[0]
    shown = answers(workplace, anonymize=anonymize, viewer=viewer).query(found, indexed=True)
    assert urlsplit(shown["thumbnailUrl"]).path == f"/instances/{found.orthanc_id}/frames/0/rendered"
    link = urlsplit(shown["viewerUrl"])
    if viewer:
        assert link.path == "/ohif/viewer"
        expected: dict[str, Any] = {
            "StudyInstanceUIDs": [found.series.study_instance_uid],
            "initialSeriesInstanceUID": [found.series.series_instance_uid],
            "initialSOPInstanceUID": [found.sop_instance_uid],
        }
        assert parse_qs(link.query) == expected
    else:
        assert shown["viewerUrl"] == f"/app/explorer.html#instance?uuid={found.orthanc_id}"
