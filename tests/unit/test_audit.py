from __future__ import annotations

import base64
import json
import logging
import socket
from typing import TYPE_CHECKING, Any

import pytest
from dicom_files import CANARY

from cbmir import audit
from cbmir.audit import FILE, INSTANCES_ACCESSED, QUERY, Audit, open_audit
from cbmir.errors import BadRequest, Forbidden, Hidden, NotFound, SettingsError, Unavailable
from cbmir.settings import Settings
from cbmir.web import Request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

INSTANCE = "0123abcd-0123abcd-0123abcd-0123abcd-0123abcd"
ANSWER = {
    "query": {"StudyInstanceUID": "1.1", "patient": {"PatientName": CANARY}},
    "cases": [
        {"patient": {"PatientName": CANARY}, "slices": [{"StudyInstanceUID": "1.3"}, {"StudyInstanceUID": "1.2"}]},
        {"patient": {"PatientID": CANARY}, "slices": [{"StudyInstanceUID": "1.3"}]},
    ],
}


def settings(**chosen: Any) -> Settings:
    return Settings(**{"credential_headers": ("Authorization", "auth-token"), **chosen})


def line_of(directory: Path, work: Callable[[], dict[str, Any]], **request: Any) -> dict[str, Any]:
    """Return the line that a piece of work leaves."""
    kept = open_audit(settings(), directory, pytest.fail)
    asked = Request(**{"method": "GET", "path": f"similar/{INSTANCE}", **request})
    try:
        kept.recorded(QUERY, asked, work)
    except Exception:  # noqa: BLE001, S110 - the line is what is looked at
        pass
    finally:
        kept.close()
    found: dict[str, Any] = json.loads((directory / FILE).read_text().splitlines()[-1])
    return found


def fail(error: Exception) -> Callable[[], dict[str, Any]]:
    def work() -> dict[str, Any]:
        raise error

    return work


def basic(user: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:secret".encode()).decode()}


def test_a_line_says_who_asked_about_which_study_and_was_shown_which(tmp_path: Path) -> None:
    line = line_of(tmp_path, lambda: ANSWER, headers={**basic("alice"), "x-forwarded-for": "10.0.0.7"})
    assert line["event"] == {"code": "110112", "scheme": "DCM", "meaning": "Query"}
    assert (line["action"], line["outcome"]) == ("E", 0)
    assert (line["user"], line["token"], line["forwardedFor"]) == ("alice", None, "10.0.0.7")
    assert (line["route"], line["instance"]) == ("similar", INSTANCE)
    assert (line["queryStudyInstanceUID"], line["StudyInstanceUIDs"]) == ("1.1", ["1.2", "1.3"])
    assert line["milliseconds"] >= 0
    assert line["time"].endswith("+00:00")
    assert CANARY not in (tmp_path / FILE).read_text()
    assert "secret" not in (tmp_path / FILE).read_text()


def test_a_line_says_whose_report_was_read_and_nothing_of_what_it_says(tmp_path: Path) -> None:
    line = line_of(tmp_path, lambda: {"StudyInstanceUID": "1.1", "lines": [CANARY]})
    assert (line["queryStudyInstanceUID"], line["StudyInstanceUIDs"]) == ("1.1", [])
    assert CANARY not in (tmp_path / FILE).read_text()


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (BadRequest("k"), 4),
        (NotFound("absent"), 4),
        (Hidden("absent"), 8),
        (Forbidden("no"), 8),
        (Unavailable("busy"), 8),
        (ValueError(CANARY), 12),
    ],
)
def test_a_query_that_fails_leaves_a_line_too(tmp_path: Path, error: Exception, outcome: int) -> None:
    line = line_of(tmp_path, fail(error))
    assert (line["outcome"], line["queryStudyInstanceUID"], line["StudyInstanceUIDs"]) == (outcome, None, [])
    assert CANARY not in (tmp_path / FILE).read_text()


