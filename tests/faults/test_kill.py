"""Orthanc dies at each step of the write path, again and again; what is left must always be made whole at the start."""

from __future__ import annotations

import contextlib
import itertools
import signal
from typing import TYPE_CHECKING

import httpx
import pytest
from agreement import assert_agreement
from catalogue_file import CatalogueFile
from dicom_files import mr_file, mr_slice, to_bytes
from orthanc_process import wait_for

from cbmir.failpoints import POINTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from orthanc_process import OrthancProcess

KILLED = -signal.SIGKILL
LIVES = itertools.count(1)
"""A study of its own for each: an image that was there before would be at rest before it is even noticed again."""


@pytest.fixture(scope="module")
def module_orthanc(make_shared_orthanc: Callable[..., OrthancProcess]) -> OrthancProcess:
    """An Orthanc with a few slices and a snapshot, which goes from one death to the next."""
    orthanc = make_shared_orthanc(OverwriteInstances=True).start()
    for patient in "AB":
        orthanc.upload(mr_file(patient))
    orthanc.wait_until_indexed(2)
    assert orthanc.stop() == 0
    return orthanc


@pytest.mark.parametrize("point", POINTS)
def test_after_a_death_at_each_step_nothing_is_lost_or_left_over(module_orthanc: OrthancProcess, point: str) -> None:
    assert deaths(module_orthanc, point, [1]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_after_the_nth_death_at_each_step_nothing_is_lost_or_left_over(
    module_orthanc: OrthancProcess, point: str
) -> None:
    """Loop over n = 1, 2, … until the point is passed fewer than n times, as SQLite does in its own tests."""
    assert deaths(module_orthanc, point, itertools.count(1)) >= 1


def deaths(orthanc: OrthancProcess, point: str, times: itertools.count[int] | list[int]) -> int:
    """Kill Orthanc when it passes the point for the n-th time and check what the next start makes of it."""
    for n in times:
        orthanc.environment["CBMIR_FAILPOINT"] = f"{point}:{n}:kill"
        orthanc.launch()
        orthanc.wait_for_start()
        died = work_and_stop(orthanc) == KILLED
        del orthanc.environment["CBMIR_FAILPOINT"]
        orthanc.start()
        assert_agreement(orthanc)
        orthanc.kill()
        if not died:
            return n - 1
    return n


def work_and_stop(orthanc: OrthancProcess) -> int:
    """Store, overwrite and delete slices, and stop. Return the exit code, wherever Orthanc came to its end."""
    with contextlib.suppress(httpx.HTTPError):
        before = sorted(orthanc.instances())
        study = next(LIVES)
        for number in (0, 1, 1):
            orthanc.upload(mr_file("C", study=study, number=number))
        # the archive stays small: else each life has more steps than the one before, and n never passes the last
        for instance in before[1:]:
            orthanc.delete(f"/instances/{instance}")
        wait_for(lambda: not orthanc.is_alive() or is_at_rest(orthanc), "the slices are indexed")
    return orthanc.stop() if orthanc.is_alive() else orthanc.wait_for_end()


def is_at_rest(orthanc: OrthancProcess) -> bool:
    states = CatalogueFile(orthanc.data).states()
    return states.keys() == orthanc.instances() and "pending" not in states.values()


def test_errors_at_each_step_are_outlived(make_orthanc: Callable[..., OrthancProcess]) -> None:
    """A commit that failed once left its transaction open, and nothing could be written from then on."""
    orthanc = make_orthanc()
    orthanc.environment["CBMIR_FAILPOINT"] = (
        "fetched:2:raise,embedded:1:raise,before-commit:3:raise,before-commit:7:raise,before-index:2:raise,"
        "snapshot-written:1:raise"
    )
    orthanc.start()
    for number in range(10):
        orthanc.upload(mr_file("AB"[number % 2], number=number))
    assert orthanc.wait_until_indexed(10)["indexed"] == 10
    assert_agreement(orthanc)
    wait_for(lambda: orthanc.status()["state"] == "running", "the trouble has passed")
    assert "indexing is interrupted (OSError)" in orthanc.log_text()
    assert orthanc.stop() == 0
    assert "the index snapshot cannot be written (OSError)" in orthanc.log_text()
    orthanc.start()
    assert_agreement(orthanc)


def test_a_file_that_kills_orthanc_costs_nothing_else(make_orthanc: Callable[..., OrthancProcess]) -> None:
    """Thousands of nested sequences end Orthanc 1.10.1 in DCMTK, before any plugin sees them; later ones refuse it."""
    orthanc = make_orthanc().start()
    for patient in "AB":
        orthanc.upload(mr_file(patient))
    orthanc.wait_until_indexed(2)
    try:
        orthanc.http.post("/instances", content=nested_sequences(6000))
    except httpx.HTTPError:
        assert orthanc.wait_for_end() == -signal.SIGSEGV
        orthanc.start()
    assert_agreement(orthanc)
    orthanc.upload(mr_file("C"))
    assert orthanc.wait_until_indexed(None)["indexed"] == 3


def nested_sequences(depth: int) -> bytes:
    """Return an MR image with a sequence in a sequence in a sequence …, of undefined lengths, explicit VR."""
    file = to_bytes(mr_slice("nested"))
    content_sequence = b"\x40\x00\x30\xa7SQ\0\0\xff\xff\xff\xff"
    item, item_end, end = b"\xfe\xff\x00\xe0\xff\xff\xff\xff", b"\xfe\xff\x0d\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0"
    pixels = file.index(b"\xe0\x7f\x10\x00OW")
    return file[:pixels] + depth * (content_sequence + item) + depth * (item_end + end) + file[pixels:]
