"""How long Orthanc itself takes to answer with the plugin, idle and at work, and without it: both at once, in turns."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
from dicom_files import mr_file, picture
from orthanc_process import OrthancProcess

from measuring.cstore import start_without_python
from measuring.steps import milliseconds

if TYPE_CHECKING:
    from argparse import Namespace

    Pair = dict[str, OrthancProcess]

PATHS = ("/system", "/instances/{name}/simplified-tags", "/instances/{name}/preview")
STORED = 50
PIXELS = [picture(number, size=256) for number in range(8)]


def measure(options: Namespace) -> dict[str, Any]:
    """Return milliseconds of the same requests to both, and the ratios of their medians."""
    with tempfile.TemporaryDirectory() as name:
        pair = {word: _prepared(Path(name) / word) for word in ("with", "without")}
        try:
            pair["with"].start()
            start_without_python(pair["without"])
            names = [_upload(pair, number) for number in range(STORED)]
            pair["with"].wait_until_indexed(STORED)
            found = {"idle": _compared(pair, names, options.requests)}
            found["at work"] = _at_work(pair, names, options.requests)
        finally:
            for orthanc in pair.values():
                orthanc.end()
    return {"requests": options.requests, "states": found}


def _prepared(folder: Path) -> OrthancProcess:
    folder.mkdir()
    return OrthancProcess(folder, {"Threads": 0})


def _upload(pair: Pair, number: int) -> str:
    """Store an image in both; return its id, which is the same in both."""
    file = mr_file("A", 1, 1 + number // STORED, number, pixels=PIXELS[number % len(PIXELS)])
    names = {orthanc.upload(file) for orthanc in pair.values()}
    return names.pop()


def _at_work(pair: Pair, names: list[str], requests: int) -> dict[str, Any]:
    """Return the same while the worker has more to do than there is time: both take images before each request."""
    number = iter(range(STORED, 10**9))
    found = _compared(pair, names, requests, lambda: _upload(pair, next(number)))
    return found | {"queuedAtTheEnd": pair["with"].status()["queued"]}


def _compared(pair: Pair, names: list[str], requests: int, before: Any = None) -> dict[str, Any]:
    seconds: dict[str, list[float]] = {word: [] for word in pair}
    clients = {
        word: httpx.Client(base_url=f"http://127.0.0.1:{orthanc.http_port}", timeout=60)
        for word, orthanc in pair.items()
    }
    for turn in range(requests):
        if before is not None:
            before()
        path = PATHS[turn % len(PATHS)].format(name=names[turn % len(names)])
        for word in sorted(clients, reverse=bool(turn % 2)):
            start = time.perf_counter()
            clients[word].get(path).raise_for_status()
            seconds[word].append(time.perf_counter() - start)
    for client in clients.values():
        client.close()
    ratio = np.median(seconds["with"]) / np.median(seconds["without"])
    return {**{word: milliseconds(some) for word, some in seconds.items()}, "withOverWithout": round(float(ratio), 3)}
