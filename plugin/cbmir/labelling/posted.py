"""What was posted to /cbmir/labels, checked: a list of labels, or a table as text. Pure."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cbmir.archive import LABEL_LENGTH
from cbmir.errors import BadRequest
from cbmir.records import Label, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MOST_LINES = 2000
"""In one request, which takes some seconds; scripts/labels.py brings in any number."""

LEVELS = {"SOPInstanceUID": "instances", "SeriesInstanceUID": "series", "StudyInstanceUID": "studies"}
"""What names the thing that is labelled, the narrowest first, with Orthanc's word for its level."""

SEPARATORS = ",;\t"
_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)
_KNOWN = ("labels", "csv", "replace", "dryRun")


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that is said: of what, by level and UID, and where that was read, counted from 1."""

    number: int
    level: str
    uid: str
    label: Label


@dataclass(frozen=True, slots=True)
class Posted:
    """What is to be written. With `replace`, what the lines do not name is removed; with `dry`, nothing is written."""

    lines: tuple[Line, ...]
    replace: bool
    dry: bool

    def by_resource(self) -> dict[tuple[str, str], list[Line]]:
        """Return lines by what they speak of: level and UID."""
        found: dict[tuple[str, str], list[Line]] = {}
        for line in self.lines:
            found.setdefault((line.level, line.uid), []).append(line)
        return found


def parse_labels(document: Mapping[str, Any]) -> Posted:
    """Return what a JSON document wants written.

    Raises
    ------
    BadRequest
        It has not the form; the message says what is allowed, and which line is wrong.

    """
    if any(name not in _KNOWN for name in document):
        raise BadRequest(f"unknown key; known are {', '.join(_KNOWN)}")
    if ("labels" in document) == ("csv" in document):
        raise BadRequest("needed is either labels, a list, or csv, a table as text")
    for name in ("replace", "dryRun"):
        if not isinstance(document.get(name, False), bool):
            raise BadRequest(f"{name} must be true or false")
    rows = list(_listed(document["labels"]) if "labels" in document else _tabulated(document["csv"]))
    if not 1 <= len(rows) <= MOST_LINES:
        raise BadRequest(f"needed are 1 to {MOST_LINES} labels; scripts/labels.py brings in more")
    lines = tuple(_line(number, values) for number, values in rows)
    return Posted(lines, document.get("replace", False), document.get("dryRun", False))


def _listed(labels: object) -> Iterable[tuple[int, Mapping[str, Any]]]:
    if not isinstance(labels, list) or not all(isinstance(one, dict) for one in labels):
        raise BadRequest('labels must be a list such as [{"StudyInstanceUID": "1.2.3", "label": "glioma"}]')
    return enumerate(labels, 1)


def _tabulated(text: object) -> Iterable[tuple[int, Mapping[str, Any]]]:
    """Yield the lines of a table with their numbers, separated by whatever its heading is separated by."""
    if not isinstance(text, str):
        raise BadRequest("csv must be a text")
    # Excel begins its tables with a mark
    text = text.removeprefix("\ufeff")
    heading = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(SEPARATORS, key=heading.count))
    try:
        columns = [name.strip() for name in next(reader, [])]
        for values in reader:
            if any(values):
                if len(values) != len(columns):
                    raise BadRequest(f"line {reader.line_num}: not as many values as the heading has columns")
                yield reader.line_num, dict(zip(columns, map(str.strip, values), strict=True))
    except csv.Error:
        raise BadRequest(f"line {reader.line_num} of csv cannot be read") from None


def _line(number: int, values: Mapping[str, Any]) -> Line:
    keyword = next((keyword for keyword in LEVELS if values.get(keyword)), None)
    label, provenance = values.get("label"), values.get("provenance") or ""
    texts = (label, provenance)
    is_whole = bool(label) and all(isinstance(one, str) and one == one_line(one, LABEL_LENGTH) for one in texts)
    uid = values[keyword] if keyword else None
    if keyword is None or not is_whole or not isinstance(uid, str) or not _UID.fullmatch(uid):
        raise BadRequest(
            f"line {number}: needed are one of {', '.join(LEVELS)}, and label and provenance of at most"
            f" {LABEL_LENGTH} printable characters"
        )
    return Line(number, LEVELS[keyword], uid, Label(str(label), str(provenance)))
