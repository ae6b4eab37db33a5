from __future__ import annotations

import errno
import itertools
import sqlite3
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pytest
from dicom_files import CANARY, mr_slice, picture
from parts import DIM, Workplace, tiny_embedder, tiny_session

from cbmir import indexer as indexer_module
from cbmir.errors import CatalogueDamaged
from cbmir.indexer import BATCHES_AT_A_TIME
from cbmir.ingest import bursts as bursts_module
from cbmir.ingest import filling as filling_module
from cbmir.ingest import inbox as inbox_module
from cbmir.ingest.bursts import BURST
from cbmir.ingest.filling import RETRY_AFTER_SECONDS
from cbmir.ingest.processors import Processors
from cbmir.records import Label

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

PATIENCE = 120.0


class Clock:
    """A monotonic clock that the test winds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (filling_module, indexer_module, inbox_module):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


class Working:
    """Runs the worker on a thread of its own while the block lasts."""

    def __init__(self, workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(indexer_module, "IDLE_SECONDS", 0.01)
        self._workplace = workplace
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self._workplace.indexer.run()
        self._workplace.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._workplace.inbox.close()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self._thread.is_alive(), "the worker died"
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.005)


def raising(error: Exception) -> Any:
    """Return a function that only raises."""

    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def once(monkeypatch: pytest.MonkeyPatch, target: Any, name: str, error: Exception) -> None:
    """Have a method fail the first time it is called."""
    method, failed = getattr(target, name), []

    def perhaps(*args: Any, **rest: Any) -> Any:
        if not failed:
            failed.append(True)
            raise error
        return method(*args, **rest)

    monkeypatch.setattr(target, name, perhaps)


# ---- the inbox ----


# ---- events ----


def test_what_is_stored_is_indexed(workplace: Workplace) -> None:
    stored = workplace.store(*(mr_slice(f"P{number}", number) for number in range(10)))
    workplace.work()
    assert {workplace.state_of(name) for name in stored} == {"indexed"}
    assert len(workplace.index) == 10
    workplace.agree()


def test_the_newest_arrivals_are_indexed_first(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workplace.inbox.bursts, "hold_up", lambda: False)
    monkeypatch.setattr(indexer_module, "BATCHES_AT_A_TIME", (4, 4))
    old = workplace.store(*(mr_slice(number=number) for number in range(40)))
    workplace.turn()
    (new,) = workplace.store(mr_slice("new", 99))
    workplace.turn()
    assert workplace.state_of(new) == "indexed"
    assert workplace.state_of(old[0]) == "pending"


def test_overwriting_an_instance_keeps_it_although_orthanc_says_deleted_last(workplace: Workplace) -> None:
    """Orthanc reports an overwritten instance as stored and then as deleted; the slice was lost."""
    (name,) = workplace.store(mr_slice(pixels=picture(1)))
    workplace.work()
    before = workplace.catalogue.slice_vector(name, 1, workplace.embedder.model_id)
    workplace.store(mr_slice(pixels=picture(2, kind=3)))
    workplace.inbox.put("deleted", name)
    workplace.work()
    after = workplace.catalogue.slice_vector(name, 1, workplace.embedder.model_id)
    assert before is not None
    assert after is not None
    assert not np.allclose(before[1], after[1])
    assert len(workplace.index) == 1
    workplace.agree()


@pytest.mark.parametrize("turns_between", [0, 1])
def test_the_events_of_an_overwriting_may_come_in_two_parts(workplace: Workplace, turns_between: int) -> None:
    (name,) = workplace.store(mr_slice())
    workplace.work()
    workplace.inbox.put("stored", name)
    for _ in range(turns_between):
        workplace.turn()
    workplace.inbox.put("deleted", name)
    workplace.work()
    assert workplace.state_of(name) == "indexed"
    workplace.agree()


def test_what_is_deleted_is_forgotten(workplace: Workplace) -> None:
    stored = workplace.store(*(mr_slice(number=number) for number in range(5)))
    workplace.work()
    for name in stored[:3]:
        workplace.orthanc.delete(name)
        workplace.inbox.put("deleted", name)
    workplace.work()
    assert workplace.catalogue.orthanc_ids() == set(stored[3:])
    assert len(workplace.index) == 2
    workplace.agree()


@pytest.mark.parametrize("reported", [True, False])
def test_an_instance_deleted_while_it_waits_never_appears(workplace: Workplace, *, reported: bool) -> None:
    stored = workplace.store(*(mr_slice(number=number) for number in range(3)))
    workplace.indexer._absorb(0)
    workplace.orthanc.delete(stored[1])
    if reported:
        workplace.inbox.put("deleted", stored[1])
    workplace.work()
    assert workplace.catalogue.orthanc_ids() == {stored[0], stored[2]}
    workplace.agree()


def test_deleting_and_sending_again_at_random_ends_as_the_archive_says(workplace: Workplace) -> None:
    random = np.random.default_rng(2)
    for _ in range(120):
        number = int(random.integers(6))
        dataset = mr_slice(number=number)
        (name,) = workplace.store(dataset)
        if random.random() < 0.5:
            workplace.orthanc.delete(name)
            workplace.inbox.put("deleted", name)
        if random.random() < 0.4:
            workplace.turn()
    workplace.work()
    assert workplace.catalogue.orthanc_ids() == set(workplace.orthanc.files)
    assert workplace.catalogue.counts()["indexed"] == len(workplace.orthanc.files) > 0
    workplace.agree()


def test_labels_are_fetched_when_an_instance_is_indexed_and_when_they_change(workplace: Workplace) -> None:
    (name,) = workplace.store(mr_slice())
    series, study, _ = workplace.orthanc.above(name)
    workplace.orthanc.say(study, [{"label": "glioma", "provenance": "histology"}])
    workplace.work()
    assert workplace.catalogue.labels([study])[study] == [Label("glioma", "histology")]
    workplace.orthanc.say(series, [{"label": "artefact"}])
    workplace.orthanc.say(study, [])
    for changed in (study, series, "unknown"):
        workplace.inbox.put("labelled", changed)
    workplace.work()
    assert workplace.catalogue.labels([study, series]) == {study: [], series: [Label("artefact", "")]}


def test_a_label_that_is_no_proper_text_does_not_stop_the_indexing(workplace: Workplace) -> None:
    (name,) = workplace.store(mr_slice())
    _, study, _ = workplace.orthanc.above(name)
    workplace.orthanc.say(study, '[{"label": "\\ud800 x", "provenance": "\\u0000"}]')
    workplace.work()
    assert workplace.state_of(name) == "indexed"
    assert workplace.catalogue.labels([study])[study] == [Label("x", "")]


# ---- failures ----


def test_a_poisoned_slice_among_a_hundred_does_not_hold_up_the_others(tmp_path: Path) -> None:
    def network(outputs: Sequence[str], /, *, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        if (image[:, 0, 0, 0] > 0.99).any():
            raise MemoryError
        return tiny_session(outputs, image=image)

    workplace = Workplace(tmp_path, embedder=tiny_embedder(network))
    for number in range(100):
        pixels = picture(number)
        pixels[:10, :10] = 4095 if number == 57 else 0
        workplace.store(mr_slice(number=number, pixels=pixels))
    workplace.work()
    assert workplace.catalogue.counts() == {"pending": 0, "indexed": 99, "skipped": 0, "failed": 1}
    assert workplace.catalogue.reasons(1) == [("failed", "the network refused it (MemoryError)", 1)]
    workplace.agree()
    workplace.close()


def test_a_file_that_cannot_be_fetched_is_tried_again_later_and_then_parked(workplace: Workplace, clock: Clock) -> None:
    first, second = workplace.store(mr_slice(number=1), mr_slice(number=2))
    workplace.orthanc.failing = {first: 99}
    workplace.work()
    assert workplace.state_of(second) == "indexed"
    assert workplace.state_of(first) == "pending"
    tries = [99 - workplace.orthanc.failing[first]]
    for pause in RETRY_AFTER_SECONDS:
        clock.now += pause - 0.01
        workplace.work()
        assert 99 - workplace.orthanc.failing[first] == tries[-1]
        clock.now += 0.02
        workplace.work()
        tries.append(99 - workplace.orthanc.failing[first])
    assert tries == [1, 2, 3]
    assert workplace.state_of(first) == "failed"
    clock.now += 10_000
    workplace.work()
    assert 99 - workplace.orthanc.failing[first] == 3


def test_a_file_that_can_be_fetched_again_is_indexed(workplace: Workplace, clock: Clock) -> None:
    (name,) = workplace.store(mr_slice())
    workplace.orthanc.failing = {name: 1}
    workplace.work()
    clock.now += RETRY_AFTER_SECONDS[0] + 0.01
    workplace.work()
    assert workplace.state_of(name) == "indexed"


def test_an_instance_that_arrives_again_has_all_its_tries_again(workplace: Workplace, clock: Clock) -> None:
    (name,) = workplace.store(mr_slice())
    workplace.orthanc.failing = {name: 2}
    workplace.work()
    clock.now += RETRY_AFTER_SECONDS[0] + 0.01
    workplace.work()
    workplace.inbox.put("stored", name)
    workplace.work()
    assert workplace.state_of(name) == "indexed"


def test_a_clock_that_is_set_back_holds_up_nothing(
    workplace: Workplace, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    (name,) = workplace.store(mr_slice())
    workplace.orthanc.failing = {name: 1}
    workplace.work()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    clock.now += RETRY_AFTER_SECONDS[0] + 0.01
    workplace.work()
    assert workplace.state_of(name) == "indexed"


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("part", "method", "error"),
    [
        ("catalogue", "enqueue", sqlite3.OperationalError("database or disk is full")),
        ("catalogue", "forget", sqlite3.OperationalError("database or disk is full")),
        ("catalogue", "record", sqlite3.OperationalError("database or disk is full")),
        ("catalogue", "settle", sqlite3.OperationalError("database is locked")),
        ("catalogue", "pending", sqlite3.OperationalError("disk I/O error")),
        ("catalogue", "set_labels", sqlite3.OperationalError("database or disk is full")),
        ("catalogue", "orthanc_ids", sqlite3.OperationalError("disk I/O error")),
        ("catalogue", "live_labels", sqlite3.OperationalError("disk I/O error")),
        ("index", "add", MemoryError()),
        ("index", "remove", RuntimeError("hnswlib")),
        ("orthanc", "SetMetricsValue", RuntimeError(CANARY)),
    ],
)
def test_a_failure_that_passes_loses_no_event(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, part: str, method: str, error: Exception
) -> None:
    monkeypatch.setattr(indexer_module, "HOUSEKEEPING_SECONDS", 0.0)
    gone = workplace.store(mr_slice(number=1))[0]
    workplace.work()
    workplace.orthanc.delete(gone)
    once(monkeypatch, getattr(workplace, part), method, error)
    workplace.inbox.put("deleted", gone)
    stored = workplace.store(*(mr_slice(number=number) for number in range(2, 12)))
    (other,) = workplace.store(mr_slice("CT", 9, Modality="CT"))
    workplace.orthanc.say(workplace.orthanc.above(stored[0])[1], [{"label": "glioma"}])
    with Working(workplace, monkeypatch) as worker:
        worker.until(
            lambda: (
                workplace.catalogue.counts() == {"pending": 0, "indexed": 10, "skipped": 1, "failed": 0}
                and workplace.progress.reconciled
                and workplace.progress.trouble is None
            )
        )
    assert workplace.catalogue.orthanc_ids() == {*stored, other}
    workplace.agree()
    assert CANARY not in "".join(workplace.log)


@pytest.mark.parametrize("method", ["add", "remove"])
def test_an_index_that_fell_behind_is_restored_however_often_that_fails(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """When restoring failed as well, the index stayed behind the catalogue until the next start."""
    stored = workplace.store(*(mr_slice(number=number) for number in range(6)))
    workplace.work()
    workplace.spaces._behind.clear()
    change, failed = getattr(workplace.index, method), []

    def fail_once(labels: Any, *rest: Any) -> None:
        if len(labels) and not failed:
            failed.append(True)
            raise MemoryError
        change(labels, *rest)

    monkeypatch.setattr(workplace.index, method, fail_once)
    once(monkeypatch, workplace.index, "restore", MemoryError())
    workplace.orthanc.delete(stored[0])
    workplace.inbox.put("deleted", stored[0])
    workplace.store(mr_slice(number=9))
    with Working(workplace, monkeypatch) as worker:
        worker.until(lambda: bool(failed) and workplace.progress.reconciled and workplace.progress.trouble is None)
        worker.until(lambda: workplace.catalogue.counts() == {"pending": 0, "indexed": 6, "skipped": 0, "failed": 0})
        worker.until(workplace.agrees)
    workplace.agree()


def test_trouble_is_told_once_and_shown_until_it_passes(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise sqlite3.OperationalError(CANARY)

    pending = workplace.catalogue.pending
    monkeypatch.setattr(workplace.catalogue, "pending", fail)
    with Working(workplace, monkeypatch) as worker:
        worker.until(lambda: workplace.progress.trouble is not None)
        time.sleep(0.1)
        assert [line for line in workplace.log if "interrupted" in line] == [
            "indexing is interrupted (OperationalError); it is tried again"
        ]
        assert not workplace.progress.stalled()
        monkeypatch.setattr(workplace.catalogue, "pending", pending)
        worker.until(lambda: workplace.progress.trouble is None)


# ---- the archive ----


def test_an_archive_from_before_the_plugin_is_indexed(workplace: Workplace) -> None:
    stored = [workplace.orthanc.store(mr_slice(number=number)) for number in range(9)]
    workplace.inbox.reconcile()
    workplace.work()
    assert {workplace.state_of(name) for name in stored} == {"indexed"}
    assert workplace.progress.reconciled


def test_deletions_that_nobody_reported_are_noticed(workplace: Workplace) -> None:
    stored = workplace.store(*(mr_slice(number=number) for number in range(4)))
    workplace.work()
    workplace.orthanc.delete(stored[2])
    workplace.inbox.reconcile()
    workplace.work()
    assert workplace.catalogue.orthanc_ids() == {stored[0], stored[1], stored[3]}
    workplace.agree()


def test_what_is_known_is_not_indexed_again(workplace: Workplace) -> None:
    workplace.store(mr_slice(), mr_slice("CT", 2, Modality="CT"))
    workplace.work()
    workplace.orthanc.calls.clear()
    workplace.inbox.reconcile()
    workplace.work()
    assert not [call for call in workplace.orthanc.calls if call.startswith("file of")]


def test_an_archive_in_trouble_is_not_taken_for_empty(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    (name,) = workplace.store(mr_slice())
    workplace.work()
    workplace.orthanc.failing = {"/series?expand&since=0&limit=100": 3}
    workplace.inbox.reconcile()
    with Working(workplace, monkeypatch) as worker:
        worker.until(lambda: workplace.progress.reconciled)
    assert workplace.orthanc.failing == {"/series?expand&since=0&limit=100": 0}
    assert workplace.state_of(name) == "indexed"


def test_an_instance_that_orthanc_cannot_tell_of_counts_as_there(workplace: Workplace) -> None:
    (name,) = workplace.store(mr_slice())
    workplace.work()
    workplace.orthanc.failing = {"/tools/bulk-content": 1}
    workplace.inbox.put("deleted", name)
    workplace.work()
    assert workplace.orthanc.failing == {"/tools/bulk-content": 0}
    assert workplace.state_of(name) == "indexed"


def test_images_that_come_and_go_cost_orthanc_no_call_that_fails(workplace: Workplace) -> None:
    """Each leaves some hundred bytes behind in Orthanc's Python plugin, for ever."""
    stored = workplace.store(*(mr_slice(f"P{number}", number) for number in range(5)))
    workplace.work()
    for name in stored:
        workplace.orthanc.delete(name)
        workplace.inbox.put("deleted", name)
    workplace.work()
    assert {workplace.state_of(name) for name in stored} == {None}
    assert workplace.orthanc.failures == 0


