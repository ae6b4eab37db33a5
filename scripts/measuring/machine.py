"""What a figure depends on besides the plugin: the machine, what else ran on it, and the versions."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
LOOK_SECONDS = 2


def circumstances() -> dict[str, Any]:
    """Return when, where and beside what a measurement begins; load averages are of the last 1, 5 and 15 minutes."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _first_line("git", "-C", str(REPOSITORY), "rev-parse", "--short", "HEAD"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "orthanc": _first_line("dpkg-query", "--show", "--showformat", "${Version}", "orthanc"),
        "load": load(),
        "otherBusyProcesses": _busy_processes(),
    }


def load() -> list[float]:
    """Return the load averages."""
    return [round(value, 2) for value in os.getloadavg()]


def _first_line(*command: str) -> str:
    with contextlib.suppress(FileNotFoundError):  # a fresh Debian has no git
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return (done.stdout.splitlines() or [""])[0]
    return ""


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _busy_processes() -> list[dict[str, int]]:
    """Return percent of a core and niceness of every process that takes a tenth or more, within two seconds."""
    before = _ticks()
    time.sleep(LOOK_SECONDS)
    per_percent = os.sysconf("SC_CLK_TCK") * LOOK_SECONDS / 100
    busy = [
        {"percent": round((ticks - before[process][0]) / per_percent), "nice": nice}
        for process, (ticks, nice) in _ticks().items()
        if process in before
    ]
    return sorted((one for one in busy if one["percent"] >= 10), key=lambda one: -one["percent"])


def _ticks() -> dict[str, tuple[int, int]]:
    """Return time on a processor in clock ticks, and niceness, by process id (proc(5))."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            found[folder.name] = int(fields[11]) + int(fields[12]), int(fields[16])
    return found


def resident_megabytes(code: str) -> int:
    """Return the most memory that a process of Python held which ran this code with the plugin's library."""
    # not getrusage, which counts what the process held before it became Python: a copy of this one
    told = "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "plugin")}
    command = [sys.executable, "-c", f"{code}\n{told}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return round(int(done.stdout) / 1024)
