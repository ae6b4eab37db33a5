from __future__ import annotations

import contextlib
import json
import os
import random
import sqlite3
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from dicom_files import mr_slice
from orthanc_double import OrthancDouble
from orthanc_process import free_port
from parts import MODEL, tiny_embedder, tiny_session

from cbmir import app as app_module
from cbmir.access import ANYONE
from cbmir.answering.services import State
from cbmir.app import App
from cbmir.archive import Archive
from cbmir.index import SliceIndex
from cbmir.loopback import Door
from cbmir.saving.delivery import Delivery
from cbmir.settings import Settings
from cbmir.store.sqlite import SqliteCatalogue
from cbmir.web import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

PATIENCE = 120.0


class House:
    """Apps over one double of Orthanc, all stopped at the end."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.orthanc = OrthancDouble()
        self.apps: list[App] = []
        self.log: list[str] = []

    def app(self, **settings: Any) -> App:
        chosen = Settings(**{"data_directory": str(self.directory / "cbmir"), **settings})
        self.apps.append(App(Archive(self.orthanc), chosen, self.log.append, ANYONE, Delivery(Door(1, tls=False))))
        return self.apps[-1]

    def store(self, app: App, *datasets: Any) -> list[str]:
        stored = [self.orthanc.store(dataset) for dataset in datasets]
        for name in stored:
            app.inbox.put("stored", name)
        return stored


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr(app_module, "load", lambda *_args, **_rest: tiny_embedder())
    house = House(tmp_path)
    yield house
    for app in house.apps:
        app.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "cbmir-worker"]


def get(app: App, path: str) -> Response:
    return app.api(Request("GET", path))


def status(app: App) -> Any:
    return json.loads(get(app, "status").body)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def started(app: App) -> App:
    app.start()
    until(lambda: status(app)["state"] != "starting")
    return app


def test_from_an_arriving_slice_to_a_similar_case(house: House) -> None:
    app = started(house.app())
    stored = house.store(app, mr_slice("P1"), mr_slice("P2", 2))
    until(lambda: status(app).get("indexed") == 2)
    answer = json.loads(get(app, f"similar/{stored[0]}").body)
    assert [case["slices"][0]["orthancId"] for case in answer["cases"]] == [stored[1]]
    assert any(f"running with model {MODEL}" in line for line in house.log)


def test_what_the_archive_held_before_is_indexed(house: House) -> None:
    for number in range(5):
        house.orthanc.store(mr_slice(f"P{number}", number))
    app = started(house.app())
    until(lambda: status(app).get("indexed") == 5)
    assert status(app)["reconciled"]


def test_before_the_start_the_plugin_says_so(house: House) -> None:
    app = house.app()
    assert status(app)["state"] == "starting"
    assert get(app, "similar/1.2").status == 503


@pytest.mark.parametrize("compressed", [False, True])
def test_a_restart_keeps_everything_and_answers_the_same(house: House, *, compressed: bool) -> None:
    if compressed:
        pytest.importorskip("faiss")
    first = started(house.app(compressed_index=compressed))
    stored = house.store(first, *(mr_slice(f"P{number}", number) for number in range(6)))
    until(lambda: status(first).get("indexed") == 6)
    before = get(first, f"similar/{stored[0]}").body
    first.stop()
    assert status(first)["state"] == "stopped"
    house.log.clear()
    house.orthanc.calls.clear()
    second = started(house.app(compressed_index=compressed))
    assert get(second, f"similar/{stored[0]}").body == before
    until(lambda: status(second)["reconciled"])
    assert not [call for call in house.orthanc.calls if call.startswith("file of")]
    assert not [line for line in house.log if "rebuilt" in line]


def test_where_the_package_of_the_compressed_index_is_missing_the_plugin_says_what_to_do(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.delitem(sys.modules, "cbmir.compressed", raising=False)
    app = started(house.app(compressed_index=True))
    assert status(app)["state"] == "disabled"
    assert "scripts/install --compressed" in status(app)["reason"]
    held = [descriptor.readlink() for descriptor in Path("/proc/self/fd").iterdir() if descriptor.is_symlink()]
    assert not [file for file in held if house.directory in file.parents], "what does not run holds nothing open"


def test_a_compressed_index_takes_the_place_of_one_that_is_not(house: House) -> None:
    pytest.importorskip("faiss")
    first = started(house.app())
    stored = house.store(first, *(mr_slice(f"P{number}", number) for number in range(6)))
    until(lambda: status(first).get("indexed") == 6)
    before = get(first, f"similar/{stored[0]}").body
    first.stop()
    second = started(house.app(compressed_index=True))
    assert get(second, f"similar/{stored[0]}").body == before
    assert [line for line in house.log if "rebuilt" in line]


def test_a_start_loads_the_index_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    restore, restored = SliceIndex.restore, []

    def count(index: SliceIndex, *arguments: Any) -> str:
        restored.append(True)
        return restore(index, *arguments)

    monkeypatch.setattr(SliceIndex, "restore", count)
    house.orthanc.store(mr_slice())
    app = started(house.app())
    until(lambda: status(app).get("indexed") == 1)
    assert len(restored) == 1


def test_the_worker_steps_back_behind_the_threads_of_orthanc(house: House) -> None:
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    started(house.app())
    (worker,) = [thread for thread in threading.enumerate() if thread.name == "cbmir-worker"]
    assert worker.native_id is not None
    assert os.getpriority(os.PRIO_PROCESS, worker.native_id) == max(before, app_module.NICENESS)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


@pytest.mark.parametrize(("before", "after"), [(0.005, app_module.SWITCH_SECONDS), (0.0001, 0.0001)])
def test_python_s_lock_is_soon_had_by_those_who_wait_for_it(house: House, before: float, after: float) -> None:
    usual = sys.getswitchinterval()
    try:
        sys.setswitchinterval(before)
        started(house.app())
        assert sys.getswitchinterval() == pytest.approx(after, abs=2e-6)
    finally:
        sys.setswitchinterval(usual)


def test_starting_and_stopping_twice_does_nothing_more(house: House) -> None:
    app = house.app()
    app.start()
    app.start()
    until(lambda: status(app)["state"] == "running")
    assert len([thread for thread in threading.enumerate() if thread.name == "cbmir-worker"]) == 1
    app.stop()
    app.stop()


def test_stopping_before_the_start_is_no_error(house: House) -> None:
    house.app().stop()


def test_a_stop_waits_a_limited_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    leave = threading.Event()

    def slow(outputs: Sequence[str], /, *, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        leave.wait(PATIENCE)
        return tiny_session(outputs, image=image)

    monkeypatch.setattr(app_module, "load", lambda *_args, **_rest: tiny_embedder(slow))
    monkeypatch.setattr(app_module, "STOP_SECONDS", 0.05)
    app = started(house.app())
    house.store(app, mr_slice())
    until(lambda: status(app)["queued"] == 1)
    start = time.monotonic()
    app.stop()
    assert time.monotonic() - start < PATIENCE / 4
    leave.set()
    monkeypatch.setattr(app_module, "STOP_SECONDS", PATIENCE)


def test_a_missing_model_disables_the_plugin_with_the_reason(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    app = started(house.app(model="no-such-model"))
    assert status(app)["state"] == "disabled"
    assert "no usable model" in status(app)["reason"]
    assert get(app, "status").status == 503
    assert get(app, "similar/1.2").status == 503
    # Orthanc goes on, and so do its events
    app.inbox.put("stored", "x")


def test_a_later_version_s_catalogue_disables_the_plugin(house: House) -> None:
    (house.directory / "cbmir").mkdir()
    path = house.directory / "cbmir" / "catalogue.sqlite"
    catalogue = SqliteCatalogue(path)
    with catalogue._transaction() as database:
        database.execute("PRAGMA user_version = 99")
    catalogue.close()
    app = started(house.app())
    assert status(app)["state"] == "disabled"
    assert "another version" in status(app)["reason"]


def test_a_damaged_catalogue_is_put_aside_and_everything_indexed_anew(house: House) -> None:
    (house.directory / "cbmir").mkdir()
    (house.directory / "cbmir" / "catalogue.sqlite").write_bytes(b"no database" * 1000)
    house.orthanc.store(mr_slice())
    app = started(house.app())
    until(lambda: status(app).get("indexed") == 1)
    assert any("is damaged" in line for line in house.log)


def test_a_catalogue_that_is_damaged_while_it_is_used_is_told_and_made_anew_at_the_next_start(house: House) -> None:
    """Queries were once answered 500, and the worker tried again for ever."""
    app = started(house.app())
    (stored,) = house.store(app, mr_slice())
    until(lambda: status(app).get("indexed") == 1)
    overwrite(house.directory / "cbmir" / "catalogue.sqlite")
    answered = on_another_thread(lambda: get(app, f"similar/{stored}"))
    assert answered.status == 503
    assert "the catalogue is damaged: restart Orthanc" in json.loads(answered.body)["error"]["message"]
    until(lambda: status(app).get("state") == "disabled")
    assert get(app, "status").status == 503
    assert status(app)["reason"] == "the catalogue is damaged: restart Orthanc, and everything is indexed anew"
    app.stop()

    again = started(house.app())
    until(lambda: status(again).get("indexed") == 1)
    assert (house.directory / "cbmir" / "catalogue.sqlite.damaged").exists()


def overwrite(catalogue: Path) -> None:
    """Write over all of a catalogue; what connections have in memory stays."""
    with contextlib.closing(sqlite3.connect(catalogue)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    catalogue.write_bytes(random.Random(1).randbytes(catalogue.stat().st_size))


def on_another_thread(ask: Callable[[], Response]) -> Response:
    """Ask over a connection to the catalogue that has read nothing yet."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(ask).result()


