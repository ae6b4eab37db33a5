"""Whether anything grows in an Orthanc that for a long time takes images, is asked about them, and loses them again.

Beside it, another Orthanc gets the same images and requests, with a Python script that does nothing: what grows there
is not of this plugin. Version 4.0 of Orthanc's Python plugin (Debian 12) keeps the headers of every request for ever.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from agreement import assert_agreement
from dicom_files import mr_file, picture
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from orthanc_process import OrthancProcess
from tqdm import tqdm

from measuring.machine import load

if TYPE_CHECKING:
    from argparse import Namespace

PATIENTS = 10
"""In the archive at any time; the oldest goes when the next comes."""
SLICES = 10
"""Of each patient."""
QUERIES = 10
"""Between two patients."""
PAUSE_SECONDS = 0.5
"""Between two patients: the soak shall take long, not the whole machine."""
SAMPLE_SECONDS = 10.0
WARM_UP_SHARE = 1 / 3
"""Of the time; memory must have found its level then: Orthanc keeps files and pages of its database in caches too."""

LEAST_SAMPLES = 20
"""After the warm-up, for a line through them."""
MOST_MEGABYTES = 4.0
"""Growth after the warm-up beyond that of the other Orthanc, by the lines through the samples, that is taken for none:
the allocator's own unrest."""
MOST_MORE = 2
"""Threads or descriptors that may be open more at the end than after the warm-up, for the moment of the sample."""


IDLE_SCRIPT = """
import orthanc

def answer(output, uri, **request):
    output.AnswerBuffer("{}", "application/json")

orthanc.RegisterRestCallback("/cbmir/(.*)", answer)
orthanc.RegisterOnStoredInstanceCallback(lambda instance, orthanc_id: None)
orthanc.RegisterOnChangeCallback(lambda change, level, orthanc_id: None)
"""


def measure(options: Namespace) -> dict[str, Any]:
    """Return the samples, what the line through them rises by, and whether that is nothing."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as ends:
        # snapshots and rebuilds belong to the life that is led here
        orthanc = OrthancProcess(_folder(name, "plugin"), {"Threads": 0, "SnapshotMinutes": 1})
        script = Path(name) / "idle.py"
        script.write_text(IDLE_SCRIPT, encoding="utf-8")
        idle = OrthancProcess(_folder(name, "idle"), PythonScript=str(script))
        for one in (orthanc, idle):
            ends.callback(one.end)
            one.start()
        samples = _live(orthanc, idle, 60 * options.minutes)
        assert_agreement(orthanc)
        assert orthanc.stop() == 0
        assert "Traceback" not in orthanc.log_text()
    found = {"minutes": options.minutes, "loadAtTheEnd": load(), **_judged(samples)}
    _plot(samples, found).savefig(options.out / "soak.png", dpi=100)
    return found


def _folder(parent: str, name: str) -> Path:
    folder = Path(parent) / name
    folder.mkdir()
    return folder


def _live(orthanc: OrthancProcess, idle: OrthancProcess, seconds: float) -> list[dict[str, Any]]:
    """Have patients come, be asked about and go, one after the other."""
    start = sampled = time.monotonic()
    samples: list[dict[str, Any]] = []
    patients: deque[list[str]] = deque()
    with tqdm(total=round(seconds), unit="s", disable=None) as bar:
        for number in itertools.count():
            now = time.monotonic()
            bar.update(round(now - start) - bar.n)
            if now - start > seconds:
                break
            patients.append(_arrive(number, orthanc, idle))
            middle = patients[len(patients) // 2]
            for query in itertools.islice(itertools.cycle(middle), QUERIES):
                orthanc.similar(query, k=10)
                idle.similar(query, k=10)
            if len(patients) > PATIENTS:
                for instance in patients.popleft():
                    orthanc.delete(f"/instances/{instance}")
                    idle.delete(f"/instances/{instance}")
            if now - sampled > SAMPLE_SECONDS:
                sampled = now
                status = orthanc.status()
                idle.status()
                samples.append(
                    {
                        "seconds": round(now - start, 1),
                        "stored": (number + 1) * SLICES,
                        "slices": status["slices"],
                        "queued": status["queued"],
                        "plugin": held(orthanc),
                        "idle": held(idle),
                    }
                )
            time.sleep(PAUSE_SECONDS)
    orthanc.wait_until_indexed()
    return samples


def _arrive(number: int, *orthancs: OrthancProcess) -> list[str]:
    """Send a patient's images to each; return their ids, which are the same everywhere."""
    pixels = picture(number, kind=number % 7, size=256)
    files = [mr_file(f"P{number}", 1, 1, one, pixels=np.roll(pixels, one)) for one in range(SLICES)]
    stored = [[orthanc.upload(file) for file in files] for orthanc in orthancs]
    return stored[0]


