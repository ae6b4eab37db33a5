"""Labels as Orthanc keeps them: JSON under a metadata of a study or series, merged into what is there."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sources.label_table import UIDS, Labelled
from sources.orthanc_client import OrthancError, RefusedError, Resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sources.orthanc_client import Orthanc

PAGE = 200
"""Studies or series listed in one request."""

TRIES = 3
"""A merge begins anew so often when somebody else was faster."""


class ForeignError(OrthancError):
    """The metadata holds something else than labels."""


@dataclass(slots=True)
class Import:
    """What became of the lines of a table.

    Attributes
    ----------
    counts
        Labels by fate: "added", "there" (before), "removed", "not in this Orthanc", "not done".
    several
        UIDs that now bear more than one label.
    problems
        Sentences about lines that could not be carried out.

    """

    counts: Counter[str] = field(default_factory=Counter)
    several: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def entries(text: str | None) -> list[dict[str, Any]]:
    """Return what a metadata says, each entry with all its keys. Raises ForeignError."""
    if text is None:
        return []
    try:
        found = json.loads(text)
        if all(isinstance(one["label"], str) for one in found):
            return list(found)
    except (ValueError, TypeError, LookupError):
        pass
    raise ForeignError("its metadata holds something else than labels")


def by_resource(lines: Iterable[Labelled]) -> dict[tuple[str, str], list[Labelled]]:
    """Return lines by what they speak of: level and UID."""
    result = defaultdict(list)
    for line in lines:
        result[line.level, line.uid].append(line)
    return dict(result)


def put(orthanc: Orthanc, lines: Sequence[Labelled], outcome: Import, *, replace: bool, dry: bool) -> None:
    """Carry out the lines that speak of one study or series.

    A label is there if one of the same text and provenance is. What is missing is added, what is there stays as it is,
    with all that others wrote beside it; `replace` removes what the lines do not name, also what is not in our form.
    """
    level, uid = lines[0].level, lines[0].uid
    where = f"{', '.join(line.where for line in lines)} ({UIDS[level]} {uid})"
    resources = [found for found in orthanc.find(uid) if found.level == level]
    if not resources:
        outcome.counts["not in this Orthanc"] += len(lines)
        outcome.problems.append(f"{where}: not in this Orthanc")
    for resource in resources:
        try:
            changes = _merge(orthanc, resource, lines, replace=replace, dry=dry)
        except (ForeignError, RefusedError) as error:
            outcome.counts["not done"] += len(lines)
            outcome.problems.append(f"{where}: {error}")
            continue
        outcome.counts.update({fate: len(said) for fate, said in changes.items()})
        if len({_key(one)[0] for one in changes["added"] + changes["there"]}) > 1:
            outcome.several.append(uid)


Changes = dict[str, list[dict[str, Any]]]
"""Entries by fate: "there", "added", "removed"."""


def _merge(orthanc: Orthanc, resource: Resource, lines: Sequence[Labelled], *, replace: bool, dry: bool) -> Changes:
    """Bring one metadata up to date."""
    refused = None
    for _ in range(TRIES):
        said = orthanc.said(resource)
        try:
            before = entries(said.text)
        except ForeignError:
            if not replace:
                raise
            before = [{}]
        changes = merged(before, lines, replace=replace)
        if dry or not (changes["added"] or changes["removed"]):
            return changes
        text = json.dumps(changes["there"] + changes["added"], ensure_ascii=False)
        try:
            orthanc.say(resource, text, said.revision)
        except RefusedError as error:
            refused = error
        else:
            return changes
    raise refused or AssertionError


def merged(before: Sequence[dict[str, Any]], lines: Iterable[Labelled], *, replace: bool) -> Changes:
    """Return what becomes of entries when lines come in."""
    wanted = {(line.label, line.provenance): line for line in lines}
    known = {_key(one) for one in before}
    return {
        "there": [one for one in before if not replace or _key(one) in wanted],
        "removed": [one for one in before if replace and _key(one) not in wanted],
        "added": [{"label": label, "provenance": ground} for label, ground in wanted if (label, ground) not in known],
    }


def _key(entry: dict[str, Any]) -> tuple[str, str]:
    return entry.get("label", ""), str(entry.get("provenance") or "")


def gather(orthanc: Orthanc, uids: Sequence[str] = ()) -> Iterator[Labelled]:
    """Yield the labels of all studies and series, or of those with these UIDs; what is no label is passed over."""
    for resource, uid in _named(orthanc, uids) if uids else _all(orthanc):
        try:
            said = entries(orthanc.said(resource).text)
        except ForeignError:
            continue
        for one in said:
            yield Labelled(resource.level, uid, *_key(one), f"{UIDS[resource.level]} {uid}")


def _named(orthanc: Orthanc, uids: Sequence[str]) -> Iterator[tuple[Resource, str]]:
    for uid in uids:
        found = orthanc.find(uid)
        if not found:
            raise OrthancError(f"{orthanc.url} has no study or series {uid}")
        yield from ((resource, uid) for resource in found)


def _all(orthanc: Orthanc) -> Iterator[tuple[Resource, str]]:
    for level, column in (("studies", UIDS["studies"]), ("series", UIDS["series"])):
        since = 0
        while page := orthanc.get(f"/{level}?expand&since={since}&limit={PAGE}"):
            for one in page:
                yield Resource(level, one["ID"]), one["MainDicomTags"][column]
            since += len(page)