def test_two_plugins_never_share_a_data_directory(house: House) -> None:
    first = started(house.app())
    second = started(house.app())
    assert status(second)["state"] == "disabled"
    assert "another Orthanc uses the data directory" in status(second)["reason"]
    assert status(first)["state"] == "running"
    first.stop()
    assert status(started(house.app()))["state"] == "running"


def test_a_data_directory_that_cannot_be_made_disables_the_plugin(house: House) -> None:
    (house.directory / "file").write_text("")
    app = started(house.app(data_directory=str(house.directory / "file" / "cbmir")))
    assert status(app)["state"] == "disabled"
    assert "cannot be used" in status(app)["reason"]


def test_the_data_directory_is_for_its_owner_alone(house: House) -> None:
    started(house.app())
    directory = Path(house.directory / "cbmir")
    assert directory.stat().st_mode & 0o777 == 0o700


def test_whoever_asks_never_meets_the_state_disabled_without_its_reason(house: House) -> None:
    seen: list[tuple[str, str | None]] = []

    class Watched(State):
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            seen.append((self.name, getattr(self, "reason", None)))

    app = house.app()
    app._state = Watched(app._state.name, None, None)
    app.disable("of all things")
    assert seen[-1] == ("disabled", "of all things")
    assert ("disabled", None) not in seen


