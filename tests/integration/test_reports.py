"""Reports that a real Orthanc holds: found with the cases, and their first lines."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from dicom_files import mr_file, picture, to_bytes, uid
from reports import encapsulated_pdf, structured_report

if TYPE_CHECKING:
    from collections.abc import Callable

    from orthanc_process import OrthancProcess

QUERY = uid("query", 1, 1, 1)
SR_LINES = ["Finding: Enhancing mass at the falx.", "No midline shift.", "Impression: Meningioma"]


def fill(orthanc: OrthancProcess) -> dict[str, str]:
    """Store a query, and patients with a structured report, a PDF and no report; return their studies by patient."""
    studies = {}
    for number, patient in enumerate(("query", "with-sr", "with-pdf", "without")):
        instance = orthanc.upload(mr_file(patient, pixels=picture(number, kind=0)))
        studies[patient] = orthanc.http.get(f"/instances/{instance}/study").json()["ID"]
    orthanc.upload(to_bytes(structured_report("with-sr")))
    orthanc.upload(to_bytes(encapsulated_pdf("with-pdf")))
    orthanc.upload(to_bytes(structured_report("without", study=2)))
    orthanc.wait_until_indexed()
    return studies


@pytest.fixture(scope="module")
def orthanc(make_shared_orthanc: Callable[..., OrthancProcess]) -> OrthancProcess:
    return make_shared_orthanc().start()


@pytest.fixture(scope="module")
def studies(orthanc: OrthancProcess) -> dict[str, str]:
    return fill(orthanc)


def urls(orthanc: OrthancProcess) -> dict[str, str | None]:
    cases: list[Any] = orthanc.similar(QUERY)["cases"]
    return {case["studyOrthancId"]: case["reportUrl"] for case in cases}


def test_cases_tell_where_the_reports_of_their_own_studies_are(
    orthanc: OrthancProcess, studies: dict[str, str]
) -> None:
    found = urls(orthanc)
    for patient in ("with-sr", "with-pdf"):
        assert found[studies[patient]] == f"/cbmir/report/{studies[patient]}"
    assert found[studies["without"]] is None


def test_a_structured_report_is_read_out_of_the_archive(orthanc: OrthancProcess, studies: dict[str, str]) -> None:
    url = urls(orthanc)[studies["with-sr"]]
    assert url is not None
    response = orthanc.http.get(url)
    assert response.json()["lines"] == SR_LINES
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="no pdftotext (package poppler-utils)")
def test_the_text_layer_of_a_pdf_is_read_out_of_the_archive(orthanc: OrthancProcess, studies: dict[str, str]) -> None:
    response = orthanc.http.get(f"/cbmir/report/{studies['with-pdf']}")
    assert response.json()["lines"] == ["Enhancing mass at the falx.", "No midline shift."]


def test_a_report_that_is_deleted_or_stored_later_is_not_missed(
    orthanc: OrthancProcess, studies: dict[str, str]
) -> None:
    report = orthanc.upload(to_bytes(structured_report("without")))
    assert orthanc.http.get(f"/cbmir/report/{studies['without']}").json()["lines"] == SR_LINES
    orthanc.delete(f"/instances/{report}")
    assert orthanc.http.get(f"/cbmir/report/{studies['without']}").json()["lines"] == []
    assert urls(orthanc)[studies["without"]] is None


def test_in_anonymous_mode_there_are_no_reports(make_orthanc: Callable[..., OrthancProcess]) -> None:
    orthanc = make_orthanc({"Anonymize": True}).start()
    studies = fill(orthanc)
    assert set(urls(orthanc).values()) == {None}
    assert orthanc.http.get(f"/cbmir/report/{studies['with-sr']}").status_code == 404
