from __future__ import annotations

import contextlib
import shutil
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from dicom_files import CANARY, mr_file, to_bytes
from pydicom.uid import EnhancedSRStorage, XRayRadiationDoseSRStorage
from reports import code, container, encapsulated_pdf, pdf_of, structured_report, text

from cbmir.errors import UnreadableSlice, UnsupportedSlice
from cbmir.reports import report_text
from cbmir.reports.report_text import LINE_LENGTH, LINES, first_lines

if TYPE_CHECKING:
    from pathlib import Path

reads_pdf = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="no pdftotext (package poppler-utils)")


def lines_of(*content: Any, **tags: Any) -> list[str]:
    return first_lines(to_bytes(structured_report(content=list(content), **tags)))


# ---- structured reports ----


def test_a_structured_report_is_read_in_its_order_with_the_names_of_its_parts() -> None:
    assert first_lines(to_bytes(structured_report())) == [
        "Finding: Enhancing mass at the falx.",
        "No midline shift.",
        "Impression: Meningioma",
    ]


def test_letters_beyond_ascii_are_read_in_the_report_s_own_character_set() -> None:
    assert lines_of(text("Befund", "Raumforderung, 3 cm größer")) == ["Befund: Raumforderung, 3 cm größer"]
    assert lines_of(text("所見", "髄膜腫")) == ["所見: 髄膜腫"]


def test_what_is_only_context_is_left_out() -> None:
    assert lines_of(
        text("Person Observer Name", CANARY, "HAS OBS CONTEXT"),
        code("Language", "English", "HAS CONCEPT MOD"),
        container("Measurements", text("Tracking Identifier", "web annotation", "HAS OBS CONTEXT")),
        text("Conclusion", "Stable."),
    ) == ["Conclusion: Stable."]


def test_a_report_without_names_blank_lines_or_text_is_read_for_what_it_has() -> None:
    bare = text("x", "  \n\n Stable.\n")
    del bare.ConceptNameCodeSequence
    assert lines_of(bare, text("Finding", ""), code("Impression", "")) == ["Stable."]
    assert lines_of() == []


def test_a_long_report_is_cut() -> None:
    found = lines_of(text("Finding", "\n".join("word " * 200 for _ in range(50))))
    assert len(found) == LINES
    assert all(0 < len(line) <= LINE_LENGTH for line in found)


def test_control_characters_do_not_pass() -> None:
    assert lines_of(text("Finding", "a\x07b\u202ec\td")) == ["Finding: a b c d"]


def test_markup_stays_text() -> None:
    assert lines_of(text("Finding", "<img src=x onerror=alert(1)>")) == ["Finding: <img src=x onerror=alert(1)>"]


def test_other_kinds_of_structured_reports_for_people_are_read_too() -> None:
    assert lines_of(text("Finding", "x"), SOPClassUID=EnhancedSRStorage) == ["Finding: x"]


def test_a_dose_report_or_a_picture_is_no_report() -> None:
    for file in (to_bytes(structured_report(SOPClassUID=XRayRadiationDoseSRStorage)), mr_file()):
        with pytest.raises(UnsupportedSlice):
            first_lines(file)


def test_a_tree_nested_without_end_is_cut_and_not_followed() -> None:
    item = text("Finding", "deep")
    for _ in range(100):
        item = container("Section", item)
    assert lines_of(text("Finding", "near"), item) == ["Finding: near"]


@pytest.mark.parametrize("length", [0, 10, 200])
def test_a_truncated_report_is_an_error_of_ours(length: int) -> None:
    with pytest.raises((UnreadableSlice, UnsupportedSlice)) as refused:
        first_lines(to_bytes(structured_report())[:length])
    assert CANARY not in str(refused.value)


# ---- PDF ----


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the reader of PDFs end by itself, on a busy machine too."""
    monkeypatch.setattr(report_text, "PDF_SECONDS", 120)


@reads_pdf
@pytest.mark.usefixtures("patience")
def test_the_text_of_a_pdf_is_read() -> None:
    assert first_lines(to_bytes(encapsulated_pdf())) == ["Enhancing mass at the falx.", "No midline shift."]
    umlaut = to_bytes(encapsulated_pdf(pdf=pdf_of("3 cm größer")))
    assert first_lines(umlaut) == ["3 cm größer"]


@reads_pdf
@pytest.mark.usefixtures("patience")
def test_a_scanned_pdf_has_no_lines() -> None:
    assert first_lines(to_bytes(encapsulated_pdf(pdf=pdf_of()))) == []


@reads_pdf
@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("pdf", [b"", b"no PDF", b"%PDF-1.4\n" + b"\0" * 1000, pdf_of("x")[:-150]])
def test_a_damaged_pdf_costs_nothing_but_its_text(pdf: bytes) -> None:
    assert len(first_lines(to_bytes(encapsulated_pdf(pdf=pdf)))) <= 1


@reads_pdf
def test_of_a_pdf_that_is_made_to_keep_its_reader_busy_no_more_than_the_beginning_is_read() -> None:
    with contextlib.suppress(UnreadableSlice):
        assert len(first_lines(to_bytes(encapsulated_pdf(pdf=_busy_pdf())))) <= LINES


def _busy_pdf() -> bytes:
    """Return a small file whose page is unpacked to 200 MB of commands."""
    stream = zlib.compress(b"BT /F1 12 Tf 5 5 Td " + b"(word) Tj 0 1 Td " * 12_000_000 + b"ET", 9)
    plain = pdf_of()
    start, end = plain.index(b"<< /Length"), plain.index(b"\nendobj\n5 0 obj")
    packed = b"<< /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream)
    return plain[:start] + packed + plain[end:]


def test_without_the_program_a_pdf_is_unsupported_and_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UnsupportedSlice, match="poppler-utils"):
        first_lines(to_bytes(encapsulated_pdf()))


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a program that is run in place of pdftotext."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    program = tmp_path / "pdftotext"
    program.touch(0o755)
    return program


def test_a_reader_that_does_not_end_is_ended(reader: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_text, "PDF_SECONDS", 1)
    reader.write_text("#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(UnreadableSlice):
        first_lines(to_bytes(encapsulated_pdf()))


@pytest.mark.usefixtures("patience")
def test_a_reader_that_writes_without_end_is_stopped_and_its_beginning_read(reader: Path) -> None:
    reader.write_text('#!/bin/sh\nfor last; do :; done\nexec yes "a line" > "$last"\n')
    assert first_lines(to_bytes(encapsulated_pdf())) == ["a line"] * LINES
