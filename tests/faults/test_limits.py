"""What the machine refuses for a while (memory, the right time, a volume to write on) costs no image and no search."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from agreement import assert_agreement
from catalogue_file import CatalogueFile
from dicom_files import mr_file, mr_slice, picture, to_bytes
from orthanc_process import wait_for
from pydicom.uid import RLELossless

if TYPE_CHECKING:
    from collections.abc import Callable

    from orthanc_process import OrthancProcess

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
MEGABYTE = 2**20


def large_when_decoded(patient: str) -> bytes:
    """Return a file of some hundred kB that takes some hundred MB on its way to the network."""
    pixels = np.zeros((4000, 4000), np.uint16)
    pixels[:64, :64] = picture(1)
    dataset = mr_slice(patient, pixels=pixels)
    dataset.compress(RLELossless, generate_instance_uid=False)
    return to_bytes(dataset)


@pytest.mark.parametrize("megabytes", [20, 120])
def test_a_picture_for_which_there_is_no_memory_is_parked_and_indexed_when_there_is(
    make_orthanc: Callable[..., OrthancProcess], megabytes: int
) -> None:
    """A decoder in Rust that finds no memory once ended the whole server."""
    orthanc = make_orthanc().start()
    orthanc.upload(mr_file("A"))
    orthanc.wait_until_indexed(1)
    assert orthanc.process is not None
    _, hard = resource.prlimit(orthanc.process.pid, resource.RLIMIT_AS)
    limit_memory(orthanc, megabytes=megabytes, hard=hard)
    large = orthanc.upload(large_when_decoded("large"))
    small = orthanc.upload(mr_file("B"))
    catalogue = CatalogueFile(orthanc.data)
    wait_for(lambda: catalogue.states().get(large) == "failed", "it is parked after three tries")
    assert catalogue.reasons()[large] == "there was not enough memory for it"
    assert catalogue.states()[small] == "indexed"
    assert orthanc.status()["worker"] == "running"

    resource.prlimit(orthanc.process.pid, resource.RLIMIT_AS, (hard, hard))
    assert orthanc.http.post("/cbmir/reindex", json={"states": ["failed"]}).json() == {"queued": 1}
    orthanc.wait_until_indexed(3)
    assert_agreement(orthanc)


def limit_memory(orthanc: OrthancProcess, *, megabytes: int, hard: int) -> None:
    """Leave a running Orthanc so much address space beyond what it has."""
    assert orthanc.process is not None
    status = Path(f"/proc/{orthanc.process.pid}/status").read_text(encoding="utf-8")
    kilobytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmSize"))
    soft = kilobytes * 1024 + megabytes * MEGABYTE
    resource.prlimit(orthanc.process.pid, resource.RLIMIT_AS, (soft, hard))


@pytest.mark.skipif(not FAKETIME.exists(), reason="libfaketime is not installed: scripts/setup --test does it")
def test_a_clock_that_is_set_back_a_day_holds_up_nothing(
    make_orthanc: Callable[..., OrthancProcess], tmp_path: Path
) -> None:
    orthanc = make_orthanc(MaximumStorageCacheSize=0)
    clock = tmp_path / "clock"
    wind(clock, "+0")
    orthanc.environment |= {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    orthanc.start()
    vanishing = orthanc.upload(mr_file("A"))
    orthanc.wait_until_indexed(1)
    for file in (orthanc.folder / "storage").rglob("*-*-*-*-*"):
        file.unlink()
    orthanc.http.post("/cbmir/reindex", json={"states": ["indexed"]})
    catalogue = CatalogueFile(orthanc.data)
    wait_for(lambda: orthanc.status()["queued"] == 1, "it waits for another try")

    before = received(orthanc, orthanc.upload(mr_file("B")))
    wind(clock, "-1d")
    after = received(orthanc, orthanc.upload(mr_file("C")))
    assert after < before, "Orthanc's clock was set back"
    wait_for(lambda: catalogue.states()[vanishing] == "failed", "it is tried again, and parked")
    assert orthanc.wait_until_indexed(3)["indexed"] == 2


def wind(clock: Path, offset: str) -> None:
    """Say how far the clock shall be off; every thread of Orthanc may read it at any time.

    One that meets an empty file has libfaketime call exit() under its own lock: Orthanc then stands still for ever.
    """
    whole = clock.with_suffix(".new")
    whole.write_text(offset)
    whole.rename(clock)


def received(orthanc: OrthancProcess, orthanc_id: str) -> str:
    """Return when Orthanc received an instance, by its own clock."""
    return str(orthanc.http.get(f"/instances/{orthanc_id}/metadata/ReceptionDate").text)
