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
from measuring.cstore import AT_ONCE, images, send
from measuring.shipped import MODEL

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

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
    """Return rates of images that come as senders mostly send them, and of such that come as fast as they are taken.

    The latter keep all processors busy, so that the plugin stands back: what it does once all are stored is what it can
    do where nothing else is to be done.
    """
    embedder = load(MODEL, threads=threads)
    squares = np.random.default_rng(0).random((8, 1, embedder.size, embedder.size), np.float32)
    alone = [_rate(lambda: embedder.embed(squares), len(squares)) for _ in range(ROUNDS)]
    stored, searchable, _ = _taken_in(folders, images_, threads, {})
    alone += [_rate(lambda: embedder.embed(squares), len(squares)) for _ in range(ROUNDS)]
    stored_at_once, _, afterwards = _taken_in(folders, images_, threads, AT_ONCE)
    alone += [_rate(lambda: embedder.embed(squares), len(squares)) for _ in range(ROUNDS)]
    most = float(np.median(alone))
    return {
        "storedPerSecond": round(stored, 1),
        "searchablePerSecond": round(searchable, 1),
        "storedAtOncePerSecond": round(stored_at_once, 1),
        "afterwardsPerSecond": round(afterwards, 1),
        "embeddedPerSecond": round(most, 1),
        "searchableOverStored": round(searchable / stored, 2),
        "afterwardsOverEmbedded": round(afterwards / most, 2),
    }


def _taken_in(
    folders: list[Path], images_: int, threads: int, environment: Mapping[str, str]
) -> tuple[float, float, float]:
    """Return images a second: until all are stored, until all are searchable, and between the two."""
    with tempfile.TemporaryDirectory() as name:
        orthanc = OrthancProcess(Path(name), {"Threads": threads})
        orthanc.environment |= environment
        orthanc.start()
        try:
            start = time.monotonic()
            with ThreadPoolExecutor(len(folders)) as associations:
                list(associations.map(lambda folder: send(orthanc, folder, environment), folders))
            stored, meanwhile = time.monotonic() - start, orthanc.status()["indexed"]
            wait_for(lambda: orthanc.status()["indexed"] == images_, "all are indexed", seconds=PATIENCE_SECONDS)
            seconds = time.monotonic() - start
        finally:
            orthanc.end()
    return images_ / stored, images_ / seconds, (images_ - meanwhile) / (seconds - stored)


def _rate(work: Any, slices: int) -> float:
    start = time.monotonic()
    work()
    return slices / (time.monotonic() - start)
