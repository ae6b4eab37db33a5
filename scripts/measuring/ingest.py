"""How many slices a second become searchable in a real Orthanc, beside how many the network alone could embed."""

from __future__ import annotations

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
    """Return slices a second from the first C-STORE until all are searchable, and by the network alone."""
    embedder = load(MODEL)
    squares = np.random.default_rng(0).random((8, 1, embedder.size, embedder.size), np.float32)
    alone = [_rate(lambda: embedder.embed(squares), len(squares)) for _ in range(ROUNDS)]
    with tempfile.TemporaryDirectory() as name:
        folders = images(Path(name) / "images", options.images, options.associations)
        orthanc = OrthancProcess(Path(name), {"Threads": 1}).start()
        try:
            start = time.monotonic()
            with ThreadPoolExecutor(len(folders)) as associations:
                list(associations.map(lambda folder: send(orthanc, folder), folders))
            stored = time.monotonic() - start
            wait_for(lambda: orthanc.status()["indexed"] == options.images, "all are indexed", seconds=PATIENCE_SECONDS)
            seconds = time.monotonic() - start
        finally:
            orthanc.end()
    alone += [_rate(lambda: embedder.embed(squares), len(squares)) for _ in range(ROUNDS)]
    rate, most = options.images / seconds, float(np.median(alone))
    return {
        "images": options.images,
        "associations": options.associations,
        "storedPerSecond": round(options.images / stored, 1),
        "searchablePerSecond": round(rate, 1),
        "embeddedPerSecondAlone": round(most, 1),
        "searchableOverEmbedded": round(rate / most, 2),
    }


def _rate(work: Any, slices: int) -> float:
    start = time.monotonic()
    work()
    return slices / (time.monotonic() - start)
