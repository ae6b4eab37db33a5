from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from parts import DIM, MODEL, embedded, series, units

import migrate
from cbmir.app import exclusive
from cbmir.records import Feedback, Label, Quality
from cbmir.store.copying import TABLES
from cbmir.store.postgresql.catalogue import PostgresCatalogue
from cbmir.store.snapshots import MANIFEST
from cbmir.store.sqlite import SqliteCatalogue

if TYPE_CHECKING:
    from pathlib import Path

    from cbmir.catalogue import Catalogue


def fill(catalogue: Catalogue) -> None:
    """Have every table hold something."""
    one = series(StudyDescription="MR BRAIN", PatientAge="054Y")
    vectors = units(np.random.default_rng(0).standard_normal((3, DIM)))
    catalogue.enqueue(["a", "b", "waiting", "odd"])
    seen = embedded("a", one, vectors=vectors, note="x")
    seen.sketches.update({frame: np.full(64, frame, np.uint8) for frame in seen.vectors})
    catalogue.record(seen, MODEL)
    catalogue.record(embedded("b", series("P2", 2)), MODEL)
    catalogue.settle("odd", "failed", "cut")
    catalogue.set_labels(one.study_orthanc_id, [Label("glioma", "histology")])
    catalogue.add_feedback(Feedback("a", 1, "b", 1, "similar", MODEL, "2026-01-01T00:00:00+00:00"))
    catalogue.answer_with(MODEL, "/models/tiny")
    catalogue.add_quality(Quality("2026-01-01", 4, 1, 2, 4, 0.5, 0.4, 0.3, 0.25), MODEL)
    catalogue.keep_day("drift", MODEL, "2026-01-01", {"shift": 0.5})


def content(catalogue: Catalogue) -> dict[str, list[str]]:
    """Return all rows of all tables, in one form."""
    return {
        table: sorted(
            repr(tuple(row))
            for row in catalogue._connection().execute(f"SELECT {', '.join(columns(catalogue, table))} FROM {table}")  # noqa: S608
        )
        for table in TABLES
    }


def columns(catalogue: Catalogue, table: str) -> list[str]:
    return sorted({name.lower() for name in catalogue._columns(table)} - {"claimed_by"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a data directory with a catalogue in files."""
    catalogue = SqliteCatalogue(tmp_path / "catalogue.sqlite")
    fill(catalogue)
    catalogue.close()
    return tmp_path


def test_everything_moves_into_the_database_and_back(folder: Path, database: str) -> None:
    before = SqliteCatalogue(folder / "catalogue.sqlite")
    wanted = content(before)
    assert all(wanted.values()), "some table is not tested"
    before.close()
    assert migrate.main(["--to", database, str(folder)]) == 0
    moved = PostgresCatalogue(database, "a node")
    assert content(moved) == wanted
    moved.close()
    (folder / "catalogue.sqlite").unlink()
    (folder / MANIFEST).write_text("of an index that knows other vectors by these labels")
    assert migrate.main(["--from", database, str(folder)]) == 0
    back = SqliteCatalogue(folder / "catalogue.sqlite")
    assert content(back) == wanted
    back.close()
    assert not (folder / MANIFEST).exists()
    assert not list(folder.glob("*.part*"))


def test_what_comes_after_the_move_gets_numbers_of_its_own(folder: Path, database: str) -> None:
    assert migrate.main(["--to", database, str(folder)]) == 0
    catalogue = PostgresCatalogue(database, "a node")
    known = set(catalogue.live_labels(MODEL).tolist())
    catalogue.enqueue(["new"])
    came, _ = catalogue.record(embedded("new", series("P3", 3)), MODEL)
    assert min(came) > max(known)
    assert catalogue.pending(9) == ["waiting"]
    catalogue.close()


def test_nothing_is_copied_over_what_is_there(folder: Path, database: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert migrate.main(["--to", database, str(folder)]) == 0
    assert migrate.main(["--to", database, str(folder)]) == 1
    assert "nothing was changed" in capsys.readouterr().err
    assert migrate.main(["--from", database, str(folder)]) == 1
    assert "move it away first" in capsys.readouterr().err


def test_nothing_is_copied_while_an_orthanc_runs(
    folder: Path, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with exclusive(folder):
        assert migrate.main(["--to", database, str(folder)]) == 1
    assert "another Orthanc uses the data directory" in capsys.readouterr().err
    node = PostgresCatalogue(database, "a node")
    node.sign_of_life({MODEL})
    assert migrate.main(["--to", database, str(folder)]) == 1
    assert "stop it first" in capsys.readouterr().err
    node.close()
    assert migrate.main(["--to", database, str(folder)]) == 0


def test_a_move_that_fails_leaves_nothing_behind(
    folder: Path, database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cbmir.store.copying.TABLES", (*TABLES, "no_such_table"))
    with pytest.raises(Exception, match="no_such_table"):
        migrate.main(["--to", database, str(folder)])
    monkeypatch.undo()
    catalogue = PostgresCatalogue(database, "a node")
    assert catalogue.is_empty()
    catalogue.close()
    assert migrate.main(["--to", "host=/nowhere", str(folder)]) == 1
    assert "cannot be used now" in capsys.readouterr().err


def test_a_folder_without_a_catalogue_is_named(
    tmp_path: Path, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert migrate.main(["--to", database, str(tmp_path)]) == 1
    assert "catalogue.sqlite" in capsys.readouterr().err
