"""Much at once: images in bursts, queries in crowds, everything together. Nothing is lost, nothing waits for ever."""

from __future__ import annotations

import itertools
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from agreement import assert_agreement
from dicom_files import mr_file, picture
from orthanc_process import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable

    from orthanc_process import OrthancProcess

ASSOCIATIONS = 8
QUERIES_AT_ONCE = 50
SOME_MEGABYTES = 400
"""Orthanc's own cache of files (128 MB) and the allocator's unrest; a burst held in memory would be far more."""


def long_or_short(short: int, long: int) -> pytest.MarkDecorator:
    """Give a test its size: the short one always, the long one with -m slow."""
    return pytest.mark.parametrize("size", [short, pytest.param(long, marks=pytest.mark.slow)])


def series(folder: Path, patient: str, slices: int) -> Path:
    """Write MR images of a patient."""
    folder = folder / patient
    folder.mkdir(parents=True)
    pixels = [picture(number, kind=number) for number in range(16)]
    for number in range(slices):
        file = mr_file(patient, 1, number // 50, number, pixels=np.roll(pixels[number % 16], number // 16))
        (folder / f"{number:06}.dcm").write_bytes(file)
    return folder


def resident_megabytes(orthanc: OrthancProcess) -> float:
    assert orthanc.process is not None
    status = Path(f"/proc/{orthanc.process.pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


@long_or_short(400, 10_000)
def test_a_burst_over_eight_associations_is_taken_and_indexed_whole(
    make_orthanc: Callable[..., OrthancProcess], tmp_path: Path, size: int
) -> None:
    orthanc = make_orthanc().start()
    folders = [series(tmp_path, f"P{number}", size // ASSOCIATIONS) for number in range(ASSOCIATIONS)]
    before = resident_megabytes(orthanc)
    with ThreadPoolExecutor(ASSOCIATIONS) as associations:
        list(associations.map(lambda one: orthanc.store_scu(one, options=("--scan-directories",)), folders))
    assert orthanc.http.get("/statistics").json()["CountInstances"] == size
    orthanc.wait_until_indexed(size)
    assert resident_megabytes(orthanc) - before < SOME_MEGABYTES
    assert_agreement(orthanc)


@long_or_short(300, 1000)
def test_fifty_queries_at_once_while_images_arrive_are_answered_or_put_off(
    make_orthanc: Callable[..., OrthancProcess], tmp_path: Path, size: int
) -> None:
    orthanc = make_orthanc(HttpThreadsCount=QUERIES_AT_ONCE).start()
    known = [orthanc.upload(mr_file(f"K{number // 4}", number=number)) for number in range(40)]
    orthanc.wait_until_indexed(len(known))
    folder = series(tmp_path, "late", size)
    stored = threading.Event()

    def reader(number: int) -> list[int]:
        found = []
        for query in itertools.islice(itertools.cycle(known), number, None):
            response = orthanc.http.get(f"/cbmir/similar/{query}")
            found.append(response.status_code)
            if stored.is_set():
                break
            if response.status_code == 503:
                time.sleep(int(response.headers["Retry-After"]))
        return found

    with ThreadPoolExecutor(QUERIES_AT_ONCE) as readers:
        reading = [readers.submit(reader, number) for number in range(QUERIES_AT_ONCE)]
        try:
            orthanc.store_scu(folder, options=("--scan-directories",))
            assert orthanc.answers()
        finally:
            # else they would ask for ever
            stored.set()
        answers = list(itertools.chain.from_iterable(one.result() for one in reading))
    assert set(answers) <= {200, 503}
    assert 200 in answers
    orthanc.wait_until_indexed(len(known) + size)
    assert_agreement(orthanc)


# ---- everything at once ----

HOSPITAL = f"""
import json
import sys
import orthanc

def ask(output, uri, **request):
    orthanc.RestApiGet("/statistics")
    orthanc.RestApiPost("/tools/find", '{{"Level": "Study", "Query": {{}}}}')
    for patient in json.loads(orthanc.RestApiGet("/patients"))[:1]:
        orthanc.RestApiPut("/patients/" + patient + "/metadata/4000", "seen")
    output.AnswerBuffer("asked", "text/plain")

orthanc.RegisterRestCallback("/hospital/ask", ask)
sys.path.insert(0, {str(REPOSITORY / "plugin")!r})
import main
"""
"""A script beside ours whose route calls Orthanc's REST API while images arrive: lock against lock."""


@long_or_short(20, 300)
def test_stores_routes_deletes_and_calls_from_inside_at_once_never_lock_up(
    make_orthanc: Callable[..., OrthancProcess], tmp_path: Path, size: int
) -> None:
    script = tmp_path / "hospital.py"
    script.write_text(HOSPITAL)
    orthanc = make_orthanc(PythonScript=str(script), OverwriteInstances=True, HttpThreadsCount=32).start()
    do_everything_at_once(orthanc, tmp_path, size)


def test_everything_at_once_never_locks_up_where_orthanc_holds_python_s_lock_during_its_calls(
    make_orthanc: Callable[..., OrthancProcess], tmp_path: Path
) -> None:
    script = tmp_path / "hospital.py"
    script.write_text(HOSPITAL)
    orthanc = make_orthanc(
        PythonScript=str(script), OverwriteInstances=True, HttpThreadsCount=32, Python={"AllowThreads": False}
    ).start()
    version = orthanc.http.get("/plugins/python").json()["Version"]
    if tuple(map(int, version.split("."))) < (4, 3):
        pytest.skip(f"version {version} of Orthanc's Python plugin holds it whatever is set, as the test before has it")
    do_everything_at_once(orthanc, tmp_path, seconds=20)


def do_everything_at_once(orthanc: OrthancProcess, tmp_path: Path, seconds: float) -> None:
    """Store, delete, send, ask, and ask from inside, on sixteen threads; then compare what is there."""
    kept = [orthanc.upload(mr_file(f"K{number}")) for number in range(4)]
    orthanc.wait_until_indexed(len(kept))
    folders = [series(tmp_path, f"C{number}", 20) for number in range(2)]
    end = time.monotonic() + seconds

    def store_and_delete(choice: random.Random, number: int) -> None:
        stored = orthanc.upload(mr_file(f"W{number}", number=choice.randrange(5)))
        if choice.random() < 0.6:
            orthanc.http.delete(f"/instances/{stored}")

    def ask(choice: random.Random, _number: int) -> None:
        routes = (f"/cbmir/similar/{choice.choice(kept)}", "/cbmir/status", "/hospital/ask", "/system")
        assert orthanc.http.get(choice.choice(routes)).status_code in {200, 503}

    def send(choice: random.Random, _number: int) -> None:
        orthanc.store_scu(choice.choice(folders), options=("--scan-directories",))

    def again_and_again(number: int) -> int:
        work = (store_and_delete, ask, ask, send)[number % 4]
        choice, times = random.Random(number), 0
        while not times or time.monotonic() < end:
            work(choice, number)
            times += 1
        return times

    with ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(again_and_again, range(16))) >= 16
    orthanc.settle()
    orthanc.wait_until_indexed()
    assert_agreement(orthanc)
