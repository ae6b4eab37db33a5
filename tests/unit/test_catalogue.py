from __future__ import annotations

import gc
import sqlite3
import stat
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from orthanc_process import wait_for
from parts import DIM, MODEL, embedded, series, units

from cbmir.answering.matching import Condition, parse
from cbmir.errors import CatalogueError
from cbmir.records import Feedback, Label, Quality, Window
from cbmir.store.sqlite import STATEMENTS_KEPT, SqliteCatalogue

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from cbmir.catalogue import Catalogue
    from cbmir.records import Series

INDEXED_ONCE = ("a", "b", "c")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalogue.sqlite"


@pytest.fixture
def file(path: Path) -> Iterator[SqliteCatalogue]:
    catalogue = SqliteCatalogue(path)
    yield catalogue
    catalogue.close()


def put(catalogue: Catalogue, name: str, belongs_to: Series | None = None, **details: Any) -> list[int]:
    """Index an instance; return its labels."""
    catalogue.enqueue([name])
    came, _ = catalogue.record(embedded(name, belongs_to, **details), MODEL)
    return came


def selected(catalogue: Catalogue, **filters: str) -> set[str]:
    """Return the Orthanc ids of the slices that fulfil the filters."""
    conditions = [condition for keyword, text in filters.items() if (condition := parse(keyword, text))]
    labels = catalogue.select(conditions, model=MODEL)
    return {found.orthanc_id for found in catalogue.slices(labels.tolist()).values()}


def rows(catalogue: Catalogue, table: str) -> int:
    (number,) = catalogue._connection().execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - a name of ours
    return int(number)


# ---- states ----


def test_pending_instances_come_newest_first(catalogue: Catalogue) -> None:
    catalogue.enqueue(["a", "b", "c"])
    catalogue.enqueue(["d"])
    assert catalogue.pending(10) == ["d", "c", "b", "a"]
    assert catalogue.pending(2) == ["d", "c"]
    assert catalogue.pending(2, without={"d", "b"}) == ["c", "a"]


def test_what_arrives_again_is_the_newest(catalogue: Catalogue) -> None:
    catalogue.enqueue(["a", "b", "c"])
    catalogue.enqueue(["a"])
    assert catalogue.pending(10) == ["a", "c", "b"]


def test_an_indexed_instance_that_arrives_again_is_pending_and_its_vectors_are_gone(catalogue: Catalogue) -> None:
    labels = put(catalogue, "a")
    assert catalogue.enqueue(["a"]) == labels
    assert catalogue.pending(1) == ["a"]
    assert catalogue.live_labels(MODEL).tolist() == []


def test_each_state_is_counted(catalogue: Catalogue) -> None:
    assert catalogue.counts() == {"pending": 0, "indexed": 0, "skipped": 0, "failed": 0}
    put(catalogue, "a")
    catalogue.enqueue(["b", "c", "d", "e"])
    catalogue.settle("b", "skipped", "no pixels")
    catalogue.settle("c", "skipped", "no pixels")
    catalogue.settle("d", "failed", "cut")
    assert catalogue.counts() == {"pending": 1, "indexed": 1, "skipped": 2, "failed": 1}
    assert catalogue.reasons(10) == [("skipped", "no pixels", 2), ("failed", "cut", 1)]
    assert catalogue.reasons(1) == [("skipped", "no pixels", 2)]
    assert catalogue.orthanc_ids() == set("abcde")


def test_indexed_instances_are_counted_by_modality(catalogue: Catalogue) -> None:
    assert catalogue.modalities() == {}
    for name, number, modality in [("a", 1, "MR"), ("b", 1, "MR"), ("c", 2, "CT"), ("d", 3, "MR"), ("e", 4, "PT")]:
        put(catalogue, name, series("P", number, Modality=modality))
    assert catalogue.modalities() == {"MR": 3, "CT": 1, "PT": 1}
    assert next(iter(catalogue.modalities())) == "MR"
    catalogue.settle("e", "failed", "cut")
    assert catalogue.modalities() == {"MR": 3, "CT": 1}


