"""Filters of a query, with the attribute matching of QIDO-RS (DICOM PS3.4 C.2.2.2). Pure: knows no database."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from cbmir.errors import BadRequest

LONGEST_TEXT = 4096
"""Longest value to match by: many UIDs, and less than what SQLite takes as a pattern."""

_DAYS = {"D": 1, "W": 7, "M": 30.4375, "Y": 365.25}
_AGE = re.compile(r"(\d{1,3})([DWMY])", re.ASCII)
_DATE = re.compile(r"\d{8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Condition:
    """What one attribute must fulfil.

    Attributes
    ----------
    keyword
        A key of MATCHED.
    kind
        "among": equal to one of the values, without regard to case. "like": matches the pattern `values[0]` with
        `*` for any text and `?` for one letter. "between": `values[0] <= attribute <= values[1]`, where None is open.
        "other", of labels only: one on one of the grounds `values[1:]` is there, and none says `values[0]`.

    """

    keyword: str
    kind: Literal["among", "like", "between", "other"]
    values: tuple[str | float | None, ...]


def parse(keyword: str, text: str) -> Condition | None:
    """Return the condition that a query parameter stands for; None for universal matching (empty or `*`).

    Raises
    ------
    BadRequest
        The value has not the form that the attribute needs.

    """
    if text in {"", "*"}:
        return None
    if len(text) > LONGEST_TEXT or not text.isprintable():
        raise BadRequest(f"{keyword} must be at most {LONGEST_TEXT} printable characters")
    return MATCHED[keyword](keyword, text)


def age_in_days(text: str) -> float | None:
    """Return an age string (AS, PS3.5 6.2) such as 054Y in days, or None if it is none."""
    match = _AGE.fullmatch(text)
    return int(match[1]) * _DAYS[match[2]] if match else None


def _text(keyword: str, text: str) -> Condition:
    """Single value and wild card matching (C.2.2.2.1, C.2.2.2.4)."""
    return Condition(keyword, "like" if "*" in text or "?" in text else "among", (text,))


def _uids(keyword: str, text: str) -> Condition:
    """List of UID matching (C.2.2.2.2); QIDO-RS separates by comma, C-FIND by backslash."""
    return Condition(keyword, "among", tuple(re.split(r"[\\,]", text)))


def _dates(keyword: str, text: str) -> Condition:
    """Range matching of dates (C.2.2.2.5)."""
    first, last = _ends(text)
    if not all(end == "" or _DATE.fullmatch(end) for end in (first, last)):
        raise BadRequest(f"{keyword} must be a date or a range of dates: 20240131, 20240101-20241231, 20240101-")
    return Condition(keyword, "between", (first or None, last or None))


def _ages(keyword: str, text: str) -> Condition:
    """Range matching, extended to ages; `060Y` as the upper end means until the 61st birthday."""
    first, last = _ends(text)
    low, high = age_in_days(first), age_in_days(last)
    if (first and low is None) or (last and high is None):
        raise BadRequest(f"{keyword} must be an age or a range of ages: 054Y, 040Y-060Y, 018Y-, -006M")
    if high is not None:
        high += _DAYS[last[-1]] - 1e-6
    return Condition(keyword, "between", (low, high))


def _ends(text: str) -> tuple[str, str]:
    """Return the two ends of `first-last`, of which one may be empty; a single value is both."""
    first, dash, last = text.partition("-")
    if dash and not (first or last):
        raise BadRequest("a range needs at least one end: 20240101-")
    return (first, last) if dash else (first, first)


MATCHED = {
    "Modality": _text,
    "BodyPartExamined": _text,
    "StudyDate": _dates,
    "StudyDescription": _text,
    "SeriesDescription": _text,
    "ProtocolName": _text,
    "SequenceName": _text,
    "ContrastBolusAgent": _text,
    "PatientSex": _text,
    "PatientAge": _ages,
    "Manufacturer": _text,
    "ManufacturerModelName": _text,
    "MagneticFieldStrength": _text,
    "StudyInstanceUID": _uids,
    "SeriesInstanceUID": _uids,
    "label": _text,
}
"""Every attribute that can be filtered by, with the matching that fits its value representation."""
