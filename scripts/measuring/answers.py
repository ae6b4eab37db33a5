"""How long GET /cbmir/similar takes in a real Orthanc, by HTTP, among so many slices."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
from dicom_files import mr_slice, picture, to_bytes
from orthanc_process import OrthancProcess, wait_for
from tqdm import tqdm

from cbmir.embedding import load
from cbmir.store.snapshots import MANIFEST, WRITTEN
from cbmir.store.sqlite import SqliteCatalogue
from measuring import made
from measuring.cstore import start_without_python
from measuring.indexes import BUILT, Archive, folder_for
from measuring.shipped import MODEL
from measuring.steps import milliseconds

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

K = 10
PIXELS = picture(0, size=8)
"""Of every image: they are not looked at here, as the vectors are made."""

QUERIES = {"none": "", "modality": "&Modality=MR", "a hundredth": "&BodyPartExamined=PART7"}
REQUESTS = {"Orthanc's /system": "/system", "the plugin's /cbmir/status": "/cbmir/status"}
START_SECONDS = 1200

AT_REST = 0.1
"""Share of a processor below which Orthanc does nothing that answers would have to share it with."""

UNCOMPRESSED = {"Accept-Encoding": "identity"}
"""As asked for by whoever is near: compressing takes Orthanc a millisecond. A browser asks otherwise."""

FILE = "CBMIR_STOPWATCH"
"""Environment variable that tells stopwatch.py where to write."""


def measure(options: Namespace) -> dict[str, Any]:
    """Return milliseconds of requests over one connection: to Orthanc, to the plugin, and for similar cases."""
    with tempfile.TemporaryDirectory(prefix="answer-") as name:
        orthanc = OrthancProcess(Path(name), {"Threads": 0, "SnapshotMinutes": 1, "ViewerDirectory": _page(Path(name))})
        try:
            names = _fill(orthanc, options)
            steps = _steps(orthanc, names, options.queries)
            with _asking(orthanc, len(names)) as http:
                found = _asked(orthanc.http_port, names, options)
                saved = _while_it_saves(orthanc, http, names, options.saves) if options.saves else None
                indexing = _while_it_indexes(http, names, options.queries)
        finally:
            orthanc.end()
    return {
        "slices": options.slices,
        "queries": options.queries,
        "requests": found,
        "whileItSaves": saved,
        "whileItIndexes": indexing,
        "steps": steps,
    }


def _page(folder: Path) -> str:
    """Make a folder that passes for one with OHIF, so that answers have links into it; return its path."""
    page = folder / "viewer" / "index.html"
    page.parent.mkdir()
    page.touch()
    return str(page.parent)


@contextmanager
def _asking(orthanc: OrthancProcess, images: int) -> Iterator[httpx.Client]:
    """Have the plugin ready for requests over one connection while the block lasts."""
    orthanc.launch()
    wait_for(lambda: _is_ready(orthanc, images), "the plugin is ready", seconds=START_SECONDS)
    wait_for(lambda: _rests(orthanc), "what it looks into after a start is done", seconds=START_SECONDS)
    address = f"http://127.0.0.1:{orthanc.http_port}"
    with httpx.Client(base_url=address, timeout=START_SECONDS, headers=UNCOMPRESSED) as http:
        yield http
    orthanc.stop()


def _steps(orthanc: OrthancProcess, names: dict[str, int], queries: int) -> dict[str, Any]:
    """Return where the time of such answers goes, by a plugin with a stopwatch; `perAnswer` calls of each step."""
    file = orthanc.folder / "steps.json"
    orthanc.environment[FILE] = str(file)
    as_shipped = orthanc.configuration
    orthanc.configuration = {**as_shipped, "PythonScript": str(Path(__file__).with_name("stopwatch.py"))}
    with _asking(orthanc, len(names)) as http:
        for name in np.random.default_rng(4).choice(sorted(names), queries):
            http.get(f"/cbmir/similar/{name}?k={K}&Modality=MR").raise_for_status()
    orthanc.configuration = as_shipped
    found = json.loads(file.read_text(encoding="utf-8"))
    return {
        step: {**milliseconds([one / 1000 for one in some]), "perAnswer": round(len(some) / queries, 1)}
        for step, some in found.items()
    }


def _asked(port: int, names: dict[str, int], options: Namespace) -> dict[str, Any]:
    """Return the time of each kind of request, in turns, and the fewest cases that came.

    Over Python's own connection: httpx would take as long for an answer as Orthanc for a short one.
    """
    random = np.random.default_rng(3)
    chosen = random.choice(sorted(names), options.queries)
    uris = {
        **{kind: [uri] * len(chosen) for kind, uri in REQUESTS.items()},
        "similar, filter: modality, compressed": [
            f"/cbmir/similar/{name}?k={K}&frame={1 + random.integers(names[name])}&Modality=MR" for name in chosen
        ],
        **{
            f"similar, filter: {kind}": [
                f"/cbmir/similar/{name}?k={K}&frame={1 + random.integers(names[name])}{suffix}" for name in chosen
            ]
            for kind, suffix in QUERIES.items()
        },
    }
    seconds: dict[str, list[float]] = {kind: [] for kind in uris}
    cases: dict[str, int] = {}
    connection = HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
    for turn in tqdm(range(len(chosen)), desc="queries", disable=None):
        for kind, every in uris.items():
            accepted = {"Accept-Encoding": "gzip"} if "compressed" in kind else UNCOMPRESSED
            start = time.perf_counter()
            connection.request("GET", every[turn], headers=accepted)
            answer = connection.getresponse()
            body = answer.read()
            seconds[kind].append(time.perf_counter() - start)
            assert answer.status == 200, body
            said = json.loads(gzip.decompress(body) if answer.getheader("Content-Encoding") == "gzip" else body)
            if "cases" in said:
                cases[kind] = min(cases.get(kind, K), len(said["cases"]))
    connection.close()
    return {kind: {**milliseconds(some), "fewestCases": cases.get(kind)} for kind, some in seconds.items()}


def _while_it_saves(orthanc: OrthancProcess, http: httpx.Client, names: dict[str, int], saves: int) -> dict[str, Any]:
    """Return the longest of some requests while the index is saved, and of as many before."""
    some = [f"/cbmir/similar/{name}?k={K}" for name in list(names)[:50]]
    uris = itertools.cycle(["/system", "/cbmir/status", *some])
    before, saving = list[float](), list[float]()
    manifest = orthanc.data / MANIFEST
    for _ in range(saves):
        # without a change there is nothing to save
        orthanc.delete(f"/instances/{names.popitem()[0]}")
        then = manifest.stat().st_mtime_ns
        while manifest.stat().st_mtime_ns == then:
            is_saving = (orthanc.data / WRITTEN).exists()
            start = time.perf_counter()
            http.get(next(uris)).raise_for_status()
            (saving if is_saving else before).append(time.perf_counter() - start)
    return {
        "saves": saves,
        "requests": len(saving),
        "longestMilliseconds": {
            "before": round(1000 * max(before[-len(saving) :], default=0), 1),
            "whileItSaves": round(1000 * max(saving, default=0), 1),
        },
    }


def _while_it_indexes(http: httpx.Client, names: dict[str, int], queries: int) -> dict[str, Any]:
    """Return the time of requests while all images are embedded once more, and how many of these wait at their end."""
    http.post("/cbmir/reindex", json={"states": ["indexed"]}).raise_for_status()
    seconds = list[float]()
    # the plugin keeps no other modality when it sees the image itself
    of_mr = [name for place, name in enumerate(names) if place % made.MR_BUT_ONE]
    # the newest are embedded first
    for name in of_mr[:queries]:
        start = time.perf_counter()
        http.get(f"/cbmir/similar/{name}?k={K}&Modality=MR").raise_for_status()
        seconds.append(time.perf_counter() - start)
    queued = http.get("/cbmir/status").raise_for_status().json()["queued"]
    return {"requests": len(seconds), **milliseconds(seconds), "queuedAtTheEnd": queued}


def _fill(orthanc: OrthancProcess, options: Namespace) -> dict[str, int]:
    """Store an image for each made series, and give it the slices of the series as frames; return ids and frames."""
    with folder_for(options) as kept:
        if not (kept / BUILT).exists():
            Archive(kept, options.slices, {}).catalogue.close()
        shutil.copytree(kept, orthanc.data, ignore=shutil.ignore_patterns(BUILT))
    orthanc.data.chmod(0o700)
    model = load(MODEL).model_id
    manifest = orthanc.data / MANIFEST
    manifest.write_text(manifest.read_text(encoding="utf-8").replace(made.MODEL, model), encoding="utf-8")
    catalogue = SqliteCatalogue(orthanc.data / "catalogue.sqlite")
    with_plugin = dict(orthanc.configuration)
    start_without_python(orthanc)
    names: dict[str, int] = {}
    with httpx.Client(base_url=f"http://127.0.0.1:{orthanc.http_port}", timeout=START_SECONDS) as http:
        for span in tqdm(made.spans(options.slices), desc="series", disable=None):
            places = span[: options.slices - span.start]
            names[_stored(http, catalogue, places, model)] = len(places)
    orthanc.stop()
    orthanc.configuration = with_plugin
    catalogue.answer_with(model, str(MODEL))
    catalogue.close()
    return names


def _stored(http: httpx.Client, catalogue: SqliteCatalogue, places: range, model: str) -> str:
    """Store the image of a series, and have the catalogue know it instead of the made ones; return its id."""
    series = made.series_of(places.start)
    study, number = map(int, series.series_instance_uid.split(".")[2:])
    facts: dict[str, Any] = dict(series.facts)
    image = mr_slice(series.patient, study, number, pixels=PIXELS, **facts)
    stored = http.post("/instances", content=to_bytes(image)).raise_for_status().json()
    first, last = places.start + 1, places.stop
    with catalogue._transaction() as database:  # noqa: SLF001 - as made.catalogue_of
        database.execute(
            "UPDATE series SET orthanc_id = ?1, study_orthanc_id = ?2, patient_orthanc_id = ?3, patient = ?3,"
            " StudyInstanceUID = ?4, SeriesInstanceUID = ?5 WHERE orthanc_id = ?6",
            (
                *(stored["ParentSeries"], stored["ParentStudy"], stored["ParentPatient"]),
                *(image.StudyInstanceUID, image.SeriesInstanceUID, series.orthanc_id),
            ),
        )
        database.execute(
            "UPDATE slice SET instance = ?1, frame = instance - ?1 + 1, model = ?3,"
            " window_center = 600.5 + label % 100, window_width = 1200.25 + label % 100"
            " WHERE instance BETWEEN ?1 AND ?2",
            (first, last, model),
        )
        database.execute("DELETE FROM instance WHERE id BETWEEN ? AND ?", (first + 1, last))
        database.execute(
            "UPDATE instance SET orthanc_id = ?, SOPInstanceUID = ?, number_of_frames = ? WHERE id = ?",
            (stored["ID"], image.SOPInstanceUID, len(places), first),
        )
    return str(stored["ID"])


def _is_ready(orthanc: OrthancProcess, images: int) -> bool:
    assert orthanc.is_alive(), orthanc.log_text()[-2000:]
    if not orthanc.answers() or (status := orthanc.status()).get("state") != "running":
        return False
    return bool(status["reconciled"] and status["queued"] == 0 and status["indexed"] == images)


def _rests(orthanc: OrthancProcess) -> bool:
    """Return whether Orthanc hardly worked for a second, after the index was looked into."""
    assert orthanc.process is not None
    if orthanc.status()["indexHealth"] is None:
        return False
    before = _worked(orthanc.process.pid)
    time.sleep(1)
    return _worked(orthanc.process.pid) - before < AT_REST


def _worked(process: int) -> float:
    """Return the seconds of processor time that a process has taken (proc(5))."""
    _, _, rest = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")
    user, system = rest.split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
