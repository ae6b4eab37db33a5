"""Who asked for which studies: one JSON line a query, with the event types of DICOM's audit messages (PS3.15 A.5).

No line holds the name, id or birth date of a patient, a description, a password or a token.
"""

from __future__ import annotations

import base64
import binascii
import errno
import hashlib
import json
import logging
import os
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler, SysLogHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cbmir.errors import CbmirError, Forbidden, Hidden, SettingsError, Unavailable
from cbmir.records import one_line
from cbmir.web import credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cbmir.settings import Settings
    from cbmir.web import Request

FILE = "audit.jsonl"
MOST_BYTES = 10_000_000
FILES_KEPT = 10
"""A line is about 1 kB: some 100,000 queries are kept."""

SYSLOG = "/dev/log"
LONGEST_NAME = 64

SUCCESS, MINOR_FAILURE, SERIOUS_FAILURE, MAJOR_FAILURE = 0, 4, 8, 12
"""EventOutcomeIndicator: done; asked for wrongly; not done; unable to."""

_IDENTIFIER = re.compile(r"[0-9a-f.-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Event:
    """EventID and EventActionCode: C for create, E for execute, R for read, U for update."""

    code: str
    meaning: str
    action: str


QUERY = Event("110112", "Query", "E")
INSTANCES_ACCESSED = Event("110103", "DICOM Instances Accessed", "R")
INSTANCES_CREATED = Event("110103", "DICOM Instances Accessed", "C")
LABELS_WRITTEN = Event("110103", "DICOM Instances Accessed", "U")


class Audit:
    """Writes the lines. A volume that is full costs lines, which the log says; it never costs an answer."""

    def __init__(self, handler: logging.Handler | None, headers: tuple[str, ...], log: Callable[[str], None]) -> None:
        """Take where lines go (None for nowhere), and the names of the headers that tell who a caller is."""
        self._handler = handler
        self._headers = headers
        self._log = log
        self._is_lossy = False
        if handler is not None:
            handler.handleError = self._lose  # type: ignore[method-assign, assignment]

    def recorded(self, event: Event, request: Request, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what the work returns, or raise what it raises; either way a line says who asked for what."""
        start = time.monotonic()
        found: dict[str, Any] = {}
        outcome = SUCCESS
        try:
            found = work()
        except Exception as error:
            outcome = _outcome(error)
            raise
        finally:
            self._write(
                {
                    "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                    "event": {"code": event.code, "scheme": "DCM", "meaning": event.meaning},
                    "action": event.action,
                    "outcome": outcome,
                    **_who(request, self._headers),
                    **_what(request.path),
                    **_studies(found),
                    "milliseconds": round(1000 * (time.monotonic() - start)),
                }
            )
        return found

    def close(self) -> None:
        """Close what is open."""
        if self._handler is not None:
            self._handler.close()

    def _write(self, line: dict[str, Any]) -> None:
        if self._handler is not None:
            self._handler.handle(logging.LogRecord("cbmir", logging.INFO, "", 0, json.dumps(line), None, None))

    def _lose(self, _record: logging.LogRecord) -> None:
        if not self._is_lossy:
            self._log("the audit cannot be written: lines of it are lost")
        self._is_lossy = True


def open_audit(settings: Settings, directory: Path, log: Callable[[str], None]) -> Audit:
    """Return the audit that the settings ask for.

    Raises
    ------
    SettingsError
        There is no syslog here, or the file cannot be written.

    """
    handler: logging.Handler | None = None
    try:
        if settings.audit == "file":
            handler = _PrivateFile(directory / FILE, maxBytes=MOST_BYTES, backupCount=FILES_KEPT, encoding="utf-8")
        elif settings.audit == "syslog":
            # the handler itself would take a missing one for one that comes later, and say nothing
            Path(SYSLOG).stat()
            handler = SysLogHandler(SYSLOG, SysLogHandler.LOG_AUTHPRIV)
            handler.ident = "orthanc-cbmir: "
    except OSError as error:
        if error.errno == errno.EROFS:
            # as on a disk that is full: whoever looks for a case is not kept from it
            log("the audit cannot be written: the volume of the data directory is read-only")
            return Audit(None, settings.credential_headers, log)
        message = f'the audit cannot be written (setting Audit, "{settings.audit}"): {error.strerror}'
        raise SettingsError(message) from None
    return Audit(handler, settings.credential_headers, log)


class _PrivateFile(RotatingFileHandler):
    def _open(self) -> Any:
        """Return the file, which only its owner may read, also after a rotation."""
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return os.fdopen(descriptor, self.mode, encoding=self.encoding)


def _outcome(error: Exception) -> int:
    if isinstance(error, (Hidden, Forbidden, Unavailable)):
        return SERIOUS_FAILURE
    return MINOR_FAILURE if isinstance(error, CbmirError) else MAJOR_FAILURE


def _who(request: Request, telling: tuple[str, ...]) -> dict[str, str | None]:
    """Return the user's name where a password goes with it, and else a digest of what tells callers apart."""
    shown = credentials(request, telling)
    scheme, _, value = shown.get("authorization", "").partition(" ")
    user = None
    if scheme.lower() == "basic":
        del shown["authorization"]
        try:
            user = base64.b64decode(value).decode("utf-8", "replace").partition(":")[0]
        except binascii.Error:
            user = ""
    token = hashlib.sha256(repr(sorted(shown.items())).encode()).hexdigest()[:16] if shown else None
    via = request.headers.get("x-forwarded-for")
    return {
        "user": None if user is None else one_line(user, LONGEST_NAME),
        "token": token,
        "forwardedFor": None if via is None else one_line(via, LONGEST_NAME),
    }


def _what(path: str) -> dict[str, str | None]:
    route, _, identifier = path.partition("/")
    return {"route": route, "instance": identifier if _IDENTIFIER.fullmatch(identifier) else None}


def _studies(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the StudyInstanceUIDs in an answer: that asked about, and those shown beside it."""
    shown = {one["StudyInstanceUID"] for case in found.get("cases", []) for one in case["slices"]}
    shown |= {hit["StudyInstanceUID"] for hit in found.get("hits", [])}
    shown |= set(found.get("StudyInstanceUIDs", []))
    if "against" in found:
        shown.add(found["against"]["StudyInstanceUID"])
    return {
        "queryStudyInstanceUID": found.get("query", found).get("StudyInstanceUID"),
        "StudyInstanceUIDs": sorted(shown),
    }
