"""The parameters of a query, checked: names, ranges, forms. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from cbmir import matching
from cbmir.cases import Group, SamePatient
from cbmir.errors import BadRequest
from cbmir.search import Criteria

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_CASES = 100

_ORTHANC_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}", re.ASCII)
_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)
_PARAMETERS = ("k", "frame", "group", "samePatient", *matching.MATCHED)


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: `identifier` is an Orthanc id or a SOPInstanceUID, `frame` counts from 1."""

    identifier: str
    frame: int
    criteria: Criteria


def parse(identifier: str, parameters: Mapping[str, str], min_similarity: float) -> Query:
    """Return the query.

    Raises
    ------
    BadRequest
        An unknown parameter, or a value out of its range or form; the message says what is allowed.

    """
    if not (_ORTHANC_ID.fullmatch(identifier) or _UID.fullmatch(identifier)):
        raise BadRequest("name an instance by its Orthanc id or its SOPInstanceUID: /cbmir/similar/<instance>")
    unknown = [name for name in parameters if name not in _PARAMETERS]
    if unknown:
        raise BadRequest(f"unknown parameter; known are {', '.join(_PARAMETERS)}")
    conditions = [matching.parse(name, text) for name, text in parameters.items() if name in matching.MATCHED]
    criteria = Criteria(
        k=_whole(parameters, "k", default=10, most=MOST_CASES),
        group=_one_of(parameters, "group", Group),
        same_patient=_one_of(parameters, "samePatient", SamePatient),
        min_similarity=min_similarity,
        conditions=tuple(condition for condition in conditions if condition is not None),
    )
    return Query(identifier, _whole(parameters, "frame", default=1, most=2**31 - 1), criteria)


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
