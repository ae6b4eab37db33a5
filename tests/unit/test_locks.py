from __future__ import annotations

import threading
import time

import pytest
from orthanc_process import wait_for

from cbmir.locks import ReadWriteLock

PATIENCE = 60.0
MOMENT = 0.1
TURNS = 2000


class Actor(threading.Thread):
    """Takes the lock, says so, and holds it until told."""

    def __init__(self, lock: ReadWriteLock, mode: str) -> None:
        super().__init__(daemon=True)
        self._take = getattr(lock, mode)
        self._waiting = lock._changed._waiters  # type: ignore[attr-defined]
        self._before, self._came = len(self._waiting), False
        self.inside, self.leave = threading.Event(), threading.Event()
        self.start()

    def run(self) -> None:
        with self._take():
            self.inside.set()
            self.leave.wait(PATIENCE)

    def gets_in(self) -> bool:
        return self.inside.wait(PATIENCE)

    def waits(self) -> bool:
        """Return whether it is outside, a moment after it has come to the lock."""
        self._came = self._came or wait_for(self._has_come, "it comes to the lock", seconds=PATIENCE)
        return not self.inside.wait(MOMENT)

    def _has_come(self) -> bool:
        return self.inside.is_set() or len(self._waiting) > self._before

    def end(self) -> None:
        self.leave.set()
        self.join(PATIENCE)
        assert not self.is_alive()


def test_readers_share_the_lock() -> None:
    lock = ReadWriteLock()
    readers = [Actor(lock, "read") for _ in range(4)]
    assert all(reader.gets_in() for reader in readers)
    for reader in readers:
        reader.end()


def test_a_writer_waits_for_readers_and_readers_for_a_writer() -> None:
    lock = ReadWriteLock()
    reader = Actor(lock, "read")
    assert reader.gets_in()
    writer = Actor(lock, "write")
    assert writer.waits()
    reader.end()
    assert writer.gets_in()
    late = Actor(lock, "read")
    assert late.waits()
    writer.end()
    assert late.gets_in()
    late.end()


def test_two_writers_take_turns() -> None:
    lock = ReadWriteLock()
    first = Actor(lock, "write")
    assert first.gets_in()
    second = Actor(lock, "write")
    assert second.waits()
    first.end()
    assert second.gets_in()
    second.end()


def test_a_waiting_writer_goes_before_later_readers() -> None:
    lock = ReadWriteLock()
    early = Actor(lock, "read")
    assert early.gets_in()
    writer = Actor(lock, "write")
    assert writer.waits()
    late = Actor(lock, "read")
    assert late.waits()
    early.end()
    assert writer.gets_in()
    assert late.waits()
    writer.end()
    assert late.gets_in()
    late.end()


@pytest.mark.parametrize("mode", ["read", "write"])
def test_an_error_inside_leaves_the_lock_open(mode: str) -> None:
    lock = ReadWriteLock()
    with pytest.raises(ZeroDivisionError), getattr(lock, mode)():
        raise ZeroDivisionError
    writer = Actor(lock, "write")
    assert writer.gets_in()
    writer.end()


def test_what_the_lock_guards_is_never_seen_half_written() -> None:
    lock, pair, torn = ReadWriteLock(), [0, 0], []

    def write() -> None:
        for _ in range(TURNS):
            with lock.write():
                pair[0] += 1
                time.sleep(0)
                pair[1] += 1

    def read() -> None:
        for _ in range(TURNS):
            with lock.read():
                if pair[0] != pair[1]:
                    torn.append(tuple(pair))

    threads = [threading.Thread(target=target) for target in (write, write, read, read, read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pair == [2 * TURNS, 2 * TURNS]
    assert not torn
