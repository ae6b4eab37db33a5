from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from parts import DIM, MODEL, embedded, series, units

from cbmir.index import SliceIndex
from cbmir.ingest import rebuilding as rebuilding_module
from cbmir.ingest.rebuilding import Rebuilding
from cbmir.store.sqlite import SqliteCatalogue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

import pytest


class House:
    """A catalogue with thirty slices, an index over it, and what rebuilds that."""

    def __init__(self, directory: Path) -> None:
        self.catalogue = SqliteCatalogue(directory / "catalogue.sqlite")
        self.index, self.model = SliceIndex(directory, dim=DIM, model=MODEL), MODEL
        self.closed, self.log = threading.Event(), list[str]()
        self.rebuilding = Rebuilding(self.catalogue, self.closed, self.log.append)
        vectors = units(np.random.default_rng(0).standard_normal((30, DIM)))
        self.catalogue.enqueue(["a"])
        came, _ = self.catalogue.record(embedded("a", series("P", 1), vectors=vectors), MODEL)
        self.labels = np.array(came)
        self.index.add(self.labels, vectors)

    def rebuild(self) -> Any:
        self.rebuilding.begin(self)  # type: ignore[arg-type]
        self.rebuilding.wait()
        return self.rebuilding.outcome()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.catalogue.close()


def test_an_index_is_rebuilt_on_another_thread(house: House) -> None:
    lost = house.rebuild()
    assert lost is not None
    assert len(lost) == 0
    assert len(house.index) == 30
    assert house.rebuilding.outcome() is None, "it is told once"


def test_a_rebuild_leaves_no_connection_open(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.13 keeps what a thread that ended held until its next collection: megabytes, after some hundred."""

    held: list[sqlite3.Connection] = []
    live = house.catalogue.live_labels

    def held_on_to(model: str) -> Any:
        held.append(house.catalogue._connection())
        return live(model)

    monkeypatch.setattr(house.catalogue, "live_labels", held_on_to)
    assert house.rebuild() is not None
    (connection,) = held
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        assert connection.total_changes


def test_damaged_vectors_are_told(house: House) -> None:
    with house.catalogue._transaction() as database:
        database.execute("UPDATE slice SET vector = zeroblob(length(vector)) WHERE label = ?", (int(house.labels[3]),))
    assert house.rebuild().tolist() == [house.labels[3]]
    assert len(house.index) == 29


def test_when_orthanc_stops_the_old_graph_stays(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuilding_module, "AT_ONCE", 10)
    house.closed.set()
    assert house.rebuild() is None
    assert len(house.index) == 30
    assert not house.log


def test_a_rebuild_that_fails_is_told_and_not_repeated_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as small:
        small.setattr("cbmir.store.graph.Graph.add", lambda *_: (_ for _ in ()).throw(MemoryError))
        assert house.rebuild() is None
    assert house.log == ["the index could not be rebuilt (MemoryError); it is tried again"]
    assert house.rebuild() is None
    monkeypatch.setattr(house.rebuilding, "_not_before", 0.0)
    assert house.rebuild() is not None