def test_the_work_s_answer_and_its_error_come_through(tmp_path: Path) -> None:
    kept = open_audit(settings(), tmp_path, pytest.fail)
    assert kept.recorded(INSTANCES_ACCESSED, Request("GET", "heatmap/x"), lambda: ANSWER) == ANSWER
    with pytest.raises(NotFound):
        kept.recorded(QUERY, Request("GET", "similar/x"), fail(NotFound("absent")))
    kept.close()


def test_callers_with_a_token_are_told_apart_without_telling_the_token(tmp_path: Path) -> None:
    lines = [
        line_of(tmp_path, lambda: ANSWER, headers={"auth-token": token, "cookie": "c"}) for token in ("t1", "t2", "t1")
    ]
    assert lines[0]["token"] == lines[2]["token"] != lines[1]["token"]
    assert "t1" not in (tmp_path / FILE).read_text()
    assert line_of(tmp_path, lambda: ANSWER, headers={"cookie": "c"})["token"] is None


@pytest.mark.parametrize("value", ["Basic !", "Basic", "basic  Og==", "Basic /w==", "Basic " + "QUFB" * 1000])
def test_credentials_of_no_form_leave_a_line(tmp_path: Path, value: str) -> None:
    line = line_of(tmp_path, lambda: ANSWER, headers={"authorization": value, "x-forwarded-for": "\n" * 999})
    assert len(line["user"]) <= 64
    assert line["token"] is None


@pytest.mark.parametrize("path", ["similar/../../etc/passwd", "similar/x\ny", "similar/" + "1" * 99, "similar", ""])
def test_what_is_no_identifier_is_not_written_down(tmp_path: Path, path: str) -> None:
    assert line_of(tmp_path, fail(BadRequest("no")), path=path)["instance"] is None


def test_the_file_is_private_and_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MOST_BYTES", 2000)
    monkeypatch.setattr(audit, "FILES_KEPT", 2)
    kept = open_audit(settings(), tmp_path, pytest.fail)
    for _ in range(100):
        kept.recorded(QUERY, Request("GET", f"similar/{INSTANCE}"), lambda: ANSWER)
    kept.close()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == [FILE, f"{FILE}.1", f"{FILE}.2"]
    for file in files:
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.stat().st_size <= 2000
        assert all(json.loads(line) for line in file.read_text().splitlines())


def test_a_full_disk_costs_lines_but_no_answer_and_is_told_once() -> None:
    class Full(logging.StreamHandler[Any]):
        def emit(self, record: logging.LogRecord) -> None:
            self.handleError(record)

    told: list[str] = []
    kept = Audit(Full(), (), told.append)
    for _ in range(3):
        assert kept.recorded(QUERY, Request("GET", "similar/x"), lambda: ANSWER) == ANSWER
    assert told == ["the audit cannot be written: lines of it are lost"]


def test_lines_go_to_the_syslog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "SYSLOG", str(tmp_path / "log"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind(str(tmp_path / "log"))
        syslog.settimeout(60)
        kept = open_audit(settings(audit="syslog"), tmp_path, pytest.fail)
        kept.recorded(QUERY, Request("GET", f"similar/{INSTANCE}"), lambda: ANSWER)
        kept.close()
        priority, _, text = syslog.recv(65536).decode().strip("\0").partition("orthanc-cbmir: ")
    assert priority == "<86>", "authpriv, info"
    assert json.loads(text)["queryStudyInstanceUID"] == "1.1"
    assert not (tmp_path / FILE).exists()


def test_a_syslog_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "SYSLOG", str(tmp_path / "nothing"))
    with pytest.raises(SettingsError, match="syslog"):
        open_audit(settings(audit="syslog"), tmp_path, pytest.fail)
    with pytest.raises(SettingsError, match="cannot be written"):
        open_audit(settings(), tmp_path / "nowhere", pytest.fail)


def test_without_an_audit_nothing_is_written(tmp_path: Path) -> None:
    kept = open_audit(settings(audit="off"), tmp_path, pytest.fail)
    assert kept.recorded(QUERY, Request("GET", "similar/x"), lambda: ANSWER) == ANSWER
    kept.close()
    assert list(tmp_path.iterdir()) == []
