from __future__ import annotations

from types import SimpleNamespace

import pytest

from cbmir.ingest import bursts as bursts_module
from cbmir.ingest.bursts import BURST, BURST_SECONDS, PATIENCE_SECONDS, Bursts
from cbmir.ingest.processors import Processors


class Day:
    """Arrivals at times that the test chooses, on processors that have room for the worker when it says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.room = False
        self.begun: list[float] = []
        self.bursts = Bursts()
        monkeypatch.setattr(bursts_module, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(Processors, "begin", lambda _: self.begun.append(self.now))
        monkeypatch.setattr(Processors, "have_room", lambda _: self.room)

    def receive(self, images: int, *, per_second: float) -> None:
        for _ in range(images):
            self.now += 1 / per_second
            self.bursts.arrived()


@pytest.fixture
def day(monkeypatch: pytest.MonkeyPatch) -> Day:
    return Day(monkeypatch)


def test_the_worker_stands_back_while_images_arrive_in_a_burst_and_goes_on_when_it_is_over(day: Day) -> None:
    assert not day.bursts.hold_up()
    day.receive(100, per_second=100)
    assert day.bursts.hold_up()
    day.now += BURST_SECONDS
    assert not day.bursts.hold_up()


@pytest.mark.parametrize(("images", "per_second"), [(BURST - 1, 1000), (500, 0.9 * (BURST - 1) / BURST_SECONDS)])
def test_few_images_or_slow_ones_hold_up_nothing(day: Day, images: int, per_second: float) -> None:
    day.receive(images, per_second=per_second)
    assert not day.bursts.hold_up()


def test_a_burst_that_does_not_end_holds_up_the_indexing_for_a_minute_only(day: Day) -> None:
    day.receive(100, per_second=100)
    begun = day.now
    assert day.bursts.hold_up()
    while day.bursts.hold_up():
        day.receive(10, per_second=100)
    assert day.now - begun == pytest.approx(PATIENCE_SECONDS, abs=0.2)
    day.receive(1000, per_second=100)
    assert not day.bursts.hold_up()
    assert day.bursts.goes_on()
    day.now += BURST_SECONDS
    assert not day.bursts.hold_up()
    assert not day.bursts.goes_on()


def test_the_next_burst_holds_it_up_again(day: Day) -> None:
    day.receive(100, per_second=100)
    assert day.bursts.hold_up()
    day.receive(int(PATIENCE_SECONDS + 1) * 100, per_second=100)
    assert not day.bursts.hold_up()
    day.now += 2 * BURST_SECONDS
    assert not day.bursts.hold_up()
    day.receive(100, per_second=100)
    assert day.bursts.hold_up()


def test_a_burst_that_leaves_a_processor_idle_holds_up_nothing(day: Day) -> None:
    day.room = True
    day.receive(100, per_second=100)
    assert not day.bursts.hold_up()
    assert day.bursts.goes_on()
    day.room = False
    assert day.bursts.hold_up()


def test_with_each_burst_the_processors_are_looked_at_anew(day: Day) -> None:
    for _ in range(2):
        day.receive(100, per_second=100)
        day.bursts.hold_up()
        day.bursts.hold_up()
        day.now += 2 * BURST_SECONDS
        day.bursts.hold_up()
    assert len(day.begun) == 2


def test_patience_is_for_the_time_that_a_burst_holds_it_up(day: Day) -> None:
    day.room = True
    day.receive(100, per_second=100)
    assert not day.bursts.hold_up()
    day.receive(int(2 * PATIENCE_SECONDS) * 100, per_second=100)
    assert not day.bursts.hold_up()
    for _ in range(2):
        day.room = False
        assert day.bursts.hold_up()
        day.receive(int(0.6 * PATIENCE_SECONDS) * 100, per_second=100)
        day.room = True
        assert not day.bursts.hold_up()
    day.room = False
    assert not day.bursts.hold_up()
