"""A search is saved as DICOM documents, in a real Orthanc, as whoever asks for it and only then."""

from __future__ import annotations

import io
import json
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from dicom_files import CANARY, mr_file, picture
from guarded import fill, instance, lua_filter, study
from highdicom.ko import KeyObjectSelectionDocument
from highdicom.sr import ComprehensiveSR
from pydicom import dcmread

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx
    from orthanc_process import OrthancProcess

PATIENTS = ("P0", "P1", "P2", "P3")
SAVERS, SAVES, SENDERS, SENT = 4, 15, 4, 40


def save(orthanc: OrthancProcess, query: str, *hits: str, **asked: Any) -> httpx.Response:
    """Ask for a search to be saved, each slice by its Orthanc id."""
    body = {"query": {"instance": query}, "hits": [{"instance": hit} for hit in hits], **asked}
    return orthanc.http.post("/cbmir/save", json=body)


def read(orthanc: OrthancProcess, orthanc_id: str) -> Any:
    return dcmread(io.BytesIO(orthanc.http.get(f"/instances/{orthanc_id}/file").content))


def audit(orthanc: OrthancProcess) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (orthanc.data / "audit.jsonl").read_text().splitlines()]


def test_a_search_is_saved_in_the_study_of_its_query_and_nowhere_else(orthanc: OrthancProcess, tmp_path: Path) -> None:
    fill(orthanc, PATIENTS)
    query, *hits = map(instance, PATIENTS)
    before = orthanc.instances()
    found = orthanc.similar(query)
    assert orthanc.instances() == before

    response = save(orthanc, query, *hits[:2])

    assert response.status_code == 201, response.text
    saved = response.json()
    new = orthanc.instances() - before
    assert new == {saved["report"]["orthancId"], saved["keyObjects"]["orthancId"]}
    for name in new:
        assert orthanc.http.get(f"/instances/{name}/study").json()["ID"] == study("P0")
        file = tmp_path / f"{name}.dcm"
        file.write_bytes(orthanc.http.get(f"/instances/{name}/file").content)
        for program in ("dcmdump", "dsrdump"):
            done = subprocess.run([program, file], capture_output=True, text=True, check=True)
            assert not [line for line in done.stderr.splitlines() if line.startswith("E:")]
    similarity = {case["slices"][0]["orthancId"]: case["similarity"] for case in found["cases"]}
    assert [hit["similarity"] for hit in saved["hits"]] == [similarity[hit] for hit in hits[:2]]
    report = ComprehensiveSR.from_dataset(read(orthanc, saved["report"]["orthancId"]))
    selection = KeyObjectSelectionDocument.from_dataset(read(orthanc, saved["keyObjects"]["orthancId"]))
    sop = read(orthanc, query).SOPInstanceUID
    assert selection.resolve_reference(sop)[0] == report.StudyInstanceUID == read(orthanc, query).StudyInstanceUID
    orthanc.wait_until_indexed()
    assert orthanc.status()["slices"] == len(PATIENTS)
    line = audit(orthanc)[-1]
    assert (line["route"], line["action"], line["outcome"]) == ("save", "C", 0)
    assert line["queryStudyInstanceUID"] == report.StudyInstanceUID
    assert len(line["StudyInstanceUIDs"]) == 2


