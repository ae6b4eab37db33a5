from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from parts import DIM, MODEL, embedded, units

from cbmir.errors import CatalogueError
from cbmir.records import Answering, Settled
from cbmir.store.sql import SCHEMA
from cbmir.store.sqlite import SqliteCatalogue

if TYPE_CHECKING:
    from cbmir.catalogue import Catalogue

VERSION_1 = Path(__file__).parents[1] / "support" / "catalogue_v1.sql"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalogue.sqlite"


def put(catalogue: Catalogue, *names: str, model: str = MODEL) -> list[int]:
    catalogue.enqueue(names)
    return [catalogue.record(embedded(name), model)[0][0] for name in names]


# ---- whose vectors answer ----


def test_of_a_new_catalogue_no_model_answers_yet(catalogue: Catalogue) -> None:
    assert catalogue.answering() is None


def test_one_model_answers_at_a_time(catalogue: Catalogue) -> None:
    catalogue.answer_with(MODEL, "/models/tiny")
    catalogue.answer_with("new", "/models/new")
    assert catalogue.answering() == Answering("new", "/models/new")


def test_what_the_new_model_refused_is_no_longer_indexed_once_it_answers(catalogue: Catalogue) -> None:
    put(catalogue, "a", "b")
    catalogue.enqueue(["waiting"])
    refused = {name: Settled(name, "failed", "the network refused it") for name in ("b", "waiting", "unknown")}
    catalogue.answer_with("new", "", refused)
    states = {name: entry.state for name in ("a", "b", "waiting") if (entry := catalogue.entry(name))}
    assert states == {"a": "indexed", "b": "failed", "waiting": "pending"}
    assert catalogue.reasons(9) == [("failed", "the network refused it", 1)]


def test_the_vectors_of_two_models_stand_side_by_side(catalogue: Catalogue) -> None:
    (old,) = put(catalogue, "a")
    came, gone = catalogue.record(embedded("a", vectors=units(np.eye(1, DIM, 3))), "new", beside=MODEL)
    assert gone == []
    assert catalogue.live_labels(MODEL).tolist() == [old]
    assert catalogue.live_labels("new").tolist() == came
    found = catalogue.slice_vector("a", 1, "new")
    assert found is not None
    assert found[1][3] == 1
    assert sorted(catalogue.forget(["a"])) == [old, *came]


def test_vectors_of_another_model_go_when_an_instance_is_embedded_anew(catalogue: Catalogue) -> None:
    (old,) = put(catalogue, "a")
    came, _ = catalogue.record(embedded("a"), "new", beside=MODEL)
    _, gone = catalogue.record(embedded("a"), MODEL)
    assert sorted(gone) == [old, *came]


def test_what_a_model_has_not_seen_comes_newest_first_and_from_a_place_on(catalogue: Catalogue) -> None:
    put(catalogue, "a", "b", "c", "d")
    catalogue.enqueue(["waiting"])
    catalogue.record(embedded("c"), "new", beside=MODEL)
    first = catalogue.lacking("new", 2**63 - 1, 2)
    assert [name for _, name in first] == ["d", "b"]
    assert [name for _, name in catalogue.lacking("new", first[-1][0], 2)] == ["a"]


def test_only_what_a_model_has_not_seen_is_reopened_and_its_vectors_stay_till_then(catalogue: Catalogue) -> None:
    put(catalogue, "a")
    put(catalogue, "b", model="new")
    assert catalogue.reopen_lacking(MODEL) == 1
    assert catalogue.pending(9) == ["b"]
    assert len(catalogue.live_labels("new")) == 1


def test_vectors_of_other_models_are_dropped_in_portions(catalogue: Catalogue) -> None:
    kept = put(catalogue, "a", "b")
    for name in ("c", "d", "e"):
        put(catalogue, name, model="old")
    assert catalogue.drop_other_models({MODEL, "new"}, limit=2)
    assert len(catalogue.live_labels("old")) == 1
    assert catalogue.drop_other_models({MODEL, "new"}, limit=2)
    assert not catalogue.drop_other_models({MODEL, "new"}, limit=2)
    assert catalogue.live_labels(MODEL).tolist() == kept


def test_the_length_of_a_model_s_vectors_is_known_while_there_are_any(catalogue: Catalogue) -> None:
    put(catalogue, "a")
    assert catalogue.dimension(MODEL) == DIM
    assert catalogue.dimension("new") is None


# ---- a catalogue of version 1 ----


