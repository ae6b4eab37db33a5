from __future__ import annotations

import pytest
from parts import series

from cbmir.sequences import Kind, agreement, kind_of, plane, sequence


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("T1 TRA +C", "T1C"),
        ("t1_mprage_sag_p2_iso", "T1"),
        ("t1_mprage_sag_KM", "T1C"),
        ("AX T1 POST GAD", "T1C"),
        ("AX T1 PRE", "T1"),
        ("AX T1 without contrast", "T1"),
        ("T1C", "T1C"),
        ("T1 FLAIR sag", "T1"),
        ("AX T2 FLAIR 3mm", "FLAIR"),
        ("t2_tirm_tra_dark-fluid", "FLAIR"),
        ("T2 TSE TRA", "T2"),
        ("t2_tse_tra +C", "T2"),
        ("T2* GRE", "T2*"),
        ("SWI_Images", "T2*"),
        ("ep2d_diff_3scan_trace", "DWI"),
        ("ep2d_diff_3scan_trace_ADC", "ADC"),
        ("PD TSE", "PD"),
        ("3-plane localizer", "localizer"),
        ("TOF 3D", "angiography"),
        ("Serie 7", None),
        ("", None),
    ],
)
def test_the_sequence_is_read_from_what_a_series_is_called(description: str, expected: str | None) -> None:
    assert sequence({"SeriesDescription": description}) == expected


def test_an_agent_makes_a_t1_one_after_contrast_unless_the_name_denies_it() -> None:
    assert sequence({"SeriesDescription": "T1 SE", "ContrastBolusAgent": "Gadovist"}) == "T1C"
    assert sequence({"SeriesDescription": "T1 SE", "ContrastBolusAgent": "NONE"}) == "T1"
    assert sequence({"SeriesDescription": "T1 SE nativ", "ContrastBolusAgent": "Gadovist"}) == "T1"
    assert sequence({"SeriesDescription": "T2 TSE", "ContrastBolusAgent": "Gadovist"}) == "T2"


def test_protocol_and_sequence_names_count_too() -> None:
    assert sequence({"SeriesDescription": "Kopf", "ProtocolName": "t2_tse"}) == "T2"
    assert sequence({"SequenceName": "*fl3d1 t1"}) == "T1"


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        ((1, 0, 0, 0, 1, 0), "axial"),
        ((1, 0, 0, 0, 0.94, 0.34), "axial"),
        ((1, 0, 0, 0, 0, -1), "coronal"),
        ((0, 1, 0, 0, 0, -1), "sagittal"),
        ((1, 0, 0, 0, 0.7071, 0.7071), None),
        (None, None),
    ],
)
def test_the_plane_is_where_the_normal_points(orientation: tuple[float, ...] | None, expected: str | None) -> None:
    assert plane(orientation) == expected


def test_a_kind_is_of_facts_and_plane() -> None:
    assert kind_of(series(SeriesDescription="T1C")) == Kind("T1C", None)


def test_series_agree_the_less_the_more_they_differ() -> None:
    same = agreement(Kind("T1C", "axial"), Kind("T1C", "axial"))
    unknown = agreement(Kind("T1C", "axial"), Kind(None, "axial"))
    contrast = agreement(Kind("T1C", "axial"), Kind("T1", "axial"))
    other = agreement(Kind("T1C", "axial"), Kind("T2", "axial"))
    both = agreement(Kind("T1C", "axial"), Kind("T2", "coronal"))
    assert 1 == same > unknown > contrast > other > both > 0
    assert agreement(Kind(), Kind()) < same


def test_agreement_does_not_depend_on_who_asks() -> None:
    kinds = [Kind(one, lies) for one in ("T1", "T1C", "T2", None) for lies in ("axial", "coronal", None)]
    assert all(agreement(one, other) == agreement(other, one) for one in kinds for other in kinds)
