from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from cbmir.ingest import processors as processors_module
from cbmir.ingest.processors import BEGIN, GO_ON, LOOK_SECONDS, Processors

if TYPE_CHECKING:
    from pathlib import Path

OURS, OTHERS = (0, 1), 2
TICKS = os.sysconf("SC_CLK_TCK")


class Machine:
    """Three processors, two of which this process may use, idle for as long as the test says."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.idle = dict.fromkeys((*OURS, OTHERS), 0.0)
        self.statistics = folder / "stat"
        self.own_groups = folder / "own"
        self.groups = folder / "groups"
        self.groups.mkdir()
        self.own_groups.write_text("")
        monkeypatch.setattr(processors_module, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(OURS))
        for name, path in (("STATISTICS", self.statistics), ("OWN_GROUPS", self.own_groups), ("GROUPS", self.groups)):
            monkeypatch.setattr(processors_module, name, path)
        self._write()
        self.processors = Processors()
        self.processors.begin()

    def _write(self) -> None:
        lines = [f"cpu{number} 1 2 3 {round(idle * TICKS)} 5 6 0 0 0 0" for number, idle in self.idle.items()]
        self.statistics.write_text("\n".join(["cpu  9 9 9 9 9 9 0 0 0 0", *lines, "intr 12 3", ""]))

    def passes(self, seconds: float, **idle: float) -> bool:
        """Let time pass, of which so much is idle on each processor; return whether there is room."""
        self.now += seconds
        for name, share in idle.items():
            self.idle[int(name.removeprefix("cpu"))] += share * seconds
        self._write()
        return self.processors.have_room()

    def limit(self, own: str, file: str, text: str) -> None:
        self.own_groups.write_text(own)
        path = self.groups / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.processors.begin()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_there_is_no_room_until_it_is_known_and_then_where_processors_are_idle(machine: Machine) -> None:
    assert not machine.processors.have_room()
    assert not machine.passes(LOOK_SECONDS / 2, cpu0=1, cpu1=1)
    assert machine.passes(LOOK_SECONDS / 2, cpu0=1, cpu1=1)


def test_less_is_needed_to_go_on_than_to_begin(machine: Machine) -> None:
    between = (BEGIN + GO_ON) / 2
    machine.processors.have_room()
    assert not machine.passes(1, cpu0=between)
    assert machine.passes(1, cpu0=between, cpu1=between)
    assert machine.passes(1, cpu0=between)
    assert not machine.passes(1, cpu0=GO_ON / 2)
    assert not machine.passes(1, cpu0=between)


def test_a_processor_that_this_process_may_not_use_is_no_room(machine: Machine) -> None:
    machine.processors.have_room()
    assert not machine.passes(1, cpu1=1, cpu2=1)


def test_what_was_idle_before_a_burst_says_nothing_of_it(machine: Machine) -> None:
    machine.processors.have_room()
    assert machine.passes(1, cpu0=1, cpu1=1)
    machine.processors.begin()
    assert not machine.passes(100, cpu0=1, cpu1=1)


@pytest.mark.parametrize("text", [None, "", "cpu0 1 2", "cpu0 1 2 3 ?"])
def test_there_is_no_room_where_the_system_does_not_say_what_is_idle(machine: Machine, text: str | None) -> None:
    machine.statistics.unlink()
    if text is not None:
        machine.statistics.write_text(text)
    assert not machine.processors.have_room()
    machine.now += 1
    assert not machine.processors.have_room()


@pytest.mark.parametrize(
    ("own", "file", "text", "is_limited"),
    [
        ("0::/a.slice/b.service\n", "a.slice/b.service/cpu.max", "50000 100000\n", True),
        ("0::/a.slice/b.service\n", "a.slice/cpu.max", "50000 100000\n", True),
        ("0::/a.slice/b.service\n", "a.slice/b.service/cpu.max", "max 100000\n", False),
        ("0::/\n", "cpu.max", "200000 100000\n", True),
        ("4:memory:/\n3:cpu,cpuacct:/docker/1\n0::/\n", "cpu/cpu.cfs_quota_us", "150000\n", True),
        ("3:cpu,cpuacct:/docker/1\n", "cpu/docker/1/cpu.cfs_quota_us", "-1\n", False),
        ("4:memory:/a\n", "a/cpu.max", "50000 100000\n", False),
    ],
)
def test_an_idle_processor_is_no_room_where_this_process_may_not_use_it_all_the_time(
    machine: Machine, own: str, file: str, text: str, *, is_limited: bool
) -> None:
    machine.limit(own, file, text)
    machine.processors.have_room()
    assert machine.passes(1, cpu0=1, cpu1=1) is not is_limited
