"""POST /cbmir/labels on a real Orthanc: written as the caller, by its own rules, and in the answers a moment later."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from dicom_files import mr_file, uid
from orthanc_process import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx
    from orthanc_process import OrthancProcess

GLIOMA = {"label": "glioma", "provenance": "histology"}
CYST = {"label": "cyst", "provenance": "follow-up"}


@pytest.fixture
def orthanc(make_orthanc: Callable[..., OrthancProcess]) -> OrthancProcess:
    """Return a running Orthanc with two patients, the second of whom has two slices."""
    orthanc = make_orthanc({"MinSimilarity": -1}).start()
    for patient, number in (("P1", 1), ("P2", 1), ("P2", 2)):
        orthanc.upload(mr_file(patient, number=number))
    orthanc.wait_until_indexed(3)
    return orthanc


def post(orthanc: OrthancProcess, document: dict[str, Any], **more: Any) -> httpx.Response:
    return orthanc.http.post("/cbmir/labels", json=document, **more)


def found(orthanc: OrthancProcess, name: str) -> dict[str, Any]:
    (one,) = orthanc.http.post("/tools/lookup", content=name).json()
    result: dict[str, Any] = one
    return result


def test_labels_travel_with_the_study_and_reach_the_answers(orthanc: OrthancProcess) -> None:
    slice_uid = uid("P2", 1, 1, 2)
    table = ["StudyInstanceUID;SOPInstanceUID;label;provenance", f"{uid('P1', 1)};;glioma;histology"]
    told = post(orthanc, {"csv": "\n".join([*table, f";{slice_uid};cyst;follow-up"])})
    assert told.status_code == 200, told.text
    assert (told.json()["added"], told.json()["failed"]) == (2, 0)
    study = found(orthanc, uid("P1", 1))
    assert json.loads(orthanc.http.get(f"{study['Path']}/metadata/3872").text) == [GLIOMA]
    labelled, other = (found(orthanc, uid("P2", 1, 1, number))["ID"] for number in (2, 1))

    def answered() -> bool:
        answer = orthanc.similar(labelled)
        return answer["query"]["labels"] == [CYST] and answer["cases"][0]["labels"] == [GLIOMA]

    wait_for(answered, "the plugin shows the labels")
    assert orthanc.similar(other)["query"]["labels"] == []
    assert orthanc.similar(other)["statistics"]["labels"][0]["label"] == "glioma"
    # an image without a label costs the log no line
    assert not [line for line in orthanc.log_text().splitlines() if line.startswith("E")]


def test_labels_of_instances_are_there_again_after_a_new_index(orthanc: OrthancProcess) -> None:
    slice_uid = uid("P2", 1, 1, 2)
    assert post(orthanc, {"labels": [{"SOPInstanceUID": slice_uid, **CYST}]}).status_code == 200
    labelled = found(orthanc, slice_uid)["ID"]
    wait_for(lambda: orthanc.similar(labelled)["query"]["labels"] == [CYST], "the plugin shows the label")
    orthanc.http.delete(f"/instances/{labelled}/metadata/3872")
    wait_for(lambda: orthanc.similar(labelled)["query"]["labels"] == [], "the plugin hides the label")


def test_orthanc_s_own_rules_decide_who_may(make_orthanc: Callable[..., OrthancProcess], tmp_path: Path) -> None:
    script = tmp_path / "readers.lua"
    script.write_text(
        "function IncomingHttpRequestFilter(method, uri, ip, username, httpHeaders)\n"
        "  return username == 'writer' or method == 'GET' or string.find(uri, '^/cbmir/') ~= nil\n"
        "end\n"
    )
    orthanc = make_orthanc(
        {"AccessControl": "on"},
        AuthenticationEnabled=True,
        RegisteredUsers={"writer": "w", "reader": "r"},
        LuaScripts=[str(script)],
    )
    orthanc.http.auth = ("writer", "w")
    orthanc.start()
    orthanc.upload(mr_file("P1"))
    orthanc.wait_until_indexed(1)
    document = {"labels": [{"StudyInstanceUID": uid("P1", 1), **GLIOMA}]}
    assert post(orthanc, document, auth=("reader", "r")).status_code == 403
    assert post(orthanc, document, auth=("reader", "wrong")).status_code == 401
    assert post(orthanc, document, auth=("writer", "w")).json()["added"] == 1