def test_counts_are_those_of_the_moment_whatever_was_written(catalogue: Catalogue) -> None:
    """They are kept as long as nothing is written."""

    def counted() -> tuple[dict[str, int], dict[str, int]]:
        return {state: n for state, n in catalogue.counts().items() if n}, catalogue.modalities()

    mr, ct = series("P", 1, Modality="MR"), series("Q", 2, Modality="CT")
    put(catalogue, "a", mr)
    assert counted() == ({"indexed": 1}, {"MR": 1})
    catalogue.counts()["indexed"] = 99
    assert counted() == ({"indexed": 1}, {"MR": 1})
    put(catalogue, "b", ct)
    assert counted() == ({"indexed": 2}, {"MR": 1, "CT": 1})
    catalogue.enqueue(["a"])
    assert counted() == ({"pending": 1, "indexed": 1}, {"CT": 1})
    catalogue.enqueue_new(["c"])
    assert counted() == ({"pending": 2, "indexed": 1}, {"CT": 1})
    catalogue.record(embedded("a", ct), MODEL)
    assert counted() == ({"pending": 1, "indexed": 2}, {"CT": 2})
    catalogue.forget(["b", "c"])
    assert counted() == ({"indexed": 1}, {"CT": 1})
    catalogue.reopen(["indexed"])
    assert counted() == ({"pending": 1}, {})
    catalogue.settle("a", "skipped", "no pixels")
    assert counted() == ({"skipped": 1}, {})


def test_while_nothing_is_written_nothing_is_counted_again(file: SqliteCatalogue) -> None:
    put(file, "a")
    file.counts(), file.modalities()
    asked: list[str] = []
    file._connection().set_trace_callback(asked.append)
    file.counts(), file.modalities()
    assert asked == []


def test_an_entry_is_found_by_either_id(catalogue: Catalogue) -> None:
    put(catalogue, "a", sop="1.2.3", note="1 frame left out")
    for identifier in ("a", "1.2.3"):
        entry = catalogue.entry(identifier)
        assert entry is not None
        assert (entry.orthanc_id, entry.state, entry.reason) == ("a", "indexed", "1 frame left out")
    assert catalogue.entry("1.2.4") is None


def test_what_failed_later_loses_its_vectors(catalogue: Catalogue) -> None:
    labels = put(catalogue, "a")
    assert catalogue.settle("a", "failed", "cut") == labels
    assert catalogue.slices(labels) == {}


def test_an_instance_forgotten_meanwhile_stays_forgotten(catalogue: Catalogue) -> None:
    assert catalogue.record(embedded("a"), MODEL) == ([], [])
    assert catalogue.settle("a", "failed", "x") == []
    assert catalogue.orthanc_ids() == set()
    assert catalogue.parents() == set()


def test_settled_instances_can_be_reopened_by_state_and_keep_their_vectors(catalogue: Catalogue) -> None:
    labels = put(catalogue, "a")
    catalogue.enqueue(["b", "c"])
    catalogue.settle("b", "skipped", "x")
    catalogue.settle("c", "failed", "x")
    assert catalogue.reopen(["failed", "indexed"]) == 2
    assert set(catalogue.pending(9)) == {"a", "c"}
    assert catalogue.live_labels(MODEL).tolist() == labels
    entry = catalogue.entry("c")
    assert entry is not None
    assert entry.reason is None


# ---- vectors ----


def test_a_vector_is_kept_exactly(catalogue: Catalogue) -> None:
    vector = units(np.random.default_rng(0).standard_normal((1, DIM)))
    (label,) = put(catalogue, "a", vectors=vector)
    found = catalogue.slice_vector("a", 1, MODEL)
    assert found is not None
    assert found[0].label == label
    np.testing.assert_array_equal(found[1], vector[0])


def test_frames_have_labels_of_their_own(catalogue: Catalogue) -> None:
    labels = put(catalogue, "a", vectors=np.eye(3, DIM))
    found = catalogue.slices(labels)
    assert [found[label].frame for label in labels] == [1, 2, 3]
    assert {one.number_of_frames for one in found.values()} == {3}
    assert catalogue.slice_vector("a", 4, MODEL) is None
    assert catalogue.slice_vector("a", 1, "another") is None
    assert catalogue.slice_vector("b", 1, MODEL) is None


