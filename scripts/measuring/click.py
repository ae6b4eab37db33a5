"""How long a reader waits in OHIF, in a real Chromium, from the click on "Find similar" to the cards."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from chromium import EXTENSION, drive, what_is_missing
from orthanc_process import OrthancProcess, wait_for
from tqdm import tqdm

import demo
from cbmir.records import Embedded
from cbmir.store.sqlite import SqliteCatalogue
from measuring.machine import REPOSITORY, load

if TYPE_CHECKING:
    from argparse import Namespace

CLICK = REPOSITORY / "tests" / "browser" / "click.mjs"
TARGET_MILLISECONDS = 300
BUILD_SECONDS = 300
INDEX_SECONDS = 1800

_SETTINGS = {"Threads": 0, "MinSimilarity": 0.4}
"""Random directions in 256 dimensions are never as near to any other: what makes up the number is on no card."""


def measure(options: Namespace) -> dict[str, Any]:
    """Return milliseconds of every click, and their medians."""
    if missing := what_is_missing():
        raise SystemExit(f"bench.py: {missing}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        orthanc = OrthancProcess(folder, {**_SETTINGS, "ViewerDirectory": str(_viewer(folder / "viewer"))})
        try:
            shown = _fill(orthanc, folder, options.patients, options.slices)
            before = load()
            seen = drive(CLICK, _address(orthanc), "--clicks", str(options.clicks), artefacts=folder / "artefacts")
            after = load()
        finally:
            orthanc.end()
    clicks: list[dict[str, float]] = seen["milliseconds"]
    medians = {what: round(statistics.median(one[what] for one in clicks)) for what in ("answer", "cards", "pictures")}
    print(f"median {medians['cards']} ms to the cards, {medians['pictures']} ms to the last of their pictures")
    return {
        **shown,
        "chromium": seen["chromium"],
        "clicks": len(clicks),
        "medianMilliseconds": medians,
        "targetMilliseconds": {"cards": TARGET_MILLISECONDS},
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "loadBefore": before,
        "loadAfter": after,
        "milliseconds": [{what: round(value) for what, value in one.items()} for one in clicks],
        "note": "From the click, each for another slice: to the answer of the plugin, to the cards painted,"
        " to the last of their pictures painted.",
    }


def _viewer(folder: Path) -> Path:
    """Put OHIF and the extension as it is now into a folder."""
    for command in (["scripts/build.mjs"], ["scripts/assemble.mjs", "--out", str(folder)]):
        subprocess.run(["node", *command], cwd=EXTENSION, check=True, timeout=BUILD_SECONDS)
    return folder


def _address(orthanc: OrthancProcess) -> str:
    return f"http://127.0.0.1:{orthanc.http_port}"


def _fill(orthanc: OrthancProcess, folder: Path, patients: int, slices: int) -> dict[str, int]:
    """Store and index the demo, then give its images further vectors until the index holds enough; leave it running."""
    orthanc.start()
    assert demo.main(["--patients", str(patients), "--out", str(folder / "demo"), "--send", _address(orthanc)]) == 0
    wait_for(lambda: _is_indexed(orthanc), "the demo is indexed", seconds=INDEX_SECONDS)
    images = orthanc.status()["indexed"]
    model = orthanc.status()["model"]["id"]
    orthanc.stop()
    _add_vectors(orthanc.data / "catalogue.sqlite", model, slices)
    # not `start`: the index is built anew, which on a busy machine takes its time
    orthanc.launch()
    wait_for(lambda: _is_indexed(orthanc), "the index is there", seconds=INDEX_SECONDS)
    indexed = orthanc.status()["slices"]
    assert indexed >= slices
    return {"patients": patients, "images": images, "slices": indexed}


def _is_indexed(orthanc: OrthancProcess) -> bool:
    if not orthanc.answers() or (status := orthanc.status())["state"] != "running":
        return False
    stored = orthanc.http.get("/statistics").json()["CountInstances"]
    return bool(status["reconciled"] and status["queued"] == 0 and status["indexed"] == stored)


def _add_vectors(file: Path, model: str, slices: int) -> None:
    """Give every image as many frames of random vectors as make up the number.

    They are searched through like any other.
    """
    random = np.random.default_rng(0)
    catalogue = SqliteCatalogue(file)
    names = sorted(catalogue.orthanc_ids())
    each = -(-slices // len(names))
    for name in tqdm(names, desc="vectors", disable=None):
        found = catalogue.slice_vector(name, 1, model)
        if found is None:
            continue
        image, vector = found
        made = random.standard_normal((each - 1, len(vector))).astype(np.float32)
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        vectors = dict(enumerate([vector, *made], start=1))
        windows = {1: image.window} if image.window else {}
        embedded = Embedded(name, image.sop_instance_uid, image.series, image.number_of_frames, vectors, None, windows)
        catalogue.record(embedded, model)
    catalogue.close()
