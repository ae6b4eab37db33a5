"""The memory of Orthanc while the plugin takes in an archive that was there before it."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from dicom_files import mr_file, picture
from orthanc_process import OrthancProcess
from tqdm import tqdm

from measuring.cstore import start_without_python
from measuring.soak import held

if TYPE_CHECKING:
    from argparse import Namespace

PER_SERIES = 50
PIXELS = [picture(number, kind=number % 3, size=128) for number in range(16)]
SAMPLE_SECONDS = 1.0
WARM_SHARE = 0.3
"""Of the slices, after which runtime and caches have what they need; what grows then is the index, or a leak."""


def measure(options: Namespace) -> dict[str, Any]:
    """Return memory by slices indexed, and by how many bytes a slice it grew after the first third."""
    with tempfile.TemporaryDirectory() as name:
        orthanc = OrthancProcess(Path(name), {"Threads": 0})
        with_plugin = dict(orthanc.configuration)
        start_without_python(orthanc)
        try:
            for number in tqdm(range(options.images), desc="store", disable=None):
                patient, place = divmod(number, PER_SERIES)
                orthanc.upload(mr_file(f"P{patient}", 1, 1, place, pixels=PIXELS[number % len(PIXELS)]))
            orthanc.stop()
            orthanc.configuration = with_plugin
            orthanc.start()
            start, samples = time.monotonic(), _sampled(orthanc, options.images)
            seconds = time.monotonic() - start
        finally:
            orthanc.end()
    warm = [one for one in samples if one["indexed"] >= WARM_SHARE * options.images] or samples[-1:]
    indexed, megabytes = ([one[key] for one in warm] for key in ("indexed", "anonymousMegabytes"))
    slope = np.polyfit(indexed, megabytes, 1)[0] if len(set(indexed)) > 1 else 0.0
    return {
        "images": options.images,
        "seconds": round(seconds, 1),
        "perSecond": round(options.images / seconds, 1),
        "megabytesWarm": warm[0]["anonymousMegabytes"],
        "megabytesAtTheEnd": warm[-1]["anonymousMegabytes"],
        "bytesGrownPerSlice": round(1e6 * float(slope)),
        "samples": samples,
    }


def _sampled(orthanc: OrthancProcess, images: int) -> list[dict[str, Any]]:
    samples: list[dict[str, Any]] = []
    while not samples or samples[-1]["indexed"] < images:
        time.sleep(SAMPLE_SECONDS)
        samples.append({"indexed": orthanc.status()["indexed"], **held(orthanc)})
    return samples