def held(orthanc: OrthancProcess) -> dict[str, float]:
    """Return what the process holds now (proc(5)); memory in MB, without what only mirrors files."""
    assert orthanc.process is not None
    process = Path(f"/proc/{orthanc.process.pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text(encoding="utf-8").splitlines())
    return {
        "rssMegabytes": round(int(status["VmRSS"].split()[0]) / 1024, 2),
        "anonymousMegabytes": round(int(status["RssAnon"].split()[0]) / 1024, 2),
        "threads": int(status["Threads"]),
        "descriptors": len(list((process / "fd").iterdir())),
    }


def _judged(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Return rise per hour and per stored image after the warm-up, and whether everything stayed level."""
    warm = [one for one in samples if one["seconds"] >= WARM_UP_SHARE * samples[-1]["seconds"]]
    if len(warm) < LEAST_SAMPLES:
        return {"good": False, "why": "too short: memory had no time to find its level", "samples": samples}
    hours = (warm[-1]["seconds"] - warm[0]["seconds"]) / 3600
    images = warm[-1]["stored"] - warm[0]["stored"]
    risen = {who: _risen(warm, who) for who in ("plugin", "idle")}
    grown = {
        key: max(one["plugin"][key] for one in warm[len(warm) // 2 :])
        - max(one["plugin"][key] for one in warm[: len(warm) // 2])
        for key in ("threads", "descriptors")
    }
    more = risen["plugin"] - risen["idle"]
    return {
        "good": more <= MOST_MEGABYTES and all(number <= MOST_MORE for number in grown.values()),
        "warmAfterSeconds": warm[0]["seconds"],
        "imagesAfterWarmUp": images,
        "queriesAfterWarmUp": images * QUERIES // SLICES,
        "megabytesRisenAfterWarmUp": {who: round(value, 2) for who, value in risen.items()},
        "megabytesPerHourBeyondIdle": round(more / hours, 2),
        "moreAtTheEnd": grown,
        "samples": samples,
    }


def _risen(samples: list[dict[str, Any]], who: str) -> float:
    """Return by how many MB the line through the samples rises from the first to the last."""
    seconds = np.array([one["seconds"] for one in samples])
    slope, _ = np.polyfit(seconds, [one[who]["anonymousMegabytes"] for one in samples], 1)
    return float(slope * (seconds[-1] - seconds[0]))


def _plot(samples: list[dict[str, Any]], found: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(9, 6), layout="constrained")
    FigureCanvasAgg(figure)
    minutes = [one["seconds"] / 60 for one in samples]
    above, below = figure.subplots(2, 1, sharex=True)
    for who, label in (("plugin", "with the plugin"), ("idle", "with a script that does nothing")):
        above.plot(minutes, [one[who]["anonymousMegabytes"] for one in samples], label=label)
    above.set(ylabel="MB", ylim=(0, None))
    if "warmAfterSeconds" in found:
        above.axvline(found["warmAfterSeconds"] / 60, color="grey", linestyle=":")
        with_plugin, idle = found["megabytesRisenAfterWarmUp"].values()
        above.set_title(f"after the warm-up (dotted) {with_plugin:+.1f} MB and {idle:+.1f} MB", loc="left")
    for key in ("threads", "descriptors"):
        below.plot(minutes, [one["plugin"][key] for one in samples], label=key)
    below.set(xlabel="minutes", ylim=(0, None))
    for axes in (above, below):
        axes.legend(loc="lower right")
        axes.grid(alpha=0.3)
    return figure
