"""How many slices a second become searchable in a real Orthanc, beside how many the network alone could embed."""

from __future__ import annotations

import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from orthanc_process import OrthancProcess, wait_for

from cbmir.embedding import load
from measuring.cstore import images, send
from measuring.shipped import MODEL

if TYPE_CHECKING:
    from argparse import Namespace

ROUNDS = 20
PATIENCE_SECONDS = 3600


def measure(options: Namespace) -> dict[str, Any]:
    """Return slices a second from C-STORE to searchable and by the network alone, with as many threads for both."""
    with tempfile.TemporaryDirectory() as name:
        folders = images(Path(name) / "images", options.images, options.associations)
        threads = sorted({1, os.cpu_count() or 1})
        found = {str(some): _with_threads(folders, options.images, some) for some in threads}
    return {"images": options.images, "associations": options.associations, "threads": found}


def _with_threads(folders: list[Path], images_: int, threads: int) -> dict[str, float]:
    """Return rates: from the first image until all are stored, until all are searchable, and between the two.

    While images arrive in a burst the plugin stands back, so that the last is what it can do.
    """
    embedder = load(MODEL, threads=threads)
    squares = np.random.default_rng(0).random((8, 1, embedder.size, embedder.size), np.float32)
    alone = [_rate(lambda: embedder.embed(squares), len(squares)) for _ in range(ROUNDS)]
    with tempfile.TemporaryDirectory() as name:
        orthanc = OrthancProcess(Path(name), {"Threads": threads}).start()
        try:
            start = time.monotonic()
            with ThreadPoolExecutor(len(folders)) as associations:
                list(associations.map(lambda folder: send(orthanc, folder), folders))
            stored, meanwhile = time.monotonic() - start, orthanc.status()["indexed"]
            wait_for(lambda: orthanc.status()["indexed"] == images_, "all are indexed", seconds=PATIENCE_SECONDS)
            seconds = time.monotonic() - start
        finally:
            orthanc.end()
    alone += [_rate(lambda: embedder.embed(squares), len(squares)) for _ in range(ROUNDS)]
    most = float(np.median(alone))
    searchable, afterwards = images_ / seconds, (images_ - meanwhile) / (seconds - stored)
    return {
        "storedPerSecond": round(images_ / stored, 1),
        "searchablePerSecond": round(searchable, 1),
        "afterwardsPerSecond": round(afterwards, 1),
        "embeddedPerSecond": round(most, 1),
        "searchableOverEmbedded": round(searchable / most, 2),
        "afterwardsOverEmbedded": round(afterwards / most, 2),
    }


def _rate(work: Any, slices: int) -> float:
    start = time.monotonic()
    work()
    return slices / (time.monotonic() - start)
