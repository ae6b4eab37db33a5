"""The parameters of a query, checked: names, ranges, forms. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from cbmir.answering import matching
from cbmir.cases import Group, SamePatient
from cbmir.errors import BadRequest
from cbmir.records import Feedback
from cbmir.regions import Region
from cbmir.search import Criteria

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

MOST_CASES = 100
Classes = Literal["any", "predicted"]
Switch = Literal["false", "true"]
VERDICTS = ("similar", "different")
MOST_MARKED = 100
MOST_FRAMES = 2**31 - 1
"""NumberOfFrames is an integer string (IS, PS3.5 6.2)."""

_ORTHANC_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}", re.ASCII)
_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)
_ASKED = ("k", "frame", "group", "samePatient", "roi", "more", "less", "class", "patients", "verified")
_SEARCHED = (*_ASKED, *matching.MATCHED)
_COMPARED = ("frame", "against", "againstFrame", "roi")


@dataclass(frozen=True, slots=True)
class Target:
    """A slice, or a part of it: `identifier` is an Orthanc id or a SOPInstanceUID, `frame` counts from 1."""

    identifier: str
    frame: int
    region: Region | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """What similar cases are looked for: like the target, and like `more`, and not like `less`.

    `classes` is "predicted" where only slices of the class that the target looks most like are wanted. `patients` is
    the number of nearest patients whose labels are told; with `verified`, only labels on verified ground count.
    """

    target: Target
    criteria: Criteria
    more: tuple[Target, ...] = ()
    less: tuple[Target, ...] = ()
    classes: Classes = "any"
    patients: int = 10
    verified: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two slices whose similarity is to be shown place by place."""

    target: Target
    against: Target


@dataclass(frozen=True, slots=True)
class Selection:
    """A search to be saved: what was asked about, and the hits that a reader chose, all by their Orthanc ids."""

    query: Target
    hits: tuple[Target, ...]


def parse_query(identifier: str, parameters: Mapping[str, str], min_similarity: float) -> Query:
    """Return what /cbmir/similar/<identifier>?<parameters> asks.

    Raises
    ------
    BadRequest
        An unknown parameter, or a value out of its range or form; the message says what is allowed.

    """
    _require_known(parameters, _SEARCHED)
    conditions = [matching.parse(name, text) for name, text in parameters.items() if name in matching.MATCHED]
    criteria = Criteria(
        k=_whole(parameters, "k", default=10, most=MOST_CASES),
        group=_one_of(parameters, "group", Group),
        same_patient=_one_of(parameters, "samePatient", SamePatient),
        min_similarity=min_similarity,
        conditions=tuple(condition for condition in conditions if condition is not None),
    )
    more, less = (_targets(parameters.get(name, ""), name) for name in ("more", "less"))
    return Query(
        _target(identifier, parameters),
        criteria,
        more,
        less,
        _one_of(parameters, "class", Classes),
        _whole(parameters, "patients", default=criteria.k, most=MOST_CASES),
        _one_of(parameters, "verified", Switch) == "true",
    )


def parse_comparison(identifier: str, parameters: Mapping[str, str]) -> Comparison:
    """Return what /cbmir/heatmap/<identifier>?<parameters> asks. Raises BadRequest as parse_query."""
    _require_known(parameters, _COMPARED)
    against = Target(
        _identifier(parameters.get("against", ""), "against"),
        _whole(parameters, "againstFrame", default=1, most=MOST_FRAMES),
    )
    return Comparison(_target(identifier, parameters), against)


def parse_feedback(posted: Mapping[str, Any], model: str, now: datetime) -> Feedback:
    """Return what a reader said of a hit of this model; null takes it back. Raises BadRequest as parse_query."""
    for name in ("query", "hit"):
        if not isinstance(posted.get(name), str) or not is_orthanc_id(posted[name]):
            raise BadRequest(f"{name} must be the Orthanc id of an instance")
    if "verdict" not in posted or posted["verdict"] not in (*VERDICTS, None):
        raise BadRequest(f"verdict must be one of {', '.join(VERDICTS)}, or null to take it back")
    query_frame, hit_frame = (_posted_frame(posted, name) for name in ("queryFrame", "hitFrame"))
    time = now.isoformat(timespec="seconds")
    return Feedback(posted["query"], query_frame, posted["hit"], hit_frame, posted["verdict"], model, time)


