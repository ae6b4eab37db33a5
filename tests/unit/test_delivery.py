from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from dicom_files import mr_file
from orthanc_double import OrthancDouble
from orthanc_process import wait_for
from storing import Storing

from cbmir.errors import Forbidden, Unavailable
from cbmir.loopback import Door
from cbmir.saving import delivery
from cbmir.saving.delivery import AT_ONCE, Delivery

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def orthanc() -> OrthancDouble:
    return OrthancDouble()


@pytest.fixture
def storing(orthanc: OrthancDouble) -> Iterator[Storing]:
    storing = Storing(orthanc)
    yield storing
    storing.close()


def test_files_are_stored_with_the_callers_own_headers(orthanc: OrthancDouble, storing: Storing) -> None:
    files = [mr_file("P1"), mr_file("P2")]
    names = storing.delivery.store(files, {"authorization": "Basic x"})
    assert [orthanc.files[name] for name in names] == files
    assert [headers["authorization"] for headers in storing.headers] == ["Basic x"] * 2
    assert {headers["content-type"] for headers in storing.headers} == {"application/dicom"}


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_orthanc_refuses_the_caller_may_not_do(storing: Storing, status: int) -> None:
    storing.status = status
    with pytest.raises(Forbidden, match="does not let you store"):
        storing.delivery.store([mr_file()], {})


@pytest.mark.parametrize("status", [400, 500, 507])
def test_what_orthanc_fails_at_can_be_tried_again(storing: Storing, status: int) -> None:
    storing.status = status
    with pytest.raises(Unavailable, match=f"status {status}"):
        storing.delivery.store([mr_file()], {})


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"Status": "FilteredOut"}'])
def test_an_answer_without_an_id_is_no_success(storing: Storing, body: bytes) -> None:
    storing.body = body
    with pytest.raises(Unavailable, match="did not store"):
        storing.delivery.store([mr_file()], {})


def test_an_orthanc_that_cannot_be_reached_stores_nothing() -> None:
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 did not store"):
        Delivery(Door(1, tls=False)).store([mr_file()], {})


def test_an_orthanc_that_hangs_is_waited_for_a_limited_time(storing: Storing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "SECONDS", 0.2)
    storing.released.clear()
    with pytest.raises(Unavailable):
        storing.delivery.store([mr_file()], {})


def test_only_a_few_are_stored_at_a_time_and_all_in_the_end(storing: Storing) -> None:
    storing.released.clear()
    with ThreadPoolExecutor(6) as pool:
        stored = [pool.submit(storing.delivery.store, [mr_file(f"P{number}")], {}) for number in range(6)]
        wait_for(lambda: storing.at_once == AT_ONCE, "as many are stored as may be")
        threading.Timer(0.1, storing.released.set).start()
        assert len({one.result(120)[0] for one in stored}) == 6
    assert storing.most_at_once == AT_ONCE