def test_new_vectors_of_an_instance_replace_the_old_ones(catalogue: Catalogue) -> None:
    old = put(catalogue, "a", vectors=np.eye(3, DIM))
    came, gone = catalogue.record(embedded("a"), MODEL)
    assert gone == old
    assert len(came) == 1
    assert not set(came) & set(old)
    assert catalogue.live_labels(MODEL).tolist() == came


def test_a_label_is_never_used_twice(catalogue: Catalogue) -> None:
    seen: set[int] = set()
    for turn in range(20):
        labels = put(catalogue, str(turn % 3), vectors=np.eye(2, DIM))
        assert not seen & set(labels)
        seen |= set(labels)
        if turn % 4 == 0:
            catalogue.forget(["0", "1", "2"])


def test_a_label_is_not_used_again_after_a_restart(path: Path) -> None:
    first = SqliteCatalogue(path)
    labels = put(first, "a")
    first.forget(["a"])
    first.close()
    second = SqliteCatalogue(path)
    assert put(second, "a") > labels
    second.close()


def test_vectors_come_in_the_order_asked_for_without_those_that_are_gone(catalogue: Catalogue) -> None:
    labels = [put(catalogue, str(number), vectors=np.eye(DIM)[number])[0] for number in range(5)]
    catalogue.forget(["2"])
    wanted = np.array([labels[4], labels[2], labels[0], 10**9])
    ((found, vectors),) = catalogue.vectors(wanted)
    assert found.tolist() == [labels[4], labels[0]]
    np.testing.assert_array_equal(vectors, np.eye(DIM, dtype=np.float32)[[4, 0]])
    assert list(catalogue.vectors(np.array([10**9]))) == []


def test_more_labels_than_one_statement_can_bind_are_found(catalogue: Catalogue) -> None:
    labels = put(catalogue, "a", vectors=np.ones((2500, DIM)))
    assert len(catalogue.slices(labels)) == 2500
    assert sum(len(found) for found, _ in catalogue.vectors(np.array(labels))) == 2500


# ---- what belongs together ----


def test_forgetting_the_last_instance_drops_series_and_what_was_said_of_it(catalogue: Catalogue) -> None:
    one, other = series("P1", 1, 1), series("P1", 1, 2)
    put(catalogue, "a", one)
    put(catalogue, "b", one)
    put(catalogue, "c", other)
    for name in (one.orthanc_id, other.orthanc_id, one.study_orthanc_id):
        catalogue.set_labels(name, [Label("glioma", "histology")])
    catalogue.forget(["a"])
    assert rows(catalogue, "series") == 2
    catalogue.forget(["b"])
    assert catalogue.parents() == {other.orthanc_id, other.study_orthanc_id}
    assert catalogue.labels([one.orthanc_id])[one.orthanc_id] == []
    assert catalogue.labels([one.study_orthanc_id])[one.study_orthanc_id] != []
    catalogue.forget(["c"])
    assert [rows(catalogue, table) for table in ("instance", "slice", "series", "diagnosis")] == [0, 0, 0, 0]


@pytest.mark.parametrize("between", ["nothing", "skipped", "failed"])
def test_nothing_is_left_of_an_instance_that_was_overwritten_and_then_deleted(
    catalogue: Catalogue, between: str
) -> None:
    """An overwritten instance lost its tie to the series, so that the series' facts outlived the patient's deletion."""
    one = series()
    put(catalogue, "a", one)
    catalogue.set_labels(one.study_orthanc_id, [Label("glioma", "histology")])
    catalogue.enqueue(["a"])
    if between != "nothing":
        catalogue.settle("a", between, "x")
    catalogue.forget(["a"])
    assert [rows(catalogue, table) for table in ("instance", "slice", "series", "diagnosis")] == [0, 0, 0, 0]


def test_of_statements_for_every_number_of_slices_few_are_kept(file: SqliteCatalogue) -> None:
    """They were all kept, so that memory grew for hours."""

    def kept() -> int:
        return sum(type(one).__name__ == "Statement" for one in gc.get_objects())

    before = kept()
    for number in range(1, 4 * STATEMENTS_KEPT):
        file.slices(list(range(number)))
    assert kept() - before <= STATEMENTS_KEPT


def test_deleted_vectors_are_overwritten_in_the_file(file: SqliteCatalogue, path: Path) -> None:
    vector = units(np.random.default_rng(7).standard_normal((1, DIM)))
    put(file, "a", vectors=vector)
    put(file, "b")
    file.forget(["a"])
    database = sqlite3.connect(path)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    assert vector.tobytes() not in path.read_bytes()