def parse_selection(posted: Mapping[str, Any]) -> Selection:
    """Return what POST /cbmir/save is to keep. Raises BadRequest as parse_query."""
    hits = posted.get("hits")
    if not isinstance(hits, list) or not 1 <= len(hits) <= MOST_CASES:
        raise BadRequest(f"hits must be a list of 1 to {MOST_CASES} slices")
    query = posted.get("query")
    target = _posted_slice(query, "query")
    region = query.get("roi") if isinstance(query, dict) else None
    if region is not None:
        target = replace(target, region=_region(region if isinstance(region, str) else ""))
    return Selection(target, tuple(_posted_slice(hit, "hits") for hit in hits))


def _posted_slice(posted: Any, name: str) -> Target:
    if (
        not isinstance(posted, dict)
        or not isinstance(posted.get("instance"), str)
        or not is_orthanc_id(posted["instance"])
    ):
        raise BadRequest(f'{name} must name slices such as {{"instance": "<Orthanc id>", "frame": 1}}')
    return Target(posted["instance"], _posted_frame(posted, "frame"))


def _posted_frame(posted: Mapping[str, Any], name: str) -> int:
    """Return the number of a frame in a JSON document, where 1.0 is the same number as 1."""
    number = posted.get(name, 1)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if not isinstance(number, int) or isinstance(number, bool):
        number = 0
    return _whole({name: str(number)}, name, default=1, most=MOST_FRAMES)


def _target(identifier: str, parameters: Mapping[str, str]) -> Target:
    frame = _whole(parameters, "frame", default=1, most=MOST_FRAMES)
    region = _region(parameters["roi"]) if "roi" in parameters else None
    return Target(_identifier(identifier, "<instance>"), frame, region)


def _targets(text: str, name: str) -> tuple[Target, ...]:
    """Return the slices in a list such as <instance>,<instance>:<frame>."""
    parts = [part.partition(":") for part in text.split(",") if part]
    if len(parts) > MOST_MARKED:
        raise BadRequest(f"{name} must name at most {MOST_MARKED} slices")
    return tuple(
        Target(_identifier(one, name), _whole({name: frame or "1"}, name, default=1, most=MOST_FRAMES))
        for one, _, frame in parts
    )


def _identifier(text: str, name: str) -> str:
    if not (_ORTHANC_ID.fullmatch(text) or _UID.fullmatch(text)):
        raise BadRequest(f"name an instance by its Orthanc id or its SOPInstanceUID ({name})")
    return text


def _require_known(parameters: Mapping[str, str], known: tuple[str, ...]) -> None:
    if any(name not in known for name in parameters):
        raise BadRequest(f"unknown parameter; known are {', '.join(known)}")


def _region(text: str) -> Region:
    try:
        x, y, width, height = map(float, text.split(","))
    except ValueError:
        x, y, width, height = 0.0, 0.0, 0.0, 0.0
    if not all(map(math.isfinite, (x, y, width, height))) or width <= 0 or height <= 0:
        raise BadRequest("roi must be x,y,width,height in pixels of the stored picture, such as 120,88.5,40,32")
    return Region(x, y, width, height)


def is_orthanc_id(identifier: str) -> bool:
    """Return whether this is an Orthanc id rather than a UID."""
    return _ORTHANC_ID.fullmatch(identifier) is not None


def _whole(parameters: Mapping[str, str], name: str, *, default: int, most: int) -> int:
    text = parameters.get(name, str(default))
    if not re.fullmatch(r"\d{1,10}", text, re.ASCII) or not 1 <= int(text) <= most:
        raise BadRequest(f"{name} must be a whole number from 1 to {most}")
    return int(text)


def _one_of(parameters: Mapping[str, str], name: str, choices: Any) -> Any:
    """Return the parameter, one of the Literal's values; the first is the default."""
    allowed = get_args(choices)
    text = parameters.get(name, allowed[0])
    if text not in allowed:
        raise BadRequest(f"{name} must be one of {', '.join(allowed)}")
    return text
