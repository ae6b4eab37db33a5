"""Files that were damaged, disks that are full or read-only, a worker that hangs: search goes on, or says why not."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import sqlite3
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from agreement import assert_agreement
from catalogue_file import CatalogueFile
from dicom_files import mr_file
from orthanc_process import REPOSITORY, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orthanc_process import OrthancProcess

PAGE = 4096
"""Size of a page of the catalogue in bytes, SQLite's default."""


def filled(orthanc: OrthancProcess) -> str:
    """Start, index a few slices; return one to ask from."""
    orthanc.start()
    for patient in "ABCD":
        for number in range(3):
            query = orthanc.upload(mr_file(patient, number=number))
    orthanc.wait_until_indexed(12)
    return query


# ---- the snapshot of the index ----


@pytest.fixture(scope="module")
def module_orthanc(make_shared_orthanc: Callable[..., OrthancProcess]) -> tuple[OrthancProcess, str, dict[str, object]]:
    """An Orthanc at rest with a good snapshot, a slice to ask from and the answer to expect."""
    orthanc = make_shared_orthanc()
    query = filled(orthanc)
    answer = orthanc.similar(query)
    assert orthanc.stop() == 0
    shutil.copytree(orthanc.data, orthanc.folder / "good")
    return orthanc, query, answer


@pytest.fixture
def saved(
    module_orthanc: tuple[OrthancProcess, str, dict[str, object]],
) -> Iterator[tuple[OrthancProcess, str, dict[str, object]]]:
    """The same, made good again before each test."""
    orthanc = module_orthanc[0]
    shutil.rmtree(orthanc.data)
    shutil.copytree(orthanc.folder / "good", orthanc.data)
    yield module_orthanc
    if orthanc.is_alive():
        orthanc.kill()


def snapshot(data: Path) -> Path:
    (found,) = data.glob("index-*.bin")
    return found


def truncated(data: Path) -> None:
    file = snapshot(data)
    file.write_bytes(file.read_bytes()[:-100])


def empty(data: Path) -> None:
    snapshot(data).write_bytes(b"")


def with_flipped_bits(data: Path) -> None:
    file = snapshot(data)
    content = bytearray(file.read_bytes())
    choice = random.Random(1)
    for _ in range(100):
        content[choice.randrange(len(content))] ^= 1 << choice.randrange(8)
    file.write_bytes(content)


def of_another_capacity(data: Path) -> None:
    """Write 1 as the number of elements the header allows: hnswlib would believe it and write past its memory."""
    file = snapshot(data)
    content = bytearray(file.read_bytes())
    content[8:16] = (1).to_bytes(8, "little")
    file.write_bytes(content)


def a_directory(data: Path) -> None:
    file = snapshot(data)
    file.unlink()
    file.mkdir()


def a_link(data: Path) -> None:
    file = snapshot(data)
    file.rename(data / "elsewhere")
    file.symlink_to(data / "elsewhere")


def without_manifest(data: Path) -> None:
    (data / "index.json").unlink()


def with_another_manifest(data: Path) -> None:
    (data / "index.json").write_text('["no", "manifest"]')


@pytest.mark.parametrize(
    "damage",
    [
        truncated,
        empty,
        with_flipped_bits,
        of_another_capacity,
        a_directory,
        a_link,
        without_manifest,
        with_another_manifest,
    ],
)
def test_a_damaged_snapshot_is_rebuilt_from_the_catalogue(
    saved: tuple[OrthancProcess, str, dict[str, object]], damage: Callable[[Path], None]
) -> None:
    orthanc, query, answer = saved
    damage(orthanc.data)
    logged = len(orthanc.log_text())
    orthanc.start()
    # once was twice: minutes with a large archive
    assert orthanc.log_from(logged).count("the index was rebuilt") == 1
    assert orthanc.similar(query) == answer
    assert_agreement(orthanc)


def test_a_sound_snapshot_is_not_rebuilt(saved: tuple[OrthancProcess, str, dict[str, object]]) -> None:
    orthanc, query, answer = saved
    logged = len(orthanc.log_text())
    orthanc.start()
    assert "the index was rebuilt" not in orthanc.log_from(logged)
    assert orthanc.similar(query) == answer