def test_events_beyond_the_limit_are_made_up_for(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "QUEUE_LIMIT", 3)
    stored = workplace.store(*(mr_slice(number=number) for number in range(12)))
    workplace.work()
    assert {workplace.state_of(name) for name in stored} == {"indexed"}


# ---- the life of the worker ----


def test_after_a_restart_the_index_comes_from_its_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Workplace(tmp_path)
    first.store(*(mr_slice(f"P{number}", number) for number in range(10)))
    with Working(first, monkeypatch) as worker:
        worker.until(lambda: first.catalogue.counts()["indexed"] == 10)
    first.close()
    second = Workplace(tmp_path, orthanc=first.orthanc)
    second.indexer.restore()
    assert second.log == []
    assert len(second.index) == 10
    second.agree()
    second.close()


def test_stopping_in_the_middle_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = itertools.count(1)

    def network(outputs: Sequence[str], /, *, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        if next(batches) > 3:
            first.inbox.closed.wait(PATIENCE)
        return tiny_session(outputs, image=image)

    first = Workplace(tmp_path, embedder=tiny_embedder(network))
    stored = first.store(*(mr_slice(f"P{number}", number) for number in range(60)))
    with Working(first, monkeypatch) as worker:
        worker.until(lambda: first.catalogue.counts()["indexed"] > 0)
    done = first.catalogue.counts()["indexed"]
    first.agree()
    first.close()
    second = Workplace(tmp_path, orthanc=first.orthanc)
    with Working(second, monkeypatch) as worker:
        worker.until(lambda: second.catalogue.counts()["indexed"] == 60)
    assert second.catalogue.orthanc_ids() == set(stored)
    fetched = [call for call in first.orthanc.calls if call.startswith("file of")]
    assert done < 60
    # what was on its way through the network when the worker stopped is fetched again
    assert len(fetched) <= 60 + BATCHES_AT_A_TIME[1] * first.settings.batch_size
    second.agree()
    second.close()


def test_a_full_disk_at_the_snapshot_is_told_and_nothing_else(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace.store(mr_slice())
    workplace.work()
    once(monkeypatch, workplace.index, "snapshot", FULL)
    workplace.indexer._snapshot()
    assert workplace.log == ["the index snapshot cannot be written (OSError); the earlier one is kept"]
    assert workplace.indexer._snapshot_trouble == workplace.log[0]
    workplace.indexer._snapshot()
    assert workplace.index.changes_since_snapshot == 0


def test_a_worn_index_is_rebuilt_and_saved(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = workplace.store(*(mr_slice(number=number) for number in range(12)))
    workplace.work()
    monkeypatch.setattr("cbmir.store.linked.SMALLEST_WORTH", 1)
    for name in stored[:6]:
        workplace.orthanc.delete(name)
        workplace.inbox.put("deleted", name)
    workplace.work()
    assert workplace.index.worn
    workplace.indexer._maintain()
    workplace.indexer._rebuilding.wait()
    assert not workplace.index.worn
    workplace.indexer._maintain()
    assert len(workplace.index) == 6
    workplace.agree()
    assert (workplace.directory / "index.json").exists()


def test_the_lag_grows_while_something_waits_and_is_nothing_after(workplace: Workplace, clock: Clock) -> None:
    (name,) = workplace.store(mr_slice())
    workplace.orthanc.failing = {name: 1}
    workplace.work()
    clock.now += 1.5
    assert workplace.progress.lag_seconds() == pytest.approx(1.5)
    clock.now += RETRY_AFTER_SECONDS[0]
    workplace.work()
    assert workplace.progress.lag_seconds() == 0


def test_an_instance_of_many_frames_does_not_look_stalled(workplace: Workplace, clock: Clock) -> None:
    frames = np.stack([picture(frame) for frame in range(20)])
    workplace.store(mr_slice(pixels=frames))
    embed, seen = workplace.embedder.session, []

    def slow(outputs: Sequence[str], /, *, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        seen.append(workplace.progress.stalled())
        clock.now += 50
        return embed(outputs, image=image)

    object.__setattr__(workplace.embedder, "session", slow)
    workplace.progress.beat = clock.now
    workplace.work()
    assert len(seen) == 5
    assert not any(seen)


def test_the_numbers_are_published(workplace: Workplace) -> None:
    workplace.store(mr_slice(), mr_slice("CT", 2, Modality="CT"))
    workplace.work()
    workplace.indexer._publish()
    assert workplace.orthanc.metrics["cbmir_instances_indexed"] == 1
    assert workplace.orthanc.metrics["cbmir_instances_skipped"] == 1
    assert workplace.orthanc.metrics["cbmir_slices"] == 1
    assert workplace.orthanc.metrics["cbmir_lag_seconds"] == 0


def test_vectors_have_the_length_that_the_index_wants(workplace: Workplace) -> None:
    (name,) = workplace.store(mr_slice())
    workplace.work()
    found = workplace.catalogue.slice_vector(name, 1, workplace.embedder.model_id)
    assert found is not None
    assert found[1].shape == (DIM,)


# ---- bursts ----


def test_a_burst_holds_up_the_indexing_but_not_what_is_deleted(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bursts_module, "BURST_SECONDS", 1e9)
    monkeypatch.setattr(Processors, "have_room", lambda _: False)
    monkeypatch.setattr(indexer_module, "HOLD_UP_SECONDS", 0.01)
    early = workplace.store(mr_slice("early"))[0]
    workplace.work()
    names = workplace.store(*(mr_slice(number=number) for number in range(BURST)))
    workplace.inbox.put("deleted", early)
    workplace.orthanc.delete(early)
    with Working(workplace, monkeypatch) as working:
        working.until(lambda: workplace.state_of(names[-1]) == "pending" and workplace.state_of(early) is None)
        working.until(lambda: len(workplace.index) == 0)
        assert workplace.catalogue.counts()["indexed"] == 0
        monkeypatch.setattr(bursts_module, "PATIENCE_SECONDS", 0.0)
        working.until(lambda: workplace.catalogue.counts()["indexed"] == BURST)
    workplace.agree()


def test_a_burst_that_leaves_a_processor_idle_is_indexed_while_it_goes_on(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bursts_module, "BURST_SECONDS", 1e9)
    monkeypatch.setattr(Processors, "have_room", lambda _: True)
    workplace.store(*(mr_slice(number=number) for number in range(BURST)))
    with Working(workplace, monkeypatch) as working:
        working.until(lambda: workplace.catalogue.counts()["indexed"] == BURST)
        assert workplace.inbox.bursts.goes_on()
    workplace.agree()


@pytest.mark.parametrize(("per_second", "instances"), [(0.0, 4 * 4), (1.0, 4 * 4), (33.0, 8 * 4), (10_000.0, 16 * 4)])
def test_a_turn_is_a_second_of_work_within_limits(workplace: Workplace, per_second: float, instances: int) -> None:
    workplace.progress.per_second = per_second
    assert workplace.indexer._most() == instances


def test_a_burst_that_begins_amid_a_batch_leaves_the_rest_of_it_for_later(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = workplace.store(*(mr_slice(number=number) for number in range(3 * 4)))
    looks = iter([False] * 5 + [True])
    with monkeypatch.context() as burst:
        burst.setattr(workplace.inbox.bursts, "hold_up", lambda: next(looks))
        assert workplace.turn()
    states = [workplace.state_of(name) for name in names]
    assert (states.count("indexed"), states.count("pending")) == (5, 7)
    workplace.work()
    assert workplace.catalogue.counts()["indexed"] == 12


# ---- what the disk does to the catalogue ----


def test_a_vector_that_was_damaged_is_made_anew_when_the_index_is_rebuilt(tmp_path: Path) -> None:
    before = Workplace(tmp_path)
    damaged, sound = before.store(mr_slice("A"), mr_slice("B"))
    before.work()
    with before.catalogue._transaction() as database:
        database.execute(
            "UPDATE slice SET vector = zeroblob(length(vector)) WHERE instance ="
            " (SELECT id FROM instance WHERE orthanc_id = ?)",
            (damaged,),
        )
    before.close()
    after = Workplace(tmp_path, orthanc=before.orthanc)
    after.indexer.restore()
    assert (after.state_of(damaged), after.state_of(sound)) == ("pending", "indexed")
    assert len(after.index) == 1
    after.work()
    after.agree()
    assert len(after.index) == 2
    after.close()


def test_events_that_the_catalogue_cannot_take_do_not_pile_up(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer_module, "QUEUE_LIMIT", 5)
    workplace.store(*(mr_slice(number=number) for number in range(4)))
    with monkeypatch.context() as full:
        full.setattr(workplace.catalogue, "enqueue", raising(sqlite3.OperationalError("database or disk is full")))
        with pytest.raises(sqlite3.OperationalError):
            workplace.turn()
        workplace.store(*(mr_slice(number=number) for number in range(4, 8)))
        workplace.indexer._absorb(0)
    assert workplace.inbox.overflowed.is_set()
    workplace.work()
    assert workplace.catalogue.counts()["indexed"] == 8


def test_damage_to_the_catalogue_ends_the_worker(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    monkeypatch.setattr(workplace.catalogue, "pending", raising(error))
    with pytest.raises(CatalogueDamaged, match="the catalogue is damaged: restart Orthanc"):
        workplace.indexer.run()


def test_damage_that_an_answer_has_met_ends_the_worker(workplace: Workplace) -> None:
    workplace.progress.damaged = True
    with pytest.raises(CatalogueDamaged):
        workplace.indexer.run()
