from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from parts import series

from cbmir.cases import SLICES_SHOWN, Group, Hit, SamePatient, eligible, rank, rank_visible
from cbmir.records import CataloguedSlice, Series

if TYPE_CHECKING:
    from collections.abc import Iterable


def hit(similarity: float, belongs_to: Series | None = None, *, name: str = "a", frame: int = 1, label: int = 0) -> Hit:
    found = CataloguedSlice(label, name, frame, 1, f"1.{name}", belongs_to or series())
    return Hit(found, similarity)


@pytest.mark.parametrize("mode", ["exclude", "only", "include"])
def test_the_query_s_own_study_is_never_shown(mode: SamePatient) -> None:
    assert not eligible(series("P1", 1, 2), series("P1", 1, 1), mode)


@pytest.mark.parametrize(
    ("mode", "own", "others"), [("exclude", False, True), ("only", True, False), ("include", True, True)]
)
def test_other_studies_of_the_patient_are_shown_as_asked(mode: SamePatient, *, own: bool, others: bool) -> None:
    query = series("P1", 1)
    assert eligible(series("P1", 2), query, mode) == own
    assert eligible(series("P2", 3), query, mode) == others


def test_a_case_stands_where_its_best_slice_does_and_lists_the_others() -> None:
    one, two = series("P1"), series("P2", 2)
    cases = rank([hit(0.7, one, name="c"), hit(0.8, two, name="b"), hit(0.9, one, name="a"), hit(0.1, one)], "patient")
    assert [case.best.similarity for case in cases] == [0.9, 0.8]
    assert [one.similarity for one in cases[0].hits] == [0.9, 0.7, 0.1]


@pytest.mark.parametrize(("group", "number"), [("patient", 2), ("study", 3), ("none", 5)])
def test_cases_are_patients_studies_or_slices(group: Group, number: int) -> None:
    hits = [
        hit(0.9, series("P1", 1), label=1),
        hit(0.8, series("P1", 1, 2), label=2),
        hit(0.7, series("P1", 2), label=3),
        hit(0.6, series("P2", 3), label=4),
        hit(0.5, series("P2", 3), label=5),
    ]
    assert len(rank(hits, group)) == number


def test_no_more_slices_of_a_case_are_listed_than_fit() -> None:
    (case,) = rank([hit(0.5, name=f"{number:03d}") for number in range(100)], "patient")
    assert [one.slice.orthanc_id for one in case.hits] == [f"{number:03d}" for number in range(SLICES_SHOWN)]


def test_equal_similarities_keep_their_order_however_they_arrive() -> None:
    hits = [hit(0.5, series(f"P{number}", number), name=f"{number % 7}{number}", frame=number) for number in range(40)]
    hits += [hit(0.5 + 1e-8, series("Q", 99), name="55", frame=7)]
    expected = rank(hits, "none")
    shuffle = random.Random(1).shuffle
    for _ in range(100):
        shuffle(hits)
        assert rank(hits, "none") == expected
    names = [case.best.slice.orthanc_id for case in rank(hits, "patient")]
    assert names == sorted(names)


def test_no_hits_are_no_cases() -> None:
    assert rank([], "patient") == []


def test_what_is_hidden_leaves_no_trace_in_a_case_of_the_same_patient() -> None:
    shown, hidden = series("P1", 1), series("P1", 2)
    hits = [hit(0.9, hidden, name="a"), hit(0.8, shown, name="b"), hit(0.7, series("P2", 3), name="c")]
    visible = {shown.study_orthanc_id, series("P2", 3).study_orthanc_id}
    cases = rank_visible(hits, "patient", 5, lambda studies: visible & set(studies))
    assert [[one.slice.orthanc_id for one in case.hits] for case in cases] == [["b"], ["c"]]


@pytest.mark.parametrize("group", ["patient", "study", "none"])
@pytest.mark.parametrize("seed", range(10))
def test_cases_are_those_of_an_archive_without_what_is_hidden(group: Group, seed: int) -> None:
    chance = random.Random(seed)
    everything = [series(f"P{study // 2}", study) for study in range(40)]
    hits = [hit(chance.random(), chance.choice(everything), name=str(number), label=number) for number in range(300)]
    visible = {one.study_orthanc_id for one in everything if chance.random() < 0.3}
    expected = rank([one for one in hits if one.study in visible], group)[:10]
    assert rank_visible(hits, group, 10, lambda studies: visible & set(studies)) == expected


def test_only_studies_that_would_be_shown_are_asked_about() -> None:
    asked: list[str] = []
    hits = [hit(1 - number / 1000, series(f"P{number}", number), label=number) for number in range(500)]

    def visible(studies: Iterable[str]) -> set[str]:
        asked.extend(studies)
        return set(studies)

    rank_visible(hits, "patient", 5, visible)
    assert sorted(asked) == sorted(one.study for one in hits[:5])
