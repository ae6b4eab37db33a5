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

FRAMES = 20
"""Slices of a file, so that storing a large archive does not take longer than taking it in."""
FILES_A_PATIENT = 50
SIDE = 64
PICTURES = np.stack([picture(number, kind=number % 3, size=SIDE) for number in range(FRAMES)])
SAMPLE_SECONDS = 1.0
MOST_SAMPLES = 400
"""Kept of however many."""
WARM_SHARE = 0.3
"""Of the slices, after which runtime and caches have what they need; what grows then is the index, or a leak."""


def measure(options: Namespace) -> dict[str, Any]:
    """Return memory by slices that can be found, and by how many bytes a slice it grew after the first third."""
    files = -(-options.slices // FRAMES)
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        orthanc = OrthancProcess(Path(name), {"Threads": 0})
        with_plugin = dict(orthanc.configuration)
        start_without_python(orthanc)
        try:
            for number in tqdm(range(files), desc="store", disable=None):
                patient, place = divmod(number, FILES_A_PATIENT)
                # no two alike: an index of equal vectors is linked otherwise
                pixels = PICTURES + random.integers(0, 200, PICTURES.shape).astype(PICTURES.dtype)
                orthanc.upload(mr_file(f"P{patient}", 1, 1, place, pixels=pixels))
            orthanc.stop()
            orthanc.configuration = with_plugin
            orthanc.start()
            start, samples = time.monotonic(), _sampled(orthanc, files * FRAMES)
            seconds = time.monotonic() - start
        finally:
            orthanc.end()
    warm = [one for one in samples if one["slices"] >= WARM_SHARE * files * FRAMES] or samples[-1:]
    slices, megabytes = ([one[key] for one in warm] for key in ("slices", "anonymousMegabytes"))
    slope = np.polyfit(slices, megabytes, 1)[0] if len(set(slices)) > 1 else 0.0
    return {
        "slices": files * FRAMES,
        "framesOfAFile": FRAMES,
        "seconds": round(seconds, 1),
        "perSecond": round(files * FRAMES / seconds, 1),
        "megabytesWarm": warm[0]["anonymousMegabytes"],
        "megabytesAtTheEnd": warm[-1]["anonymousMegabytes"],
        "bytesGrownPerSlice": round(1e6 * float(slope)),
        "samples": samples[:: -(-len(samples) // MOST_SAMPLES)],
    }


def _sampled(orthanc: OrthancProcess, slices: int) -> list[dict[str, Any]]:
    samples: list[dict[str, Any]] = []
    while not samples or samples[-1]["slices"] < slices:
        time.sleep(SAMPLE_SECONDS)
        samples.append({"slices": orthanc.status()["slices"], **held(orthanc)})
    return samples