def test_whatever_fails_at_the_start_is_the_reason_of_being_disabled(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: Any, **_rest: Any) -> None:
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr(app_module, "load", fail)
    app = started(house.app())
    assert status(app) == {**status(app), "state": "disabled", "reason": "ZeroDivisionError: of all things"}


# ---- a database elsewhere ----


def test_an_orthanc_can_stop_while_its_database_is_awaited(house: House) -> None:
    app = house.app(database=f"host=127.0.0.1 port={free_port()} dbname=cbmir")
    app.start()
    until(lambda: "the database cannot be used now" in (status(app)["reason"] or ""))
    assert status(app)["state"] == "starting"
    app.stop()
    # said once, however often it is tried
    assert sum("waiting" in line for line in house.log) == 1


def test_a_database_setting_that_can_never_work_disables_the_plugin(house: House) -> None:
    app = started(house.app(database="host=db password=geheim"))
    assert status(app)["state"] == "disabled"
    assert "must not tell the password" in status(app)["reason"]
    assert "geheim" not in str(house.log)


def test_without_its_driver_a_database_disables_the_plugin(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cbmir.store.postgresql.catalogue", None)
    app = started(house.app(database="host=db"))
    assert "scripts/setup --postgresql" in status(app)["reason"]


def test_two_plugins_over_one_database_index_each_slice_once(house: House, database: str) -> None:
    apps = [started(house.app(database=database, data_directory=str(house.directory / name))) for name in "ab"]
    for number in range(20):
        (stored,) = house.store(apps[number % 2], mr_slice(f"P{number % 7}", number=number))
    for app in apps:
        until(lambda app=app: status(app).get("indexed") == 20 and status(app)["slices"] == 20)
    assert json.loads(get(apps[0], f"similar/{stored}").body)["cases"]
    assert get(apps[0], f"similar/{stored}").body == get(apps[1], f"similar/{stored}").body
