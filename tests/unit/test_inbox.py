from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from cbmir.ingest import inbox as inbox_module
from cbmir.ingest.inbox import Inbox, Progress

PATIENCE = 120.0


def test_events_come_out_in_the_order_they_went_in() -> None:
    inbox = Inbox()
    assert inbox.take(0) == []
    inbox.put("stored", "a")
    inbox.put("deleted", "a")
    inbox.put("labelled", "b")
    assert inbox.take(0) == [("stored", "a"), ("deleted", "a"), ("labelled", "b")]
    assert inbox.take(0) == []


def test_beyond_its_limit_the_inbox_asks_for_a_reconciliation_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "QUEUE_LIMIT", 3)
    inbox = Inbox()
    for number in range(10):
        inbox.put("stored", str(number))
    assert len(inbox.take(0)) == 3
    assert inbox.overflowed.is_set()


@pytest.mark.parametrize("wake", ["put", "close", "reconcile"])
def test_a_waiting_worker_is_woken_at_once(wake: str) -> None:
    inbox = Inbox()
    arguments = ("stored", "a") if wake == "put" else ()
    timer = threading.Timer(0.05, getattr(inbox, wake), arguments)
    timer.start()
    start = time.monotonic()
    found = inbox.take(PATIENCE)
    timer.join()
    assert time.monotonic() - start < PATIENCE / 2
    assert found == ([("stored", "a")] if wake == "put" else [])
    assert inbox.closed.is_set() == (wake == "close")
    assert inbox.overflowed.is_set() == (wake == "reconcile")


def test_a_worker_without_a_sign_of_life_is_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = Progress(beat=1000.0)
    monkeypatch.setattr(inbox_module, "time", SimpleNamespace(monotonic=lambda: 1059.0))
    assert not progress.stalled()
    monkeypatch.setattr(inbox_module, "time", SimpleNamespace(monotonic=lambda: 1061.0))
    assert progress.stalled()