def test_saving_needs_a_click_and_only_names_what_is_there(orthanc: OrthancProcess) -> None:
    fill(orthanc, PATIENTS)
    query, hit, *_ = map(instance, PATIENTS)
    before = orthanc.instances()
    assert orthanc.http.get("/cbmir/save").status_code == 405
    assert orthanc.http.post("/cbmir/save", content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 400
    assert save(orthanc, query).status_code == 400
    assert save(orthanc, query, query.replace(query[:4], "0000")).status_code == 404
    assert save(orthanc, query.replace(query[:4], "0000"), hit).status_code == 404
    assert orthanc.instances() == before


def test_who_may_not_store_may_not_save_and_who_may_not_see_a_hit_cannot_name_it(
    make_orthanc: Callable[..., OrthancProcess], tmp_path: Path
) -> None:
    users = {"alice": "for-all", "bob": "for-some"}
    script = lua_filter(tmp_path / "filter.lua", {"bob": ["/instances", f"/studies/{study('P2')}"]})
    orthanc = make_orthanc(AuthenticationEnabled=True, RegisteredUsers=users, LuaScripts=[str(script)])
    orthanc.http.auth = ("alice", users["alice"])
    orthanc.start()
    fill(orthanc, PATIENTS)
    query, hit, hidden, _ = map(instance, PATIENTS)
    before = orthanc.instances()

    orthanc.http.auth = ("bob", users["bob"])
    assert save(orthanc, query, hit).status_code == 403
    absent = save(orthanc, query, query.replace(query[:4], "0000"))
    refused = save(orthanc, query, hidden)
    assert (refused.status_code, refused.content) == (absent.status_code, absent.content) == (404, absent.content)

    orthanc.http.auth = ("alice", users["alice"])
    assert orthanc.instances() == before
    assert save(orthanc, query, hidden).status_code == 201
    assert [(line["user"], line["outcome"]) for line in audit(orthanc)[-4:]] == [
        ("bob", 8),
        ("bob", 4),
        ("bob", 8),
        ("alice", 0),
    ]


@pytest.mark.parametrize("anonymize", [False, True], ids=["with names", "anonymous"])
def test_no_document_says_whose_the_hits_are(make_orthanc: Callable[..., OrthancProcess], *, anonymize: bool) -> None:
    orthanc = make_orthanc({"Anonymize": anonymize}).start()
    orthanc.upload(mr_file("P0", pixels=picture(1)))
    orthanc.upload(mr_file("P1", pixels=picture(2), PatientID="SECRET1", StudyDate="19991231", AccessionNumber="A77"))
    orthanc.wait_until_indexed()
    query, hit = sorted(orthanc.instances(), key=lambda name: read(orthanc, name).PatientID != "P0")
    saved = save(orthanc, query, hit).json()
    assert CANARY not in json.dumps(saved)
    for kind in ("report", "keyObjects"):
        file = orthanc.http.get(f"/instances/{saved[kind]['orthancId']}/file").content
        for secret in (b"SECRET1", b"19991231", b"A77"):
            assert secret not in file
        # the query's own, as in any document of its study
        assert CANARY.encode() in file


def test_many_save_while_images_arrive_and_nothing_hangs(orthanc: OrthancProcess) -> None:
    """Orthanc hung for ever when a route stored through the SDK while images came (plugin 4.0)."""
    fill(orthanc, PATIENTS)
    query, *hits = map(instance, PATIENTS)
    statuses: list[int] = []
    over = threading.Event()

    def saving(_saver: int) -> None:
        with orthanc._client() as http:
            for _ in range(SAVES):
                body = {"query": {"instance": query}, "hits": [{"instance": hit} for hit in hits]}
                statuses.append(http.post("/cbmir/save", json=body).status_code)

    def sending(sender: int) -> None:
        with orthanc._client() as http:
            for number in range(SENT):
                file = mr_file(f"S{sender}", number=number + 1, pixels=picture(number))
                assert http.post("/instances", content=file).status_code == 200

    def looking() -> None:
        with orthanc._client() as http:
            while not over.wait(0.05):
                assert http.get("/cbmir/status").status_code == 200

    with ThreadPoolExecutor(SAVERS + SENDERS + 1) as pool:
        looker = pool.submit(looking)
        try:
            at_work = [pool.submit(saving, number) for number in range(SAVERS)]
            at_work += [pool.submit(sending, number) for number in range(SENDERS)]
            for one in at_work:
                one.result()
        finally:
            over.set()
        # what hung would have ended by the client's own limit
        looker.result()
    # a save too many is refused, and can be tried again
    assert set(statuses) <= {201, 503}
    assert 201 in statuses
    orthanc.wait_until_indexed()
    expected = len(PATIENTS) + SENDERS * SENT + 2 * statuses.count(201)
    assert expected <= len(orthanc.instances()) <= expected + 2 * statuses.count(503)
