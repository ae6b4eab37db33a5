from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import pytest

from cbmir.answering.matching import MATCHED, Condition, parse
from cbmir.records import FACTS
from cbmir.store.sql import SCHEMA, VARIABLES, clause, marks, portions

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.executescript(SCHEMA)
        yield database


def matching(database: sqlite3.Connection, condition: Condition) -> set[str]:
    text, values = clause(condition)
    joined = "series LEFT JOIN instance ON FALSE"
    return {name for (name,) in database.execute(f"SELECT series.orthanc_id FROM {joined} WHERE {text}", values)}  # noqa: S608 - ours


def insert(database: sqlite3.Connection, name: str, description: str | None) -> None:
    database.execute(
        "INSERT INTO series (orthanc_id, study_orthanc_id, patient_orthanc_id, patient, StudyInstanceUID,"
        " SeriesInstanceUID, SeriesDescription) VALUES (?, 's', 'p', 'p', '1', '1', ?)",
        (name, description),
    )


def test_the_schema_has_a_column_for_every_fact(database: sqlite3.Connection) -> None:
    columns = {row[1] for row in database.execute("PRAGMA table_info(series)")}
    assert set(FACTS) <= columns


@pytest.mark.parametrize("keyword", MATCHED)
def test_every_condition_is_sql_that_the_schema_knows(database: sqlite3.Connection, keyword: str) -> None:
    value = {"StudyDate": "20240101-", "PatientAge": "040Y-060Y"}.get(keyword, "a*")
    condition = parse(keyword, value)
    assert condition is not None
    assert matching(database, condition) == set()


@pytest.mark.parametrize("keyword", MATCHED)
def test_values_are_bound_and_never_part_of_the_sql(keyword: str) -> None:
    attack = "x'; DROP TABLE series; --"
    text, values = clause(Condition(keyword, "like", (attack,)))
    assert attack not in text
    assert values == [attack]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*FLAIR*", {"flair", "lower"}),
        ("T2 FLAIR", {"flair", "lower"}),
        ("T?*", {"flair", "lower", "percent", "underscore", "bang", "quote"}),
        ("T1_SE", {"underscore"}),
        ("*_*", {"underscore"}),
        ("*%*", {"percent"}),
        ("*!*", {"bang"}),
        ("*'*", {"quote"}),
        ("T1?SE", {"underscore", "percent", "bang", "quote"}),
        ("?", set()),
        ("*", {"flair", "lower", "percent", "underscore", "bang", "quote"}),
    ],
)
def test_wildcards_of_dicom_and_only_those_match_any_text(
    database: sqlite3.Connection, pattern: str, found: set[str]
) -> None:
    for name, description in {
        "flair": "T2 FLAIR",
        "lower": "t2 flair",
        "underscore": "T1_SE",
        "percent": "T1%SE",
        "bang": "T1!SE",
        "quote": "T1'SE",
        "nothing": None,
    }.items():
        insert(database, name, description)
    kind = "like" if set(pattern) & set("*?") else "among"
    assert matching(database, Condition("SeriesDescription", kind, (pattern,))) == found  # type: ignore[arg-type]


@pytest.mark.parametrize(("ends", "sql"), [(("1", "2"), " AND "), (("1", None), ">="), ((None, "2"), "<=")])
def test_a_range_binds_only_the_ends_that_it_has(ends: tuple[str | None, str | None], sql: str) -> None:
    text, values = clause(Condition("StudyDate", "between", ends))
    assert sql in text
    assert values == [end for end in ends if end]
    assert text.count("?") == len(values)


def test_a_pattern_made_to_be_slow_is_not(database: sqlite3.Connection) -> None:
    for name in range(200):
        insert(database, str(name), "a" * 256)
    steps = [0]

    def count() -> int:
        steps[0] += 1
        return steps[0] > 1000

    database.set_progress_handler(count, 1000)
    assert matching(database, Condition("SeriesDescription", "like", ("*a" * 30 + "b",))) == set()


def test_marks_are_as_many_as_values() -> None:
    assert marks([1, 2, 3]) == "?, ?, ?"
    assert marks([]) == ""


@pytest.mark.parametrize("number", [0, 1, 3, VARIABLES, VARIABLES + 1, 5 * VARIABLES])
def test_portions_lose_nothing_and_stay_small(number: int) -> None:
    some = list(portions(range(number)))
    assert list(dict.fromkeys(value for portion in some for value in portion)) == list(range(number))
    assert all(0 < len(portion) <= VARIABLES for portion in some)


def test_portions_have_few_lengths_so_that_a_statement_is_prepared_once() -> None:
    lengths = {len(portion) for number in range(3 * VARIABLES) for portion in portions(range(number))}
    assert sorted(lengths) == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, VARIABLES]