@pytest.fixture
def version_1(path: Path) -> sqlite3.Connection:
    """A catalogue as it was, with two indexed instances, one that waits, and one deleted label above them."""
    database = sqlite3.connect(path)
    database.executescript(f"BEGIN; {VERSION_1.read_text()} COMMIT;")
    database.execute(
        "INSERT INTO series (orthanc_id, study_orthanc_id, patient_orthanc_id, patient, StudyInstanceUID,"
        " SeriesInstanceUID, Modality) VALUES ('series', 'study', 'patient', 'patient', '1.1', '1.2', 'MR')"
    )
    for number, (name, state) in enumerate([("a", "indexed"), ("b", "indexed"), ("waiting", "pending")], start=1):
        database.execute(
            "INSERT INTO instance (orthanc_id, state, series, SOPInstanceUID, number_of_frames) VALUES (?, ?, 1, ?, 1)",
            (name, state, f"1.9.{number}"),
        )
    for label, instance in ((7, 1), (8, 2)):
        database.execute(
            "INSERT INTO slice VALUES (?, ?, 1, ?, ?)", (label, instance, MODEL, np.eye(1, DIM, dtype="f4").tobytes())
        )
    database.execute("UPDATE sqlite_sequence SET seq = 1000 WHERE name = 'slice'")
    database.execute("INSERT INTO diagnosis VALUES ('study', 'glioma', 'histology')")
    database.execute("INSERT INTO feedback VALUES (1, 'a', 1, 'b', 1, 'similar', ?, '2026-01-01T00:00:00Z')", (MODEL,))
    database.commit()
    return database


def test_a_catalogue_of_version_1_keeps_everything(path: Path, version_1: sqlite3.Connection) -> None:
    version_1.close()
    with contextlib.closing(SqliteCatalogue(path)) as catalogue:
        assert catalogue.answering() == Answering(MODEL, "")
        assert catalogue.live_labels(MODEL).tolist() == [7, 8]
        assert catalogue.slice_vector("b", 1, MODEL) is not None
        assert catalogue.counts() == {"pending": 1, "indexed": 2, "skipped": 0, "failed": 0}
        assert [said.verdict for said in catalogue.feedback()] == ["similar"]
        assert [label.label for label in catalogue.labels(["study"])["study"]] == ["glioma"]
        # labels are never used twice, also those that were gone before
        came, _ = catalogue.record(embedded("waiting"), MODEL)
        assert came == [1001]
        came, _ = catalogue.record(embedded("a"), "new", beside=MODEL)
        assert sorted(catalogue.forget(["a"])) == [7, *came]


def test_after_the_migration_the_file_is_as_a_new_one(path: Path, version_1: sqlite3.Connection) -> None:
    version_1.close()
    SqliteCatalogue(path).close()
    SqliteCatalogue(path).close()

    def structure(database: sqlite3.Connection) -> set[tuple[str, str]]:
        return set(database.execute("SELECT type, name FROM sqlite_schema")) | {
            (table, column)
            for (table,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
            for _, column, *_ in database.execute(f"PRAGMA table_info({table})")
        }

    with contextlib.closing(sqlite3.connect(path)) as migrated, contextlib.closing(sqlite3.connect(":memory:")) as new:
        new.executescript(SCHEMA)
        assert structure(migrated) == structure(new)
        assert migrated.execute("PRAGMA user_version").fetchone() == new.execute("PRAGMA user_version").fetchone()
        assert migrated.execute("PRAGMA foreign_key_check").fetchall() == []


def test_an_empty_catalogue_of_version_1_is_migrated_too(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(f"BEGIN; {VERSION_1.read_text()} COMMIT;")
    with contextlib.closing(SqliteCatalogue(path)) as catalogue:
        assert catalogue.answering() is None
        assert put(catalogue, "a")


def test_a_migration_that_is_interrupted_changes_nothing(
    path: Path, version_1: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    version_1.close()
    with monkeypatch.context() as patched:
        patched.setattr("cbmir.store.sqlite.MIGRATIONS", {1: "ALTER TABLE slice RENAME TO slice_1; SELECT no_such(1);"})
        with pytest.raises(sqlite3.OperationalError):
            SqliteCatalogue(path)
    with contextlib.closing(SqliteCatalogue(path)) as catalogue:
        assert catalogue.live_labels(MODEL).tolist() == [7, 8]


@pytest.mark.parametrize("version", [-1, 99])
def test_a_catalogue_of_an_unknown_version_is_refused(path: Path, version: int) -> None:
    SqliteCatalogue(path).close()
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(CatalogueError, match="another version"):
        SqliteCatalogue(path)