def test_facts_of_a_series_follow_its_newest_instance(catalogue: Catalogue) -> None:
    put(catalogue, "a", series(SeriesDescription="old"))
    (label,) = put(catalogue, "b", series(SeriesDescription="new"))
    found = catalogue.slices([label])[label]
    assert found.series.facts == {"Modality": "MR", "SeriesDescription": "new"}


def test_labels_are_replaced_as_a_whole(catalogue: Catalogue) -> None:
    one = series()
    put(catalogue, "a", one)
    catalogue.set_labels(one.orthanc_id, [Label("b", "report"), Label("a", "histology"), Label("a", "again")])
    said = [Label("a", "again"), Label("a", "histology"), Label("b", "report")]
    assert catalogue.labels([one.orthanc_id]) == {one.orthanc_id: said}
    catalogue.set_labels(one.orthanc_id, [])
    assert catalogue.labels([one.orthanc_id, "x"]) == {one.orthanc_id: [], "x": []}


def test_labels_that_are_there_already_are_not_written_again(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each start compares the labels of every study and series: it once wrote all of them anew."""
    one = series()
    put(catalogue, "a", one)
    said = [Label("b", "report"), Label("a", "histology"), Label("a", "again")]
    catalogue.set_labels(one.orthanc_id, said)
    monkeypatch.setattr(catalogue, "_transaction", lambda: pytest.fail("something was written"))
    catalogue.set_labels(one.orthanc_id, said)
    catalogue.set_labels(one.study_orthanc_id, [])


def test_parents_are_the_series_and_studies_with_an_instance(catalogue: Catalogue) -> None:
    one = series()
    put(catalogue, "a", one)
    assert catalogue.parents() == {one.orthanc_id, one.study_orthanc_id}
    assert catalogue.levels(["x", one.study_orthanc_id, one.orthanc_id, "a"]) == {
        "a": "instances",
        one.orthanc_id: "series",
        one.study_orthanc_id: "studies",
    }
    assert catalogue.labelled() == set()
    catalogue.set_labels("a", [Label("cyst", "")])
    assert catalogue.labelled() == {"a"}
    assert catalogue.modalities() == {"MR": 1}


# ---- filters ----


@pytest.fixture
def filled(catalogue: Catalogue) -> Catalogue:
    """Return a catalogue of a few patients with different facts, and one without any."""
    facts = {
        "plain": {"SeriesDescription": "T1 SE TRA", "StudyDate": "20240131", "PatientAge": "054Y", "PatientSex": "F"},
        "flair": {"SeriesDescription": "T2 FLAIR", "StudyDate": "20230101", "PatientAge": "008M", "PatientSex": "M"},
        "marks": {"SeriesDescription": "50%_!'\"", "StudyDate": "20250601", "PatientAge": "060Y"},
        "silent": {},
    }
    for number, (name, known) in enumerate(facts.items()):
        put(catalogue, name, series(f"P{number}", number, **known))
    return catalogue


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, {"plain", "flair", "marks", "silent"}),
        ({"SeriesDescription": "t2 flair"}, {"flair"}),
        ({"SeriesDescription": "*flair*"}, {"flair"}),
        ({"SeriesDescription": "T? *"}, {"flair"} | {"plain"}),
        ({"SeriesDescription": "*%*"}, {"marks"}),
        ({"SeriesDescription": "*_*"}, {"marks"}),
        ({"SeriesDescription": "*!'\"*"}, {"marks"}),
        ({"SeriesDescription": "%"}, set()),
        ({"SeriesDescription": "' OR 1=1 --"}, set()),
        ({"StudyDate": "20230101"}, {"flair"}),
        ({"StudyDate": "20230101-20240131"}, {"flair", "plain"}),
        ({"StudyDate": "20240201-"}, {"marks"}),
        ({"StudyDate": "-20231231"}, {"flair"}),
        ({"PatientAge": "040Y-060Y"}, {"plain", "marks"}),
        ({"PatientAge": "-001Y"}, {"flair"}),
        ({"PatientAge": "008M"}, {"flair"}),
        ({"PatientAge": "055Y-"}, {"marks"}),
        ({"PatientSex": "f"}, {"plain"}),
        ({"PatientSex": "?"}, {"plain", "flair"}),
        ({"PatientSex": "F", "StudyDate": "-20231231"}, set()),
        ({"StudyInstanceUID": "1.0,1.1"}, {"plain", "flair"}),
        ({"SeriesInstanceUID": "1.2.1"}, {"marks"}),
        ({"Modality": "CT"}, set()),
    ],
)
def test_filters_select_by_the_rules_of_dicom(filled: Catalogue, filters: dict[str, str], found: set[str]) -> None:
    assert selected(filled, **filters) == found


@pytest.mark.parametrize("level", ["series", "study"])
@pytest.mark.parametrize("asked", ["glioma", "GLIO*", "?lioma"])
def test_slices_are_found_by_what_is_said_of_their_series_or_study(filled: Catalogue, level: str, asked: str) -> None:
    one = series("P1", 1)
    filled.set_labels(one.orthanc_id if level == "series" else one.study_orthanc_id, [Label("Glioma", "histology")])
    assert selected(filled, label=asked) == {"flair"}


def test_slices_of_one_patient_can_be_selected(filled: Catalogue) -> None:
    put(filled, "prior", series("P1", 77))
    labels = filled.select([], model=MODEL, patient=series("P1").patient)
    assert {found.orthanc_id for found in filled.slices(labels.tolist()).values()} == {"flair", "prior"}


def test_other_models_slices_are_never_selected(filled: Catalogue) -> None:
    filled.enqueue(["new"])
    filled.record(embedded("new"), "another")
    assert "new" not in selected(filled)
    assert len(filled.select([], model="another")) == 1


# ---- the file ----


def test_a_reopened_catalogue_knows_what_was_written(path: Path) -> None:
    first = SqliteCatalogue(path)
    labels = put(first, "a", series(StudyDescription="MR BRAIN"))
    first.enqueue(["b"])
    before = first.slices(labels)
    first.close()
    second = SqliteCatalogue(path)
    assert second.slices(labels) == before
    assert second.pending(9) == ["b"]
    second.close()


def test_nobody_else_may_read_the_files(file: SqliteCatalogue, path: Path) -> None:
    put(file, "a")
    files = list(path.parent.iterdir())
    assert {file.name for file in files} >= {path.name, f"{path.name}-wal"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_later_version_s_catalogue_is_refused_and_left_alone(path: Path) -> None:
    SqliteCatalogue(path).close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(CatalogueError, match="another version"):
        SqliteCatalogue.opened(path, pytest.fail)
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA user_version").fetchone() == (99,)
    database.close()


def some_catalogue(path: Path) -> None:
    catalogue = SqliteCatalogue(path)
    for number in range(60):
        put(catalogue, str(number), series(f"P{number}", number), vectors=np.ones((3, DIM)))
    catalogue.close()


@pytest.mark.parametrize("seed", range(25))
def test_a_damaged_file_is_put_aside_or_still_answers(path: Path, seed: int) -> None:
    some_catalogue(path)
    content = bytearray(path.read_bytes())
    random = np.random.default_rng(seed)
    if seed < 15:
        page = 4096 * int(random.integers(len(content) // 4096)) if seed else 0
        content[page : page + 4096] = random.bytes(4096)
    elif seed < 20:
        content = content[: int(random.integers(1, len(content)))]
    else:
        # bytes of the header: page size, versions, schema format, encoding
        for position in random.integers(0, 100, 4):
            content[position] = random.integers(256)
    path.write_bytes(content)
    logged: list[str] = []
    try:
        catalogue = SqliteCatalogue.opened(path, logged.append)
    except CatalogueError:
        assert seed >= 20
        return
    assert put(catalogue, "new")
    assert "new" in catalogue.orthanc_ids()
    # another thread has a connection of its own, to the same files
    found: list[set[str]] = []

    def read() -> None:
        found.append(catalogue.orthanc_ids())
        catalogue.close()

    reader = threading.Thread(target=read)
    reader.start()
    reader.join()
    assert "new" in found[0]
    assert path.with_name("catalogue.sqlite-wal").exists()
    if logged:
        assert path.with_name("catalogue.sqlite.damaged").read_bytes()[:50] == bytes(content[:50])
        assert catalogue.orthanc_ids() == {"new"}
    else:
        assert len(catalogue.orthanc_ids()) > 1
    catalogue.close()
    again = SqliteCatalogue(path)
    assert "new" in again.orthanc_ids()
    again.close()


def test_text_in_place_of_a_catalogue_is_put_aside(path: Path) -> None:
    path.write_text("this is no database, it is a long enough text" * 100)
    logged: list[str] = []
    catalogue = SqliteCatalogue.opened(path, logged.append)
    assert catalogue.counts()["indexed"] == 0
    assert "damaged" in logged[0]
    assert path.with_name("catalogue.sqlite.damaged").read_text().startswith("this is no database")
    catalogue.close()


def test_an_empty_file_becomes_a_catalogue(path: Path) -> None:
    path.touch()
    catalogue = SqliteCatalogue.opened(path, pytest.fail)
    assert put(catalogue, "a")
    catalogue.close()


def test_a_catalogue_locked_by_another_process_is_not_taken_for_damaged(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SqliteCatalogue(path).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    connect = sqlite3.connect
    monkeypatch.setattr(
        "cbmir.store.sqlite.sqlite3.connect", lambda *args, **rest: connect(*args, **{**rest, "timeout": 0})
    )
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        SqliteCatalogue.opened(path, pytest.fail)
    other.close()
    assert path.exists()
    assert not path.with_name("catalogue.sqlite.damaged").exists()


def test_feedback_is_kept_with_both_slices_and_replaced_by_later_words(catalogue: Catalogue) -> None:
    put(catalogue, "a")
    put(catalogue, "b")
    first = Feedback("a", 1, "b", 1, "similar", MODEL, "2026-01-01T00:00:00+00:00")
    later = Feedback("a", 1, "b", 1, "different", MODEL, "2026-01-02T00:00:00+00:00")
    assert catalogue.add_feedback(first)
    assert catalogue.add_feedback(later)
    assert not catalogue.add_feedback(Feedback("a", 1, "nobody", 1, "similar", MODEL, "2026-01-01T00:00:00+00:00"))
    assert catalogue.feedback() == [later]


@pytest.mark.parametrize("name", ["a", "b"])
def test_feedback_goes_with_either_slice(catalogue: Catalogue, name: str) -> None:
    put(catalogue, "a")
    put(catalogue, "b")
    catalogue.add_feedback(Feedback("a", 1, "b", 1, "similar", MODEL, "2026-01-01T00:00:00+00:00"))
    catalogue.forget([name])
    assert catalogue.feedback() == []


def test_a_failed_write_leaves_nothing_half_written(catalogue: Catalogue) -> None:
    put(catalogue, "a")
    with pytest.raises(Exception, match=r"(?i)not.null"):
        catalogue.enqueue(["b", "a", None])  # type: ignore[list-item]
    assert catalogue.orthanc_ids() == {"a"}
    assert catalogue.counts()["indexed"] == 1
    catalogue.enqueue(["b"])
    assert catalogue.orthanc_ids() == {"a", "b"}


def test_a_series_that_is_deleted_while_its_slices_are_read_is_missing(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that met a slice whose series was deleted a moment later failed with a TypeError."""
    kept, lost = put(catalogue, "a"), put(catalogue, "b", series("P2", 2))
    read = catalogue._many_series

    def read_late(rows: Collection[int]) -> dict[int, Series]:
        catalogue.forget(["b"])
        return read(rows)

    monkeypatch.setattr(catalogue, "_many_series", read_late)
    assert catalogue.slices(kept + lost).keys() == set(kept)


def test_readers_never_fail_or_see_halves_while_the_worker_writes(path: Path) -> None:
    writer = SqliteCatalogue(path)
    done, trouble = threading.Event(), []
    seen = [0]

    def read() -> None:
        try:
            while not done.is_set():
                labels = writer.live_labels(MODEL)
                for found in writer.slices(labels.tolist()).values():
                    seen[0] += 1
                    assert found.series.facts["Modality"] == "MR"
                writer.labels([series(f"P{number}", number).orthanc_id for number in range(5)])
                writer.counts()
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            trouble.append(error)
        writer.close()

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for turn in range(150):
        number = turn % 5
        put(writer, str(number), series(f"P{number}", number), vectors=np.ones((4, DIM)))
        if turn % 2:
            writer.forget([str(number), str((number + 1) % 5)])
    # slices of three patients are there now: whoever reads sees them
    wait_for(lambda: seen[0] or trouble, "a reader has seen something")
    done.set()
    for reader in readers:
        reader.join()
    writer.close()
    assert not trouble


# ---- quality ----


def quality(date: str, p1: float = 0.5) -> Quality:
    return Quality(date, slices=9, diagnoses=4, patients=3, sample=8, p1=p1, p5=0.4, p10=0.3, chance=0.25)


def test_quality_is_kept_by_day_and_model_and_the_last_of_a_day_counts(catalogue: Catalogue) -> None:
    for date, p1 in (("2026-01-02", 0.1), ("2026-01-01", 0.2), ("2026-01-02", 0.3)):
        catalogue.add_quality(quality(date, p1), MODEL)
    catalogue.add_quality(quality("2026-01-03"), "other-model")
    assert catalogue.quality(MODEL) == [quality("2026-01-01", 0.2), quality("2026-01-02", 0.3)]


def test_feedback_outlives_the_sending_of_the_same_images_once_more(catalogue: Catalogue) -> None:
    put(catalogue, "a")
    put(catalogue, "b")
    said = Feedback("a", 1, "b", 1, "similar", MODEL, "2026-01-01T00:00:00+00:00")
    catalogue.add_feedback(said)
    catalogue.enqueue(["b"])
    assert catalogue.feedback() == [said]


def test_a_slice_keeps_the_window_that_it_is_shown_with(catalogue: Catalogue) -> None:
    (grey,) = put(catalogue, "grey")
    colour = embedded("colour")
    colour.windows.clear()
    catalogue.enqueue(["colour"])
    ((coloured,), _) = catalogue.record(colour, MODEL)
    found = catalogue.slices([grey, coloured])
    assert found[grey].window == Window(100.5, 200)
    assert found[coloured].window is None


# ---- figures by day ----


def test_figures_are_kept_by_kind_model_and_day_and_the_last_of_a_day_count(catalogue: Catalogue) -> None:
    for date, share in (("2026-01-02", 0.1), ("2026-01-01", 0.2), ("2026-01-02", 0.3)):
        catalogue.keep_day("drift", MODEL, date, {"share": share})
    catalogue.keep_day("drift", "other-model", "2026-01-03", {"share": 0.4})
    catalogue.keep_day("scanners", MODEL, "2026-01-03", {"share": 0.5})
    assert catalogue.days("drift", MODEL) == [
        {"date": "2026-01-01", "share": 0.2},
        {"date": "2026-01-02", "share": 0.3},
    ]


# ---- what is said of whole archives, and what slices look like ----


def test_labels_are_told_by_patient_wherever_they_are(catalogue: Catalogue) -> None:
    for number in range(1, 4):
        put(catalogue, f"i{number}", series(f"P{number}", number, SeriesDescription=f"T{number}"))
    catalogue.set_labels(series("P1", 1).study_orthanc_id, [Label("glioma", "histology")])
    catalogue.set_labels(series("P2", 2).orthanc_id, [Label("glioma", "report"), Label("cyst", "report")])
    catalogue.set_labels("i3", [Label("cyst", "")])
    assert catalogue.labels_by_patient() == {
        series("P1", 1).patient: {Label("glioma", "histology")},
        series("P2", 2).patient: {Label("glioma", "report"), Label("cyst", "report")},
        series("P3", 3).patient: {Label("cyst", "")},
    }
    only = parse("SeriesDescription", "t3")
    assert only is not None
    assert set(catalogue.labels_by_patient([only])) == {series("P3", 3).patient}


def test_what_has_a_verified_label_other_than_one_can_be_found(catalogue: Catalogue) -> None:
    said = {"a": Label("Glioma", "histology"), "b": Label("cyst", "Histology"), "c": Label("cyst", "report")}
    for number, (name, label) in enumerate(said.items()):
        put(catalogue, name, series(name, number))
        catalogue.set_labels(series(name, number).study_orthanc_id, [label])
    (both,) = put(catalogue, "d", series("d", 9))
    catalogue.set_labels("d", [Label("cyst", "histology"), Label("glioma", "report")])
    other = Condition("label", "other", ("glioma", "histology", "follow-up"))
    found = catalogue.slices(catalogue.select([other], model=MODEL).tolist())
    assert [one.orthanc_id for one in found.values()] == ["b"]
    assert both not in found


def test_a_label_of_an_instance_finds_that_slice_only_and_goes_with_it(catalogue: Catalogue) -> None:
    (first,) = put(catalogue, "a", series())
    (second,) = put(catalogue, "b", series())
    catalogue.set_labels("a", [Label("cyst", "histology")])
    only = parse("label", "cyst")
    assert only is not None
    assert catalogue.select([only], model=MODEL).tolist() == [first]
    assert catalogue.labels_of(catalogue.slices([first])[first]) == [Label("cyst", "histology")]
    slices = catalogue.slices([first, second])
    assert catalogue.labels_of_each([slices[second], slices[first]]) == [[], [Label("cyst", "histology")]]
    assert catalogue.labels_of_each([]) == []
    catalogue.forget(["a"])
    assert catalogue.labels(["a"]) == {"a": []}


def test_sketches_are_kept_where_there_are_any_and_go_with_their_slices(catalogue: Catalogue) -> None:
    one = embedded("a", vectors=np.eye(2, DIM))
    one.sketches[2] = np.arange(64, dtype=np.uint8)
    catalogue.enqueue(["a"])
    (_, second), _ = catalogue.record(one, MODEL)
    found = catalogue.sketches(catalogue.live_labels(MODEL).tolist())
    assert {label: grey.tolist() for label, grey in found.items()} == {second: list(range(64))}
    catalogue.forget(["a"])
    assert catalogue.sketches([second]) == {}


def test_the_last_day_of_a_kind_is_told(catalogue: Catalogue) -> None:
    assert catalogue.last_day("calibration", MODEL) is None
    for date, number in (("2026-01-02", 2), ("2026-01-01", 1)):
        catalogue.keep_day("calibration", MODEL, date, {"slices": number})
    assert catalogue.last_day("calibration", MODEL) == {"date": "2026-01-02", "slices": 2}
    assert catalogue.last_day("drift", MODEL) is None


@pytest.mark.parametrize("damage", ["[", '{"slices": 8}', "7", ""])
def test_figures_that_were_damaged_on_the_disk_are_as_if_never_measured(catalogue: Catalogue, damage: str) -> None:
    """They once disabled the plugin at its start."""
    catalogue.keep_day("calibration", MODEL, "2026-01-01", {"slices": 7})
    assert catalogue.days("calibration", MODEL)
    with catalogue._transaction() as database:
        database.execute("UPDATE day SET figures = ?", (damage,))
    assert catalogue.last_day("calibration", MODEL) is None
    assert catalogue.days("calibration", MODEL) == []


def test_a_word_on_a_pair_can_be_taken_back(catalogue: Catalogue) -> None:
    put(catalogue, "a")
    put(catalogue, "b")
    said = Feedback("a", 1, "b", 1, "similar", MODEL, "2026-01-01T00:00:00+00:00")
    catalogue.add_feedback(said)
    catalogue.withdraw_feedback(replace(said, hit_frame=2, verdict=None))
    assert catalogue.feedback() == [said]
    catalogue.withdraw_feedback(replace(said, verdict=None))
    assert catalogue.feedback() == []


def test_the_studies_of_instances_are_known_once_they_were_indexed(catalogue: Catalogue) -> None:
    put(catalogue, "a", series("P1", 1))
    put(catalogue, "b", series("P2", 2))
    catalogue.enqueue(["waiting"])
    known = {"a": series("P1", 1).study_orthanc_id, "b": series("P2", 2).study_orthanc_id}
    assert catalogue.studies(["a", "b", "waiting", "nobody"]) == known


def test_the_instances_of_slices_can_be_reopened(catalogue: Catalogue) -> None:
    labels = put(catalogue, "a", vectors=np.eye(3, DIM))
    put(catalogue, "b")
    catalogue.reopen_slices(labels[1:])
    assert catalogue.pending(9) == ["a"]
    assert catalogue.live_labels(MODEL).tolist()[:3] == labels
