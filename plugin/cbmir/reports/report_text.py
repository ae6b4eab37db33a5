"""The first lines of a report, from the DICOM file that holds it. Knows no archive, and trusts no byte."""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import TYPE_CHECKING, Any

from cbmir.errors import UnsupportedSlice
from cbmir.instance import parsed, unreadable
from cbmir.records import SYSTEM, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LINES = 8
LINE_LENGTH = 240

ITEMS = 2000
DEPTH = 16
"""Content items looked at, and how deep they may be nested; a report for people needs a fraction of either."""

TEXT_REPORTS = frozenset(f"1.2.840.10008.5.1.4.1.1.88.{number}" for number in ("11", "22", "33", "34", "35"))
"""Basic, Enhanced and Comprehensive SR. Dose reports, key object notes and CAD findings are no prose."""

ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"

PDF_SECONDS = 4
PDF_MEMORY = 512 * 2**20
PDF_TEXT = 64 * 2**10
"""Limits of the program that reads a PDF: seconds (of processor and in all), bytes of memory, bytes that it writes."""


def first_lines(dicom: bytes) -> list[str]:
    """Return at most LINES lines of clean text, each of at most LINE_LENGTH characters; none where it has no text.

    Raises
    ------
    UnsupportedSlice
        The object is neither a structured report for people nor a PDF, or no program is there to read a PDF.
    UnreadableSlice
        It is damaged, or the PDF keeps its reader busy for too long.

    """
    with unreadable("report"):
        held = parsed(dicom)
        if str(held.get("Manufacturer", "")) == SYSTEM:
            raise UnsupportedSlice("the object is a search that was saved, which tells nothing of the patient")
        kind = str(held.get("SOPClassUID", ""))
        if kind in TEXT_REPORTS:
            return _first(_content(held, DEPTH))
        if kind == ENCAPSULATED_PDF:
            return _first(_pdf_text(held.get("EncapsulatedDocument") or b"").splitlines())
    raise UnsupportedSlice("the object is no report that can be shown as text")


def _first(lines: Iterable[str]) -> list[str]:
    found: list[str] = []
    for line in lines:
        if clean := one_line(line, LINE_LENGTH):
            found.append(clean)
        if len(found) == LINES:
            break
    return found


def _content(item: Any, depth: int) -> Iterator[str]:
    """Yield texts and codes of a content tree (PS3.3 C.17.3) in reading order, each after the name of its concept.

    What is only context of an observation - who observed, in which language, under which tracking number - is left out.
    """
    for child in (item.get("ContentSequence") or [])[:ITEMS]:
        if child.get("RelationshipType") != "CONTAINS":
            continue
        kind = child.get("ValueType")
        if kind == "TEXT":
            yield from _named(child, str(child.get("TextValue", "")))
        elif kind == "CODE":
            yield from _named(child, _meaning(child, "ConceptCodeSequence"))
        if depth > 1:
            yield from _content(child, depth - 1)


def _named(item: Any, text: str) -> Iterator[str]:
    """Yield the lines of a text, the first one after the name of what it is about."""
    name = _meaning(item, "ConceptNameCodeSequence")
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and name:
        lines[0] = f"{name}: {lines[0]}"
    yield from lines


def _meaning(item: Any, keyword: str) -> str:
    codes = item.get(keyword) or []
    return str(codes[0].get("CodeMeaning", "")) if codes else ""


def _pdf_text(pdf: bytes) -> str:
    """Return the text layer of a PDF's first page.

    By a process of its own with limits: a PDF can be made to keep any reader busy for hours, and inside Orthanc that
    would be the PACS. Both files are in memory only.
    """
    limits = [f"--cpu={PDF_SECONDS}", f"--as={PDF_MEMORY}", f"--fsize={PDF_TEXT}", "--core=0"]
    with _memory_file(pdf) as source, _memory_file(b"") as text:
        files = [f"/proc/self/fd/{source}", f"/proc/self/fd/{text}"]
        command = ["nice", "prlimit", *limits, "pdftotext", "-q", "-l", "1", "-enc", "UTF-8", *files]
        try:
            # what was written before a limit was reached is the beginning, and that is all that is wanted
            subprocess.run(  # noqa: S603 - nothing of the command comes from outside
                command, pass_fds=(source, text), timeout=PDF_SECONDS, capture_output=True, check=False
            )
        except FileNotFoundError:
            raise UnsupportedSlice("no pdftotext is installed to read a PDF (package poppler-utils)") from None
        return os.pread(text, PDF_TEXT, 0).decode("utf-8", "replace")


@contextlib.contextmanager
def _memory_file(content: bytes) -> Iterator[int]:
    """Give a file descriptor of a file without a name, which holds the content."""
    descriptor = os.memfd_create("cbmir")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield descriptor
    finally:
        os.close(descriptor)
