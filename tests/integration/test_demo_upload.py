"""scripts/demo.py against a real Orthanc without plugins: what it makes is stored, and diagnoses land at studies."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from orthanc_process import PATIENCE_SECONDS, free_port

import demo
from sources.labelling import entries
from sources.orthanc_client import Orthanc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USER = ("demo", "secret")

pytestmark = pytest.mark.skipif(shutil.which("Orthanc") is None, reason="Orthanc is not installed")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start an Orthanc with a storage of its own, and give its address."""
    folder = tmp_path_factory.mktemp("orthanc")
    port = free_port()
    settings = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": dict([USER]),
        "UserMetadata": {"CbmirLabels": 3872},
        "Plugins": [],
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["Orthanc", str(folder / "orthanc.json")], stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        with Orthanc(address, USER) as orthanc:
            orthanc.wait(PATIENCE_SECONDS)
        yield address
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def cohort(url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one patient and send him."""
    folder = tmp_path_factory.mktemp("cohort")
    arguments = ["--out", str(folder), "--patients", "1", "--send", url, "--user", ":".join(USER)]
    assert demo.main(arguments) == 0
    return folder


def test_all_files_are_stored_as_two_studies_of_one_patient(url: str, cohort: Path) -> None:
    files = len(list(cohort.rglob("*.dcm")))
    with Orthanc(url, USER) as orthanc:
        counts = orthanc.get("/statistics")
    assert [counts[f"Count{level}"] for level in ("Patients", "Studies", "Series", "Instances")] == [1, 2, 3, files]


def test_each_study_carries_its_diagnosis(url: str, cohort: Path) -> None:
    lines = (cohort / "labels.csv").read_text().splitlines()[1:]
    assert len(lines) == 2
    with Orthanc(url, USER) as orthanc:
        for line in lines:
            (study,) = orthanc.find(line.split(",")[0])
            assert entries(orthanc.said(study).text) == [{"label": "meningioma", "provenance": "synthetic"}]
            assert orthanc.get(f"/studies/{study.orthanc_id}/metadata/CbmirLabels")


def test_orthanc_renders_a_preview(url: str, cohort: Path) -> None:
    with Orthanc(url, USER) as orthanc:
        first = orthanc.get("/instances")[0]
        assert orthanc.get(f"/instances/{first}/simplified-tags")["PatientName"].startswith("Demo^")
        assert orthanc._request("GET", f"/instances/{first}/preview").content.startswith(b"\x89PNG")
    assert cohort.is_dir()


def test_sending_again_stores_nothing_twice(url: str, cohort: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = len(list(cohort.rglob("*.dcm")))
    assert demo.main(["--dicom", str(cohort), "--send", url, "--user", ":".join(USER)]) == 0
    told = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert told == [[str(files), "already there"], ["1", "not DICOM"], ["2", "studies labelled"]]


def test_a_damaged_file_is_refused_and_the_others_are_sent(
    url: str, cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = next(cohort.rglob("*.dcm")).read_bytes()
    (tmp_path / "a-damaged.dcm").write_bytes(whole[:140])
    (tmp_path / "b-whole.dcm").write_bytes(whole)
    assert demo.main(["--dicom", str(tmp_path), "--send", url, "--user", ":".join(USER)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].split(maxsplit=1) == ["1", "already there"]
    assert "refused" in told[1]


def test_a_wrong_password_is_said_in_a_sentence(url: str, cohort: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["--dicom", str(cohort), "--send", url, "--user", "demo:wrong"]) == 1
    assert "wants another name and password" in capsys.readouterr().err
