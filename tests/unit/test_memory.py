from __future__ import annotations

import ctypes
from pathlib import Path
from types import SimpleNamespace

import pytest

from cbmir.watching import memory
from cbmir.watching.memory import EVERY_SECONDS, Memory, release

BLOCK = 100_000
"""Small enough for glibc to take from its heap, whatever it has learned of this process."""


def held() -> int:
    """Return bytes of memory that this process holds for itself (proc(5))."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon"))


@pytest.mark.skipif(memory._RELEASE is None, reason="only glibc holds memory back")
def test_what_was_freed_below_something_that_stays_is_given_back() -> None:
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    blocks = [libc.malloc(BLOCK) for _ in range(1000)]
    for block in blocks:
        ctypes.memset(block, 1, BLOCK)
    for block in blocks[:-1]:
        libc.free(block)
    before = held()
    release()
    assert before - held() > 0.8 * len(blocks) * BLOCK
    libc.free(blocks[-1])


def test_it_is_done_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now, done = [1000.0], []
    monkeypatch.setattr(memory, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(memory, "release", lambda: done.append(now[0]))
    kept = Memory()
    for seconds in (EVERY_SECONDS, 1, EVERY_SECONDS, 1):
        now[0] += seconds
        kept.run_due()
    assert done == [1000 + EVERY_SECONDS + 1, 1000 + 2 * EVERY_SECONDS + 2]


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_RELEASE", None)
    release()
