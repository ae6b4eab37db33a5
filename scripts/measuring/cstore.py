"""How fast Orthanc takes images by C-STORE with and without the plugin, in turns.

Where neither side says otherwise, each waits a while with small packets for more to send with them (Nagle's algorithm,
RFC 896), and images come slower than Orthanc could take them. DCMTK, which is in both, lets them go at once where
TCP_NODELAY=1 is in the environment.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from dicom_files import mr_file, picture
from orthanc_process import OrthancProcess, wait_for

from measuring.machine import load

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

SERIES = 50
"""Images of a series."""
SIDE = 256
PICTURES = 16
"""Different pictures: making one takes longer than receiving it."""


AT_ONCE = {"TCP_NODELAY": "1"}


def at_once(options: Namespace) -> dict[str, Any]:
    """Return what `measure` does, of images that come as fast as Orthanc can take them."""
    return measure(options, AT_ONCE)


def measure(options: Namespace, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return images per second and milliseconds per image of every run, and their medians."""
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folders = images(Path(name) / "images", options.images, options.associations)
        for turn in range(options.runs):
            # who goes first has the colder caches
            for with_plugin in (False, True) if turn % 2 else (True, False):
                runs.append(_run(Path(name), folders, environment or {}, with_plugin=with_plugin))
                print(runs[-1], flush=True)
    medians = {
        key: {word: statistics.median(run[key] for run in runs if run["plugin"] is there) for word, there in _WORDS}
        for key in ("imagesPerSecond", "p50Milliseconds", "p99Milliseconds")
    }
    rates = medians["imagesPerSecond"]
    return {
        "images": options.images,
        "associations": options.associations,
        "pixels": [SIDE, SIDE],
        "medians": medians,
        "rateWithOverWithout": round(rates["with"] / rates["without"], 3),
        "runs": runs,
    }


_WORDS = (("without", False), ("with", True))


def images(folder: Path, count: int, associations: int) -> list[Path]:
    """Write MR images of a patient for each association; return the folders."""
    pixels = [picture(number, kind=number % 3, size=SIDE) for number in range(PICTURES)]
    folders = [folder / str(number) for number in range(associations)]
    for patient in folders:
        patient.mkdir(parents=True)
        for number in range(count // associations):
            file = mr_file(patient.name, 1, number // SERIES, number, pixels=pixels[number % PICTURES])
            (patient / f"{number:06}.dcm").write_bytes(file)
    return folders


def _run(parent: Path, folders: list[Path], environment: Mapping[str, str], *, with_plugin: bool) -> dict[str, Any]:
    """Start an Orthanc with an empty archive, send everything at once, and end it."""
    with tempfile.TemporaryDirectory(dir=parent) as name:
        orthanc = OrthancProcess(Path(name), {"Threads": 0})
        orthanc.environment |= environment
        if with_plugin:
            orthanc.start()
        else:
            start_without_python(orthanc)
        try:
            before, start = load(), time.monotonic()
            with ThreadPoolExecutor(len(folders)) as associations:
                milliseconds = np.concatenate(
                    list(associations.map(lambda one: send(orthanc, one, environment), folders))
                )
            seconds = time.monotonic() - start
            assert orthanc.http.get("/statistics").json()["CountInstances"] == len(milliseconds)
            indexed = orthanc.status()["indexed"] if with_plugin else None
        finally:
            orthanc.end()
    return {
        "plugin": with_plugin,
        "imagesPerSecond": round(len(milliseconds) / seconds, 1),
        "p50Milliseconds": round(float(np.percentile(milliseconds, 50)), 1),
        "p99Milliseconds": round(float(np.percentile(milliseconds, 99)), 1),
        "indexedMeanwhile": indexed,
        "loadBefore": before,
    }


def start_without_python(orthanc: OrthancProcess) -> None:
    """Start an Orthanc that does not know of the plugin, now or later."""
    configuration = orthanc.configuration
    configuration["Plugins"] = [path for path in configuration["Plugins"] if "Python" not in path]
    for key in ("PythonScript", "PythonVerbose", "Cbmir"):
        del configuration[key]
    orthanc.launch()
    wait_for(orthanc.answers, "Orthanc answers")


def send(
    orthanc: OrthancProcess, folder: Path, environment: Mapping[str, str]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Send a folder over one association; return milliseconds from request to response, of each image.

    `environment` is what storescu is told besides.
    """
    command = ["storescu", "--verbose", "--scan-directories", "127.0.0.1", str(orthanc.dicom_port), str(folder)]
    times, sent = [], 0.0
    pipe = subprocess.PIPE
    environment = {**os.environ, **environment}
    with subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True, env=environment) as sender:
        for line in sender.stdout or ():
            now = time.monotonic()
            if re.search("Sending Store Request|Sending file", line):
                sent = now
            elif "Received Store Response (Success)" in line:
                times.append(1000 * (now - sent))
    assert sender.returncode == 0, "storescu failed"
    return np.array(times)