# ---- the catalogue ----


@pytest.mark.parametrize("seed", [1, 2])
def test_a_catalogue_with_a_damaged_page_is_put_aside_and_all_is_indexed_anew(
    saved: tuple[OrthancProcess, str, dict[str, object]], seed: int
) -> None:
    orthanc, query, answer = saved
    into_one_file(orthanc.data / "catalogue.sqlite")
    choice = random.Random(seed)
    with (orthanc.data / "catalogue.sqlite").open("r+b") as file:
        pages = file.seek(0, 2) // PAGE
        file.seek(choice.randrange(1, pages) * PAGE)
        file.write(choice.randbytes(PAGE))
    orthanc.start()
    orthanc.wait_until_indexed(12)
    assert_agreement(orthanc)
    assert (orthanc.data / "catalogue.sqlite.damaged").is_file()
    assert "is damaged; it is kept as catalogue.sqlite.damaged" in orthanc.log_text()
    assert orthanc.similar(query) == answer


def test_vectors_that_were_damaged_on_the_disk_win_no_search_and_are_made_anew(
    saved: tuple[OrthancProcess, str, dict[str, object]],
) -> None:
    """One flipped bit of an exponent makes a vector so long that its slice would be the nearest of every query."""
    orthanc, query, answer = saved
    (orthanc.data / "index.json").unlink()
    with contextlib.closing(sqlite3.connect(orthanc.data / "catalogue.sqlite")) as database, database:
        for label, vector in database.execute("SELECT label, vector FROM slice LIMIT 5").fetchall():
            damaged = bytearray(vector)
            damaged[7] ^= 0x40
            database.execute("UPDATE slice SET vector = ? WHERE label = ?", (bytes(damaged), label))
    orthanc.start()
    assert "5 vectors in the catalogue are damaged, and made anew" in orthanc.log_text()
    orthanc.wait_until_indexed(12)
    assert orthanc.similar(query) == answer
    assert_agreement(orthanc)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_catalogue_that_is_damaged_under_a_running_orthanc_costs_no_image_and_is_made_anew_at_the_next_start(
    saved: tuple[OrthancProcess, str, dict[str, object]], seed: int
) -> None:
    orthanc, query, answer = saved
    orthanc.start()
    orthanc.wait_until_indexed(12)
    into_one_file(orthanc.data / "catalogue.sqlite")
    choice = random.Random(seed)
    with (orthanc.data / "catalogue.sqlite").open("r+b") as file:
        size = file.seek(0, 2)
        for _ in range(1000):
            file.seek(choice.randrange(size))
            byte = file.read(1)[0]
            file.seek(-1, 1)
            file.write(bytes([byte ^ 1 << choice.randrange(8)]))
    for number in range(5):
        orthanc.upload(mr_file("late", number=number))
        # what is in memory still answers rightly
        assert orthanc.http.get(f"/cbmir/similar/{query}").status_code in {200, 503}
    wait_for(lambda: orthanc.status()["state"] == "disabled", "the status says so")
    assert orthanc.http.get("/cbmir/status").status_code == 503
    refused = orthanc.http.get(f"/cbmir/similar/{query}")
    assert refused.status_code == 503
    assert "the catalogue is damaged: restart Orthanc" in refused.json()["error"]["message"]
    assert orthanc.answers()
    assert len(orthanc.instances()) == 17
    assert orthanc.stop() == 0
    assert "the catalogue is damaged" in orthanc.log_text()

    orthanc.start()
    for instance in orthanc.instances() - set(orthanc.http.get("/patients").json()):
        if orthanc.http.get(f"/instances/{instance}/patient").json()["MainDicomTags"]["PatientID"] == "late":
            orthanc.delete(f"/instances/{instance}")
    orthanc.wait_until_indexed(12)
    assert_agreement(orthanc)
    assert orthanc.similar(query) == answer


def is_degraded(orthanc: OrthancProcess) -> bool:
    return bool(orthanc.status().get("state") == "degraded")


