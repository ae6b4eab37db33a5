from __future__ import annotations

import pytest

from cbmir.answering.matching import MATCHED, Condition, age_in_days, parse
from cbmir.errors import BadRequest
from cbmir.records import FACTS


@pytest.mark.parametrize("keyword", MATCHED)
@pytest.mark.parametrize("text", ["", "*"])
def test_an_empty_value_and_a_lone_star_match_all(keyword: str, text: str) -> None:
    assert parse(keyword, text) is None


def test_every_fact_that_is_kept_can_be_filtered_by() -> None:
    assert set(FACTS) <= set(MATCHED)


def test_a_plain_text_is_a_single_value() -> None:
    assert parse("Modality", "MR") == Condition("Modality", "among", ("MR",))


@pytest.mark.parametrize("text", ["*FLAIR*", "T?", "**", "?"])
def test_stars_and_question_marks_make_a_pattern(text: str) -> None:
    assert parse("SeriesDescription", text) == Condition("SeriesDescription", "like", (text,))


@pytest.mark.parametrize("text", ["1.2,1.3", "1.2\\1.3"])
def test_uids_come_in_lists(text: str) -> None:
    assert parse("StudyInstanceUID", text) == Condition("StudyInstanceUID", "among", ("1.2", "1.3"))


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("20240131", ("20240131", "20240131")),
        ("20240101-20241231", ("20240101", "20241231")),
        ("20240101-", ("20240101", None)),
        ("-20241231", (None, "20241231")),
    ],
)
def test_dates_come_in_ranges(text: str, ends: tuple[str | None, str | None]) -> None:
    assert parse("StudyDate", text) == Condition("StudyDate", "between", ends)


@pytest.mark.parametrize(
    "text", ["2024", "2024-01-31", "-", "today", "20240101-2024", "202401011", "2024010*", "٢٠٢٤٠١٠١", "20240101--"]
)
def test_a_malformed_date_is_refused_with_examples(text: str) -> None:
    with pytest.raises(BadRequest, match="20240101"):
        parse("StudyDate", text)


@pytest.mark.parametrize(
    ("text", "days"), [("054Y", 19723.5), ("003M", 91.3125), ("002W", 14), ("010D", 10), ("54Y", 19723.5), ("000D", 0)]
)
def test_an_age_is_understood_in_each_of_its_units(text: str, days: float) -> None:
    assert age_in_days(text) == pytest.approx(days)


@pytest.mark.parametrize("text", ["", "54", "Y", "054y", "0054Y", "-54Y", "054Y ", "\uff15\uff14Y"])
def test_what_is_no_age_has_no_days(text: str) -> None:
    assert age_in_days(text) is None


def ends_of(text: str) -> tuple[float | None, float | None]:
    condition = parse("PatientAge", text)
    assert condition is not None
    assert condition.kind == "between"
    low, high = condition.values
    assert not isinstance(low, str)
    assert not isinstance(high, str)
    return low, high


def test_a_single_age_lasts_until_the_next_birthday() -> None:
    low, high = ends_of("060Y")
    assert low == 60 * 365.25
    assert high is not None
    assert 60.99 * 365.25 < high < 61 * 365.25


def test_ages_come_in_ranges_open_at_either_end_and_of_mixed_units() -> None:
    assert ends_of("018Y-") == (18 * 365.25, None)
    assert ends_of("-006M")[0] is None
    low, high = ends_of("006M-001Y")
    assert low == 6 * 30.4375
    assert high is not None
    assert high > 365.25


@pytest.mark.parametrize("text", ["60", "060Y-x", "x-060Y", "-", "060y", "old", "060Y--"])
def test_a_malformed_age_is_refused_with_examples(text: str) -> None:
    with pytest.raises(BadRequest):
        parse("PatientAge", text)
