from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from dicom_files import mr_slice
from parts import Workplace
from reports import structured_report, text

from cbmir.errors import Unavailable
from cbmir.reports import studies as reports_module

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = "00000000-00000000-00000000-00000000-00000000"


def saying(words: str, number: int = 900, **tags: Any) -> Any:
    """Return a report in a series of its own."""
    report = structured_report(content=[text("Finding", words)], **tags)
    report.SeriesInstanceUID = f"1.2.{number}"
    report.SOPInstanceUID = report.file_meta.MediaStorageSOPInstanceUID = f"1.2.{number}.1"
    return report


def study_of(workplace: Workplace, name: str) -> str:
    return workplace.orthanc.above(name)[1]


def lines(workplace: Workplace, name: str) -> list[str]:
    study = study_of(workplace, name)
    return workplace.services.reports.first_lines(study, workplace.services.archive.study_instance_uid(study))


def test_the_newest_report_of_a_study_is_the_one_shown(workplace: Workplace) -> None:
    workplace.orthanc.store(saying("preliminary", 1))
    last = workplace.orthanc.store(saying("final", 2))
    assert lines(workplace, last) == ["Finding: final"]


def test_documents_that_are_no_reports_do_not_hide_one(workplace: Workplace) -> None:
    report = workplace.orthanc.store(saying("final"))
    workplace.orthanc.store(mr_slice("P1", series=3, Modality="OT"))
    workplace.orthanc.store(saying("", 4))
    assert lines(workplace, report) == ["Finding: final"]


def test_a_study_of_pictures_has_no_report(workplace: Workplace) -> None:
    assert lines(workplace, workplace.orthanc.store(mr_slice())) == []


def test_a_report_is_read_once_and_again_when_it_was_overwritten(workplace: Workplace) -> None:
    name = workplace.orthanc.store(saying("first"))
    for _ in range(3):
        assert lines(workplace, name) == ["Finding: first"]
    assert workplace.orthanc.calls.count(f"file of {name}") == 1
    workplace.orthanc.delete(name)
    workplace.orthanc.store(mr_slice("P2"))
    assert workplace.orthanc.store(saying("corrected")) == name
    assert lines(workplace, name) == ["Finding: corrected"]


def test_a_report_that_cannot_be_read_is_not_tried_again(workplace: Workplace) -> None:
    name = workplace.orthanc.store(saying("x", SOPClassUID="1.2.3"))
    assert lines(workplace, name) == lines(workplace, name) == []
    assert workplace.orthanc.calls.count(f"file of {name}") == 1


def test_trouble_of_the_archive_is_not_taken_for_an_empty_report(workplace: Workplace) -> None:
    name = workplace.orthanc.store(saying("final"))
    workplace.orthanc.failing = {name: 1}
    with pytest.raises(Unavailable):
        lines(workplace, name)
    assert lines(workplace, name) == ["Finding: final"]


def test_a_file_too_large_for_a_report_is_not_even_fetched(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports_module, "MOST_BYTES", 100)
    name = workplace.orthanc.store(saying("final"))
    assert lines(workplace, name) == []
    assert f"file of {name}" not in workplace.orthanc.calls


def test_reports_that_take_long_leave_every_place_to_queries(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports_module, "PDF_SECONDS", 0.01)
    query = workplace.store(mr_slice("P9", 9))[0]
    workplace.work()
    names = [
        workplace.orthanc.store(saying(str(number), number, StudyInstanceUID=f"1.{number}")) for number in range(3)
    ]
    inside, leave = threading.Semaphore(0), threading.Event()
    fetch = workplace.orthanc.GetDicomForInstance

    def slow(orthanc_id: str) -> bytes:
        inside.release()
        leave.wait(120)
        return fetch(orthanc_id)

    monkeypatch.setattr(workplace.orthanc, "GetDicomForInstance", slow)
    readers = [threading.Thread(target=lines, args=(workplace, name)) for name in names[:2]]
    for reader in readers:
        reader.start()
    for _ in readers:
        assert inside.acquire(timeout=120)
    with pytest.raises(Unavailable, match="try again"):
        lines(workplace, names[2])
    assert workplace.get(f"similar/{query}").status == 200
    leave.set()
    for reader in readers:
        reader.join()
    assert lines(workplace, names[2]) == ["Finding: 2"]


def test_the_route_answers_the_lines_and_refuses_what_is_no_study(workplace: Workplace) -> None:
    study = study_of(workplace, workplace.orthanc.store(saying("final")))
    answer = json.loads(workplace.get(f"report/{study}").body)
    assert (answer["studyOrthancId"], answer["lines"]) == (study, ["Finding: final"])
    assert "Not for diagnosis" in answer["disclaimer"]
    assert workplace.get(f"report/{NOBODY}").status == 404
    for name in ("", "x", "1.2.3", f"{study}/..", f"{study}%2f.."):
        assert workplace.get(f"report/{name}").status == 400


def test_in_anonymous_mode_no_report_is_read(tmp_path: Path) -> None:
    workplace = Workplace(tmp_path, anonymize=True)
    name = workplace.orthanc.store(saying("names somebody"))
    response = workplace.get(f"report/{study_of(workplace, name)}")
    assert response.status == 404
    assert b"somebody" not in response.body
    assert f"file of {name}" not in workplace.orthanc.calls
    workplace.close()