def into_one_file(catalogue: Path) -> None:
    """Move what stands in the write-ahead log to the file itself, where no copy can make good for the damage."""
    with contextlib.closing(sqlite3.connect(catalogue)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.mark.parametrize("content", [b"", b"no database" * 1000])
def test_a_file_that_is_no_catalogue_is_replaced(
    saved: tuple[OrthancProcess, str, dict[str, object]], content: bytes
) -> None:
    orthanc, query, answer = saved
    (orthanc.data / "catalogue.sqlite-wal").unlink(missing_ok=True)
    (orthanc.data / "catalogue.sqlite").write_bytes(content)
    orthanc.start()
    orthanc.wait_until_indexed(12)
    assert_agreement(orthanc)
    assert orthanc.similar(query) == answer
    # labels of the new catalogue once were those of the old one, and so was the snapshot taken for its own
    orthanc.kill()
    orthanc.start()
    assert orthanc.similar(query) == answer


def test_a_catalogue_locked_by_another_process_is_waited_for(make_orthanc: Callable[..., OrthancProcess]) -> None:
    orthanc = make_orthanc()
    query = filled(orthanc)
    answer = orthanc.similar(query)
    with contextlib.closing(sqlite3.connect(orthanc.data / "catalogue.sqlite", isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        orthanc.upload(mr_file("late"))
        wait_for(lambda: orthanc.status()["state"] == "degraded", "the status says so")
        assert "(OperationalError)" in orthanc.status()["reason"]
        assert orthanc.similar(query) == answer
        database.execute("ROLLBACK")
    wait_for(lambda: orthanc.status()["state"] == "running", "the trouble passes")
    assert_agreement(orthanc)
    assert orthanc.log_text().count("indexing is interrupted") == 1


# ---- the disk ----


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a volume of 64 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a volume can only be mounted as root: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_interrupts_the_indexing_until_there_is_space(
    small_disk: Path, make_orthanc: Callable[..., OrthancProcess]
) -> None:
    orthanc = make_orthanc({"DataDirectory": str(small_disk / "cbmir")})
    query = filled(orthanc)
    ballast = fill(small_disk)
    for number in range(20):
        orthanc.upload(mr_file("late", number=number))
    wait_for(lambda: orthanc.status()["state"] == "degraded", "the status says so")
    assert [case["patient"]["PatientID"] for case in orthanc.similar(query)["cases"]] != []
    ballast.unlink()
    wait_for(lambda: orthanc.status()["state"] == "running", "the trouble passes")
    assert_agreement(orthanc)


def test_a_snapshot_for_which_there_is_no_space_leaves_the_earlier_one(
    small_disk: Path, make_orthanc: Callable[..., OrthancProcess]
) -> None:
    orthanc = make_orthanc({"DataDirectory": str(small_disk / "cbmir")})
    filled(orthanc)
    assert orthanc.stop() == 0
    before = snapshot(orthanc.data).read_bytes()
    orthanc.start()
    orthanc.upload(mr_file("late"))
    orthanc.wait_until_indexed(13)
    ballast = fill(small_disk)
    assert orthanc.stop() == 0
    assert "the index snapshot cannot be written" in orthanc.log_text()
    assert snapshot(orthanc.data).read_bytes() == before
    ballast.unlink()
    orthanc.start()
    assert_agreement(orthanc)


def fill(disk: Path) -> Path:
    """Fill a volume to its last byte; return the file that does it."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return ballast


def test_on_a_read_only_volume_search_goes_on_and_indexing_waits(
    small_disk: Path, make_orthanc: Callable[..., OrthancProcess]
) -> None:
    orthanc = make_orthanc({"DataDirectory": str(small_disk / "cbmir")})
    query = filled(orthanc)
    answer = orthanc.similar(query)
    assert orthanc.stop() == 0
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    orthanc.start()
    assert orthanc.similar(query) == answer
    late = orthanc.upload(mr_file("late"))
    wait_for(lambda: is_degraded(orthanc), "the status says so")
    assert "read-only: make it writable and restart Orthanc" in orthanc.status()["reason"]
    assert orthanc.similar(late)["cases"], "what is not indexed can be asked about all the same"
    assert orthanc.stop() == 0

    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    orthanc.start()
    orthanc.wait_until_indexed(13)
    assert_agreement(orthanc)


def test_after_a_death_on_a_volume_that_became_read_only_search_goes_on(
    small_disk: Path, make_orthanc: Callable[..., OrthancProcess]
) -> None:
    """The catalogue then still has its write-ahead log, which nobody can take in."""
    orthanc = make_orthanc({"DataDirectory": str(small_disk / "cbmir")})
    query = filled(orthanc)
    answer = orthanc.similar(query)
    orthanc.kill()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    orthanc.start()
    assert orthanc.similar(query) == answer


def test_on_an_empty_read_only_volume_the_plugin_says_so_and_orthanc_goes_on(
    small_disk: Path, make_orthanc: Callable[..., OrthancProcess]
) -> None:
    orthanc = make_orthanc({"DataDirectory": str(small_disk / "cbmir")})
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    orthanc.start()
    orthanc.upload(mr_file("A"))
    status = orthanc.http.get("/cbmir/status")
    assert (status.status_code, status.json()["state"]) == (503, "disabled")
    assert "Read-only file system" in status.json()["reason"]


# ---- a worker that hangs ----


def test_a_worker_that_hangs_is_reported_while_orthanc_takes_images(
    make_orthanc: Callable[..., OrthancProcess], tmp_path: Path
) -> None:
    script = tmp_path / "impatient.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(REPOSITORY / 'plugin')!r})\n"
        "import cbmir.ingest.inbox\ncbmir.ingest.inbox.STALLED_SECONDS = 2.0\nimport main\n"
    )
    orthanc = make_orthanc(PythonScript=str(script))
    (go_on,) = orthanc.hold("embedded:1")
    orthanc.start()
    orthanc.upload(mr_file("A"))
    wait_for(lambda: orthanc.http.get("/cbmir/status").status_code == 503, "the health check fails")
    assert orthanc.status()["worker"] == "stalled"
    (tmp_path / "B.dcm").write_bytes(mr_file("B"))
    orthanc.store_scu(tmp_path / "B.dcm")
    assert len(orthanc.instances()) == 2
    assert orthanc.status()["worker"] == "stalled"
    go_on.touch()
    wait_for(lambda: orthanc.http.get("/cbmir/status").status_code == 200, "the worker is back")
    assert_agreement(orthanc)


def test_an_instance_stored_in_the_moment_of_a_crash_is_found_at_the_start(
    make_orthanc: Callable[..., OrthancProcess],
) -> None:
    """The event of an instance is lost when Orthanc dies between its commit and the callback."""
    orthanc = make_orthanc()
    orthanc.environment["CBMIR_FAILPOINT"] = "event:1:kill"
    orthanc.start()
    with contextlib.suppress(Exception):
        orthanc.upload(mr_file("A"))
    assert orthanc.wait_for_end() < 0
    assert CatalogueFile(orthanc.data).states() == {}
    del orthanc.environment["CBMIR_FAILPOINT"]
    orthanc.start()
    assert orthanc.wait_until_indexed(1)["indexed"] == 1


def test_a_process_that_stands_still_for_a_while_loses_nothing(make_orthanc: Callable[..., OrthancProcess]) -> None:
    """A virtual machine is paused, a debugger attached: the worker must not take its own standstill for a failure."""
    orthanc = make_orthanc().start()
    for number in range(40):
        orthanc.upload(mr_file("AB"[number % 2], number=number))
    process = orthanc.process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        # its threads stop one after the other: one may answer meanwhile
        wait_for(lambda: stands_still(process.pid), "every thread stands still")
        with pytest.raises(httpx.TimeoutException):
            orthanc.http.get("/cbmir/status", timeout=2)
    finally:
        process.send_signal(signal.SIGCONT)
    assert orthanc.wait_until_indexed(40)["indexed"] == 40
    assert_agreement(orthanc)


def stands_still(process: int) -> bool:
    """Return whether every thread of a process is stopped (proc(5))."""
    threads = Path(f"/proc/{process}/task").iterdir()
    try:
        return all((one / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "T" for one in threads)
    except (FileNotFoundError, ProcessLookupError):
        # one has ended meanwhile
        return False
