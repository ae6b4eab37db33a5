from __future__ import annotations

import pytest

from cbmir.answering.statistics import FEW, Grounds, Neighbour, Share, Statistics, statistics, wilson
from cbmir.records import ORTHANC_LABEL, Label

GROUNDS = Grounds.of(["histology", "Follow-up"])


def near(*said: tuple[str, str]) -> Neighbour:
    return Neighbour([Label(*one) for one in said])


def of(
    *nearest: Neighbour, verified: bool = False, census: tuple[int, dict[str, int]] | None = None
) -> dict[str, Share]:
    return {one.label: one for one in counted(*nearest, verified=verified, census=census).shares}


def counted(
    *nearest: Neighbour, verified: bool = False, census: tuple[int, dict[str, int]] | None = None
) -> Statistics:
    return statistics(nearest, GROUNDS, verified=verified, census=census)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3; the last by hand
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (3, 3, 0.4385, 1),
    ],
)
def test_the_interval_is_wilson_s(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson(successes, trials) == pytest.approx((low, high), abs=5e-5)


def test_of_nothing_nothing_is_known() -> None:
    assert wilson(0, 0) == (0, 1)
    assert counted().shares == ()
    assert counted().leading is None


def test_a_patient_counts_once_whatever_is_said_how_often() -> None:
    found = of(near(("glioma", "report"), ("Glioma", "histology")), near(("meningioma", "")))
    assert (found["glioma"].patients, found["glioma"].verified, found["glioma"].share) == (1, 1, 0.5)


def test_shares_are_of_the_patients_that_have_a_label() -> None:
    found = counted(near(("a", "")), near(), near(("a", ""), ("b", "")), near())
    assert (found.patients, found.labelled) == (4, 2)
    assert [(one.label, one.share) for one in found.shares] == [("a", 1), ("b", 0.5)]


def test_the_nearer_of_two_equally_frequent_labels_leads() -> None:
    assert counted(near(("b", "")), near(("a", ""))).leading == "b"
    assert counted(near(("b", "")), near(("a", "")), near(("a", ""))).leading == "a"


def test_a_label_is_written_as_with_the_nearest_patient() -> None:
    assert counted(near(("GLIOMA", "")), near(("glioma", ""))).leading == "GLIOMA"


def test_with_the_switch_only_verified_labels_count() -> None:
    nearest = near(("a", "report")), near(("b", "HISTOLOGY")), near(("b", "follow-up ")), near(("c", ""))
    found = counted(*nearest, verified=True)
    assert (found.patients, found.labelled, found.leading) == (4, 2, "b")
    assert len(counted(*nearest).shares) == 3


def test_labels_of_orthanc_itself_do_not_count_unless_they_are_verified() -> None:
    assert counted(near(("department 3", ORTHANC_LABEL))).labelled == 0
    trusting = Grounds.of([ORTHANC_LABEL])
    found = statistics([near(("glioma", ORTHANC_LABEL))], trusting, verified=True, census=None)
    assert found.leading == "glioma"


def test_the_archive_is_compared_with_where_it_may_be_told() -> None:
    nearest = [near(("a", ""))] * 9 + [near(("b", ""))]
    found = of(*nearest, census=(100, {"a": 30, "b": 40}))
    assert (found["a"].archive, found["a"].enrichment, found["a"].compared) == (0.3, pytest.approx(3), "more")
    assert (found["b"].compared, found["b"].enrichment) == ("alike", pytest.approx(0.25))
    assert of(*nearest, census=(100, {"a": 30, "b": 60}))["b"].compared == "less"
    hidden = of(*nearest)["a"]
    assert (hidden.archive, hidden.enrichment, hidden.compared) == (None, None, None)


def test_few_labelled_patients_never_look_like_more_than_chance() -> None:
    found = of(*[near(("a", ""))] * 3, census=(100, {"a": 50}))["a"]
    assert found.compared == "alike"


def test_what_nobody_else_has_is_not_divided_by() -> None:
    found = of(near(("a", "")), census=(0, {}))["a"]
    assert (found.archive, found.enrichment) == (None, None)
    found = of(near(("a", "")), census=(10, {}))["a"]
    assert (found.archive, found.enrichment) == (0, None)


@pytest.mark.parametrize(
    ("nearest", "verified", "sentence"),
    [
        ([], False, "There is no near patient"),
        ([near()] * 3, False, "None of the 3 nearest patients has a label."),
        ([near(("a", "report"))] * 3, True, "None of the 3 nearest patients has a verified label."),
        ([near(("a", ""))] * (FEW - 1), False, f"Of the {FEW - 1} nearest patients, {FEW - 1} have a label: too few"),
        ([near(("a", ""))] * FEW, False, "What was said of other patients"),
    ],
)
def test_the_note_says_what_the_figures_are_worth(nearest: list[Neighbour], *, verified: bool, sentence: str) -> None:
    note = counted(*nearest, verified=verified).note
    assert note.startswith(sentence)
    assert note.endswith("It is no probability that this patient has the same.")
