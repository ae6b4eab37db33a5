"""Whether anything grows in an Orthanc that for a long time takes images, is asked about them, and loses them again."""

from __future__ import annotations

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

if TYPE_CHECKING:
    from argparse import Namespace

PATIENTS = 20
"""In the archive at any time; the oldest goes when the next comes."""
SLICES = 10
"""Of each patient."""
QUERIES = 10
"""Between two patients."""
PAUSE_SECONDS = 1.0
"""Between two patients: the soak shall take long, not the whole machine."""
SAMPLE_SECONDS = 10.0
WARM_UP = 3
"""How often the archive is replaced before memory must have found its level: Orthanc keeps files in a cache too."""

LEAST_SAMPLES = 20
"""After the warm-up, for a line through them."""
MOST_MEGABYTES = 16.0
"""Growth after the warm-up, by the line through the samples, that is taken for none: the allocator's own unrest."""
MOST_MORE = 2
"""Threads or descriptors that may be open more at the end than after the warm-up, for the moment of the sample."""


def measure(options: Namespace) -> dict[str, Any]:
    """Return the samples, what the line through them rises by, and whether that is nothing."""
    with tempfile.TemporaryDirectory() as name:
        # snapshots and rebuilds belong to the life that is led here
        orthanc = OrthancProcess(Path(name), {"Threads": 0, "SnapshotMinutes": 1}).start()
        try:
            samples = _live(orthanc, 60 * options.minutes)
            assert_agreement(orthanc)
            assert orthanc.stop() == 0
        finally:
            orthanc.end()
        assert "Traceback" not in orthanc.log_text()
    found = {"minutes": options.minutes, **_judged(samples)}
    _plot(samples, found).savefig(options.out / "soak.png", dpi=100)
    return found


def _live(orthanc: OrthancProcess, seconds: float) -> list[dict[str, float]]:
    """Have patients come, be asked about and go, one after the other."""
    start = sampled = time.monotonic()
    samples = [_sample(orthanc, 0, 0)]
    patients: deque[list[str]] = deque()
    asked = 0
    with tqdm(total=round(seconds), unit="s", disable=None) as bar:
        for number in itertools.count():
            now = time.monotonic()
            bar.update(round(now - start) - bar.n)
            if now - start > seconds:
                break
            patients.append(_arrive(orthanc, number))
            for query in itertools.islice(itertools.cycle(patients[len(patients) // 2]), QUERIES):
                orthanc.similar(query, k=10)
                asked += 1
            if len(patients) > PATIENTS:
                for instance in patients.popleft():
                    orthanc.delete(f"/instances/{instance}")
            if now - sampled > SAMPLE_SECONDS:
                sampled = now
                samples.append(_sample(orthanc, now - start, (number + 1) * SLICES) | {"queries": asked})
            time.sleep(PAUSE_SECONDS)
    orthanc.wait_until_indexed(seconds=600)
    return samples


def _arrive(orthanc: OrthancProcess, number: int) -> list[str]:
    pixels = picture(number, kind=number % 7, size=256)
    return [orthanc.upload(mr_file(f"P{number}", 1, 1, one, pixels=np.roll(pixels, one))) for one in range(SLICES)]


def _sample(orthanc: OrthancProcess, seconds: float, stored: int) -> dict[str, float]:
    """Return what the process holds now (proc(5)); memory in MB, without what only mirrors files."""
    assert orthanc.process is not None
    process = Path(f"/proc/{orthanc.process.pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text(encoding="utf-8").splitlines())
    found = orthanc.status()
    return {
        "seconds": round(seconds, 1),
        "rssMegabytes": round(int(status["VmRSS"].split()[0]) / 1024, 2),
        "anonymousMegabytes": round(int(status["RssAnon"].split()[0]) / 1024, 2),
        "threads": int(status["Threads"]),
        "descriptors": len(list((process / "fd").iterdir())),
        "stored": stored,
        "slices": found["slices"],
        "queued": found["queued"],
    }


def _judged(samples: list[dict[str, float]]) -> dict[str, Any]:
    """Return rise per hour after the warm-up, and whether everything stayed level."""
    warm = [one for one in samples if one["stored"] >= WARM_UP * PATIENTS * SLICES]
    if len(warm) < LEAST_SAMPLES:
        return {"good": False, "why": "too short: memory had no time to find its level", "samples": samples}
    hours = np.array([one["seconds"] for one in warm]) / 3600
    rises = {
        key: round(float(np.polyfit(hours, [one[key] for one in warm], 1)[0]), 2)
        for key in ("rssMegabytes", "anonymousMegabytes")
    }
    grown = {
        key: max(one[key] for one in warm[len(warm) // 2 :]) - max(one[key] for one in warm[: len(warm) // 2])
        for key in ("threads", "descriptors")
    }
    level = rises["rssMegabytes"] * float(hours[-1] - hours[0]) <= MOST_MEGABYTES
    return {
        "good": level and all(more <= MOST_MORE for more in grown.values()),
        "warmAfterSeconds": warm[0]["seconds"],
        "risePerHourAfterWarmUp": rises,
        "moreAtTheEnd": grown,
        "samples": samples,
    }


def _plot(samples: list[dict[str, float]], found: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(9, 6), layout="constrained")
    FigureCanvasAgg(figure)
    minutes = [one["seconds"] / 60 for one in samples]
    above, below = figure.subplots(2, 1, sharex=True)
    above.plot(minutes, [one["rssMegabytes"] for one in samples], label="resident memory")
    above.plot(minutes, [one["anonymousMegabytes"] for one in samples], label="without mirrored files")
    above.set(ylabel="MB", ylim=(0, None))
    if "warmAfterSeconds" in found:
        above.axvline(found["warmAfterSeconds"] / 60, color="grey", linestyle=":")
        rise = found["risePerHourAfterWarmUp"]["rssMegabytes"]
        above.set_title(f"{rise:+.1f} MB an hour after the warm-up (dotted)", loc="left")
    for key in ("threads", "descriptors"):
        below.plot(minutes, [one[key] for one in samples], label=key)
    below.set(xlabel="minutes", ylim=(0, None))
    for axes in (above, below):
        axes.legend(loc="lower right")
        axes.grid(alpha=0.3)
    return figure
