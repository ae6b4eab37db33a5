"""Which sequence and plane a series is of, by its header, and how far two series can be compared. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cbmir.records import Series

_WORDS = ("SeriesDescription", "ProtocolName", "SequenceName")

_NAMED = (
    ("localizer", r"locali[sz]er|\bloc\b|scout|survey|3[ -]?(plane|pl\b)"),
    ("ADC", r"\badc\b|apparent"),
    ("DWI", r"dwi|diff|\bdti\b|trace|\bb ?(800|1000)\b"),
    ("perfusion", r"perf|\bdsc\b|\bdce\b|\basl\b|\bpwi\b"),
    ("angiography", r"\btof\b|\bmra\b|angio"),
    ("T2*", r"\bswi\b|swan|venobold|t2 ?\*|t2 ?star|ha?em[eo]"),
    ("T1", r"t1|mp2?rage|spgr|bravo|\bvibe\b"),
    ("FLAIR", r"flair|dark.?fluid|tirm"),
    ("STIR", r"stir"),
    ("PD", r"\bpd\b|proton"),
    ("T2", r"t2"),
)
"""Sequences with what their series are called, the telling ones first: T1 FLAIR is T1, and T2 FLAIR is FLAIR."""

_AFTER = re.compile(r"\bpost|\bgd\b|gado|\bkm\b|\bce\b|\bt1w?_?ce?\b|\bt1c|\+ ?(c|gd|km|k)\b|\bc ?\+|contrast|\bwith\b")
_BEFORE = re.compile(r"\bpre\b|without|\bw/o\b|\bnativ|\bnon\b|\bno\b|[-] ?(c|gd|km)\b|\bunenhanced")
_NO_AGENT = re.compile(r"no(ne)?|n|0|-")

SURE = 0.77
"""Least part of a slice's normal along an axis of the body for the plane to have its name: within 40 degrees."""

OTHER_SEQUENCE = 0.5
OTHER_CONTRAST = 0.8
UNKNOWN_SEQUENCE = 0.9
OTHER_PLANE = 0.8
UNKNOWN_PLANE = 0.95

_PLANES = ("sagittal", "coronal", "axial")
"""Along the axes of the patient: to the left, to the back, to the head (PS3.3 C.7.6.2.1.1)."""


class Kind(NamedTuple):
    """A sequence such as "T1C" (T1 after contrast) and a plane such as "axial"; None where the header does not say."""

    sequence: str | None = None
    plane: str | None = None


def kind_of(series: Series) -> Kind:
    """Return the sequence and plane of a series."""
    return Kind(sequence(series.facts), series.plane)


def sequence(facts: Mapping[str, str]) -> str | None:
    """Return the sequence that header facts speak of: T1, T1C, T2, FLAIR, …; None where they name none."""
    return _sequence(" ".join(facts.get(keyword, "") for keyword in _WORDS), facts.get("ContrastBolusAgent", ""))


@lru_cache(4096)
def _sequence(words: str, agent: str) -> str | None:
    text = words.lower().replace("_", " ")
    found = next((name for name, words in _NAMED if re.search(words, text)), None)
    return "T1C" if found == "T1" and _is_after_contrast(agent, text) else found


def _is_after_contrast(agent: str, text: str) -> bool:
    if _BEFORE.search(text):
        return False
    return bool(_AFTER.search(text)) or bool(agent and not _NO_AGENT.fullmatch(agent.strip().lower()))


def plane(orientation: Sequence[float] | None) -> str | None:
    """Return the plane of six direction cosines (ImageOrientationPatient); None for none and for what is oblique."""
    if orientation is None:
        return None
    rx, ry, rz, cx, cy, cz = orientation
    normal = (abs(ry * cz - rz * cy), abs(rz * cx - rx * cz), abs(rx * cy - ry * cx))
    longest = max(normal)
    return _PLANES[normal.index(longest)] if longest >= SURE else None


def agreement(one: Kind, other: Kind) -> float:
    """Return how far slices of two kinds can be compared, 0..1; 1 for the same sequence and plane."""
    return _of_sequences(one.sequence, other.sequence) * _of_planes(one.plane, other.plane)


def _of_sequences(one: str | None, other: str | None) -> float:
    if one is None or other is None:
        return UNKNOWN_SEQUENCE
    if one == other:
        return 1.0
    return OTHER_CONTRAST if {one, other} == {"T1", "T1C"} else OTHER_SEQUENCE


def _of_planes(one: str | None, other: str | None) -> float:
    if one is None or other is None:
        return UNKNOWN_PLANE
    return 1.0 if one == other else OTHER_PLANE
