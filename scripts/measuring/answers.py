"""How long GET /cbmir/similar takes in a real Orthanc, by HTTP, among so many slices."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
from dicom_files import mr_slice, picture, to_bytes
from orthanc_process import OrthancProcess, wait_for
from tqdm import tqdm

from cbmir.embedding import load
from cbmir.index import SliceIndex
from cbmir.records import Embedded, Series
from cbmir.store.sqlite import SqliteCatalogue
from measuring import made
from measuring.cstore import start_without_python
from measuring.shipped import MODEL
from measuring.steps import milliseconds

if TYPE_CHECKING:
    from argparse import Namespace

    from numpy.typing import NDArray

K = 10
PIXELS = picture(0, size=8)
"""Of every image: they are not looked at here, as the vectors are made."""

QUERIES = {"none": "", "modality": "&Modality=MR", "a hundredth": "&BodyPartExamined=PART7"}
REQUESTS = {"Orthanc's /system": "/system", "the plugin's /cbmir/status": "/cbmir/status"}
START_SECONDS = 1200


def measure(options: Namespace) -> dict[str, Any]:
    """Return milliseconds of requests over one connection: to Orthanc, to the plugin, and for similar cases."""
    with tempfile.TemporaryDirectory(prefix="answer-") as name:
        orthanc = OrthancProcess(Path(name), {"Threads": 0})
        try:
            names = _fill(orthanc, options.slices)
            orthanc.launch()
            wait_for(lambda: _is_ready(orthanc, len(names)), "the plugin is ready", seconds=START_SECONDS)
            with httpx.Client(base_url=f"http://127.0.0.1:{orthanc.http_port}") as http:
                found = _asked(http, names, options)
        finally:
            orthanc.end()
    return {"slices": options.slices, "queries": options.queries, "requests": found}


def _asked(http: httpx.Client, names: dict[str, int], options: Namespace) -> dict[str, Any]:
    """Return the time of each kind of request, in turns, and the fewest cases that came."""
    random = np.random.default_rng(3)
    chosen = random.choice(sorted(names), options.queries)
    uris = {
        **{kind: [uri] * len(chosen) for kind, uri in REQUESTS.items()},
        **{
            f"similar, filter: {kind}": [
                f"/cbmir/similar/{name}?k={K}&frame={1 + random.integers(names[name])}{suffix}" for name in chosen
            ]
            for kind, suffix in QUERIES.items()
        },
    }
    seconds: dict[str, list[float]] = {kind: [] for kind in uris}
    cases: dict[str, int] = {}
    for turn in tqdm(range(len(chosen)), desc="queries", disable=None):
        for kind, every in uris.items():
            start = time.perf_counter()
            answer = http.get(every[turn])
            seconds[kind].append(time.perf_counter() - start)
            assert answer.is_success, answer.text
            if "cases" in (said := answer.json()):
                cases[kind] = min(cases.get(kind, K), len(said["cases"]))
    return {kind: {**milliseconds(some), "fewestCases": cases.get(kind)} for kind, some in seconds.items()}


def _fill(orthanc: OrthancProcess, slices: int) -> dict[str, int]:
    """Store an image for each made series, and the made vectors of its slices as frames; return ids and frames."""
    with_plugin = dict(orthanc.configuration)
    start_without_python(orthanc)
    rows, embedder = made.slices(slices), load(MODEL)
    catalogue = _catalogue(orthanc.data)
    names: dict[str, int] = {}
    came: list[int] = []
    for span in tqdm(made.spans(slices), desc="series", disable=None):
        places = span[: slices - span.start]
        name, embedded = _stored(orthanc, places, rows)
        catalogue.enqueue([name])
        came += catalogue.record(embedded, embedder.model_id)[0]
        names[name] = len(places)
    orthanc.stop()
    orthanc.configuration = with_plugin
    catalogue.answer_with(embedder.model_id, str(MODEL))
    index = SliceIndex(orthanc.data, dim=made.DIM, model=embedder.model_id, threads=2)
    index.rebuild(lambda: np.array(came), catalogue.vectors)
    index.snapshot()
    catalogue.close()
    return names


def _catalogue(folder: Path) -> SqliteCatalogue:
    folder.mkdir(mode=0o700, exist_ok=True)
    return SqliteCatalogue(folder / "catalogue.sqlite")


def _stored(orthanc: OrthancProcess, places: range, rows: NDArray[np.float32]) -> tuple[str, Embedded]:
    """Store the image of a series; return its id, and what the catalogue is to know of it."""
    series = made.series_of(places.start)
    study, number = map(int, series.series_instance_uid.split(".")[2:])
    facts: dict[str, Any] = dict(series.facts)
    image = mr_slice(series.patient, study, number, pixels=PIXELS, **facts)
    stored = orthanc.http.post("/instances", content=to_bytes(image)).json()
    known = Series(
        stored["ParentSeries"],
        stored["ParentStudy"],
        stored["ParentPatient"],
        stored["ParentPatient"],
        str(image.StudyInstanceUID),
        str(image.SeriesInstanceUID),
        series.facts,
        "axial",
    )
    vectors = {frame: rows[place] for frame, place in enumerate(places, start=1)}
    return stored["ID"], Embedded(stored["ID"], str(image.SOPInstanceUID), known, len(places), vectors)


def _is_ready(orthanc: OrthancProcess, images: int) -> bool:
    if not orthanc.answers() or (status := orthanc.status()).get("state") != "running":
        return False
    return bool(status["reconciled"] and status["queued"] == 0 and status["indexed"] == images)
