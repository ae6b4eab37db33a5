"""Which studies have a report, and its first lines.

They are read when somebody sees the case, and kept in memory only: reading them when they are stored would mean to keep
them in the catalogue, which holds nothing that names a patient, and a report often does.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import TYPE_CHECKING

from cbmir.errors import Unavailable, UnreadableSlice, UnsupportedSlice
from cbmir.reports.report_text import PDF_SECONDS, first_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cbmir.archive import Archive, Document

REMEMBERED = 512
"""Reports kept in memory: about 1 MB."""

TRIED = 3
"""Documents of a study that are looked into, the newest first; others than reports have the same modalities."""

MOST_BYTES = 8_000_000
"""Of a document's file. What is larger is scanned, and has no text."""

READ_AT_ONCE = 2


class Reports:
    """Reads reports, a few at a time and apart from the queries: a slow one makes no query wait."""

    def __init__(self, archive: Archive) -> None:
        """Take where reports come from."""
        self._archive = archive
        self._slots = threading.BoundedSemaphore(READ_AT_ONCE)
        self._remembered = lru_cache(REMEMBERED)(self._read)

    def held(self, study_instance_uids: Iterable[str]) -> set[str]:
        """Return the Orthanc ids of those of the studies that may have a report; none where that cannot be known."""
        try:
            return set(self._archive.documents(study_instance_uids))
        except Unavailable:
            return set()

    def first_lines(self, study: str, study_instance_uid: str) -> list[str]:
        """Return the first lines of the newest report of a study, by both its ids; none where it has none with text.

        Raises
        ------
        Unavailable
            Other reports are being read, or the archive does not answer.

        """
        documents = self._archive.documents([study_instance_uid])
        if not self._slots.acquire(timeout=PDF_SECONDS):
            raise Unavailable("other reports are being read; please try again")
        try:
            read = (self._remembered(document) for document in documents.get(study, [])[:TRIED])
            return next(filter(None, read), [])
        finally:
            self._slots.release()

    def _read(self, document: Document) -> list[str]:
        _, size = self._archive.instance(document.orthanc_id)
        if size > MOST_BYTES:
            return []
        try:
            return first_lines(self._archive.dicom(document.orthanc_id))
        except (UnsupportedSlice, UnreadableSlice):
            # remembered like a text: a document that keeps its reader busy does so once
            return []
