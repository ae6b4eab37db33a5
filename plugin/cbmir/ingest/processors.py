"""Whether the worker finds an idle processor while images arrive in a burst, as Linux counts it."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

LOOK_SECONDS = 0.25
"""Between two looks: the system counts in hundredths of a second."""

BEGIN, GO_ON = 1.25, 0.75
"""Processors that must be idle for the worker to begin, and to go on, when it has one itself. Nearly one more than it
takes: two processors may be threads of one core, which slow each other."""

STATISTICS = Path("/proc/stat")
OWN_GROUPS = Path("/proc/self/cgroup")
GROUPS = Path("/sys/fs/cgroup")


class Processors:
    """Tells from how long the processors were idle whether there is room for the worker. For one thread at a time."""

    def __init__(self) -> None:
        """Begin without a look."""
        self._look: tuple[float, float] | None = None
        self._room = False
        self._rationed = False

    def begin(self) -> None:
        """Forget what was seen: what was idle before the burst says nothing of now."""
        self._look, self._room = None, False
        self._rationed = _is_rationed()

    def have_room(self) -> bool:
        """Return whether a processor was idle between the last two looks; False where that cannot be known.

        Where this process may use so much time only and no more, an idle processor is none that it may have.
        """
        now = time.monotonic()
        if self._rationed or (self._look is not None and now - self._look[0] < LOOK_SECONDS):
            return self._room
        idle = _idle_seconds()
        if idle is None or self._look is None:
            self._room = False
        else:
            before, idle_before = self._look
            self._room = (idle - idle_before) / (now - before) >= (GO_ON if self._room else BEGIN)
        self._look = (now, idle) if idle is not None else None
        return self._room


def _idle_seconds() -> float | None:
    """Return for how long the processors that this process may use were idle, together; None where nothing tells.

    proc_stat(5): the fourth figure of each processor, in clock ticks.
    """
    with contextlib.suppress(OSError, ValueError, IndexError, AttributeError):
        ours = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        lines = [line.split(maxsplit=5) for line in STATISTICS.read_text(encoding="ascii").splitlines()]
        return sum(int(line[4]) for line in lines if line and line[0] in ours) / os.sysconf("SC_CLK_TCK")
    return None


def _is_rationed() -> bool:
    """Return whether a control group (cgroups(7), of either version) limits the processor time of this process."""
    with contextlib.suppress(OSError, ValueError):
        for line in OWN_GROUPS.read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers and _is_limited(GROUPS, path, "cpu.max"):
                return True
            if "cpu" in controllers.split(",") and _is_limited(GROUPS / "cpu", path, "cpu.cfs_quota_us"):
                return True
    return False


def _is_limited(top: Path, path: str, name: str) -> bool:
    """Return whether a control group below `top`, or one that it is in, has a limit in the file of this name."""
    own = top / path.lstrip("/")
    files = [folder / name for folder in (own, *own.parents) if folder.is_relative_to(top)]
    return any(not file.read_text(encoding="ascii").startswith(("max", "-1")) for file in files if file.is_file())
