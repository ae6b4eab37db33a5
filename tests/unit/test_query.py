from __future__ import annotations

import pytest

from cbmir.answering.matching import MATCHED, Condition
from cbmir.answering.query import Comparison, Target, is_orthanc_id, parse_comparison, parse_query
from cbmir.errors import BadRequest
from cbmir.regions import Region
from cbmir.search import Criteria

ORTHANC_ID = "6b81a777-aabb3b7c-9d5c3f1e-8b0a7d4c-2f1e0d9c"


def test_without_parameters_the_defaults_hold() -> None:
    query = parse_query(ORTHANC_ID, {}, 0.25)
    assert (query.target.identifier, query.target.frame) == (ORTHANC_ID, 1)
    assert query.criteria == Criteria(10, "patient", "exclude", 0.25, ())


def test_every_parameter_is_understood() -> None:
    query = parse_query(
        "1.2.3", {"k": "7", "frame": "3", "group": "study", "samePatient": "only", "Modality": "MR", "label": "*"}, 0
    )
    assert (query.target.identifier, query.target.frame) == ("1.2.3", 3)
    assert query.criteria == Criteria(7, "study", "only", 0, (Condition("Modality", "among", ("MR",)),))


@pytest.mark.parametrize("keyword", MATCHED)
def test_every_attribute_can_be_named(keyword: str) -> None:
    value = {"StudyDate": "20240101", "PatientAge": "050Y"}.get(keyword, "x")
    (condition,) = parse_query("1.2", {keyword: value}, 0).criteria.conditions
    assert condition.keyword == keyword


@pytest.mark.parametrize(
    "k", ["0", "-1", "101", "1000000000", "99999999999999999999", "x", "", "1.5", "5&k=6", " 5", "\u0665", "1e1"]
)
def test_k_must_be_a_whole_number_in_its_range(k: str) -> None:
    with pytest.raises(BadRequest, match="k must be a whole number from 1 to 100"):
        parse_query(ORTHANC_ID, {"k": k}, 0)


@pytest.mark.parametrize("k", ["1", "100", "007"])
def test_k_may_be_anything_in_its_range(k: str) -> None:
    assert parse_query(ORTHANC_ID, {"k": k}, 0).criteria.k == int(k)


@pytest.mark.parametrize("frame", ["0", "-1", "2147483648", "first"])
def test_frame_must_be_a_whole_number_in_its_range(frame: str) -> None:
    with pytest.raises(BadRequest, match="frame must be a whole number from 1"):
        parse_query(ORTHANC_ID, {"frame": frame}, 0)


@pytest.mark.parametrize(
    ("name", "allowed"), [("group", "patient, study, none"), ("samePatient", "exclude, only, include")]
)
def test_a_wrong_choice_is_refused_with_those_that_there_are(name: str, allowed: str) -> None:
    with pytest.raises(BadRequest, match=f"{name} must be one of {allowed}"):
        parse_query(ORTHANC_ID, {name: "all"}, 0)


@pytest.mark.parametrize("name", ["K", "limit", "PatientName", "PatientID", "modality", ""])
def test_an_unknown_parameter_is_refused_with_the_known_ones_and_not_repeated(name: str) -> None:
    with pytest.raises(
        BadRequest, match="known are k, frame, group, samePatient, roi, more, less, class, patients, verified, Modality"
    ) as caught:
        parse_query(ORTHANC_ID, {name: "<script>"}, 0)
    assert "<script>" not in str(caught.value)


@pytest.mark.parametrize(
    "identifier",
    [
        "",
        "x",
        "a/b",
        "../etc",
        ORTHANC_ID.upper(),
        ORTHANC_ID + "0",
        ORTHANC_ID[:-1],
        "1." * 33,
        "1.2\n",
        "1.2%",
        "\uff11.2",
        "\udcff",
    ],
)
def test_what_names_no_instance_is_refused_and_not_repeated(identifier: str) -> None:
    with pytest.raises(BadRequest, match="name an instance by its Orthanc id or its SOPInstanceUID") as caught:
        parse_query(identifier, {}, 0)
    assert len(identifier) < 3 or identifier not in str(caught.value)


@pytest.mark.parametrize("text", ["x" * 10_000, "*" * 10_000, "\ud800", "a\0b"])
def test_a_text_that_no_attribute_can_hold_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="SeriesDescription"):
        parse_query(ORTHANC_ID, {"SeriesDescription": text}, 0)


def test_an_orthanc_id_is_told_from_a_uid() -> None:
    assert is_orthanc_id(ORTHANC_ID)
    assert not is_orthanc_id("1.2.3")


def test_a_region_is_four_numbers() -> None:
    assert parse_query("1.2", {"roi": "120,88.5,40,32"}, 0).target.region == Region(120, 88.5, 40, 32)


@pytest.mark.parametrize("roi", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1,2,0,4", "1,2,3,-4", "nan,0,1,1", "0,0,inf,1"])
def test_anything_else_is_no_region(roi: str) -> None:
    with pytest.raises(BadRequest, match="roi must be x,y,width,height"):
        parse_query("1.2", {"roi": roi}, 0)


def test_a_comparison_names_two_slices() -> None:
    comparison = parse_comparison("1.2", {"frame": "2", "against": ORTHANC_ID, "againstFrame": "3", "roi": "0,0,1,1"})
    assert comparison == Comparison(Target("1.2", 2, Region(0, 0, 1, 1)), Target(ORTHANC_ID, 3))


@pytest.mark.parametrize("parameters", [{}, {"against": "x"}, {"against": "1.2", "k": "3"}])
def test_a_comparison_with_nothing_or_with_what_is_not_known_is_refused(parameters: dict[str, str]) -> None:
    with pytest.raises(BadRequest):
        parse_comparison("1.2", parameters)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "against"),
        ({"against": "x"}, "against"),
        ({"against": "1.2", "k": "3"}, "known are frame, against, againstFrame, roi"),
        ({"against": "1.2", "againstFrame": "0"}, "againstFrame must be a whole number"),
    ],
)
def test_a_comparison_without_its_second_slice_is_refused(parameters: dict[str, str], message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        parse_comparison("1.2", parameters)
