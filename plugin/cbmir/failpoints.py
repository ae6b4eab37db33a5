"""Points at which the fault tests have the plugin die, fail or hang. Nothing happens without CBMIR_FAILPOINT.

CBMIR_FAILPOINT=name:n:action acts when the point is reached for the n-th time, once; several are separated by commas.
Actions: `kill` (SIGKILL to the whole process), `raise` (an OSError), `until:FILE` (waits until there is such a file).
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

POINTS = (
    "event",
    "fetched",
    "embedded",
    "before-commit",
    "after-commit",
    "before-index",
    "snapshot-written",
    "snapshot-renamed",
    "manifest-written",
    "manifest-renamed",
)
"""Points in the order in which an instance meets them."""

CHANGE_POINTS = ("before-switch", "switched", "dropping")
"""Points in the order in which a change of model comes to its end."""

LOOK_SECONDS = 0.02
"""Between two looks for a file that is waited for."""


@dataclass(frozen=True, slots=True)
class _Armed:
    """A point with what is to happen there, and when."""

    name: str
    at: int
    action: str
    file: Path | None
    times: itertools.count[int] = field(default_factory=lambda: itertools.count(1))


def reach(name: str) -> None:
    """Do what is armed for this point, which is nothing outside the fault tests."""
    for armed in _ARMED:
        if armed.name == name and next(armed.times) == armed.at:
            _act(armed)


def _act(armed: _Armed) -> None:
    if armed.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif armed.file is not None:
        while not armed.file.exists():
            time.sleep(LOOK_SECONDS)
    else:
        raise OSError(f"failpoint {armed.name}")


def _parse(text: str) -> list[_Armed]:
    """Return what is armed. Raises ValueError for anything else: a test must not pass because of a slip."""
    armed = []
    for one in filter(None, text.split(",")):
        name, at, action, *files = one.split(":")
        if name not in POINTS + CHANGE_POINTS or len(files) != {"kill": 0, "raise": 0, "until": 1}.get(action):
            raise ValueError(f"CBMIR_FAILPOINT names no failpoint or action: {one}")
        armed.append(_Armed(name, int(at), action, Path(files[0]) if files else None))
    return armed


_ARMED = _parse(os.environ.get("CBMIR_FAILPOINT", ""))
