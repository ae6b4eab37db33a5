"""Labels as Orthanc keeps them: JSON under a metadata of a study, series or instance, merged into what is there."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import _library  # noqa: F401 - before cbmir
from cbmir.labelling.entries import NotLabelsError, entries, key, merged
from cbmir.records import Label
from sources.label_table import UIDS, Labelled
from sources.orthanc_client import OrthancError, RefusedError, Resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cbmir.labelling.entries import Merged
    from sources.orthanc_client import Orthanc

PAGE = 200
"""Studies, series or instances listed in one request."""

TRIES = 3
"""A merge begins anew so often when somebody else was faster."""


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


def by_resource(lines: Iterable[Labelled]) -> dict[tuple[str, str], list[Labelled]]:
    """Return lines by what they speak of: level and UID."""
    result = defaultdict(list)
    for line in lines:
        result[line.level, line.uid].append(line)
    return dict(result)


def put(orthanc: Orthanc, lines: Sequence[Labelled], outcome: Import, *, replace: bool, dry: bool) -> None:
    """Carry out the lines that speak of one study, series or instance.

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
        except (NotLabelsError, RefusedError) as error:
            outcome.counts["not done"] += len(lines)
            outcome.problems.append(f"{where}: {error}")
            continue
        outcome.counts.update(there=len(changes.there), removed=len(changes.removed), added=len(changes.added))
        if len({key(one)[0] for one in changes.added + changes.there}) > 1:
            outcome.several.append(uid)


def _merge(orthanc: Orthanc, resource: Resource, lines: Sequence[Labelled], *, replace: bool, dry: bool) -> Merged:
    """Bring one metadata up to date."""
    refused = None
    for _ in range(TRIES):
        said = orthanc.said(resource)
        try:
            before = entries(said.text)
        except NotLabelsError:
            if not replace:
                raise
            before = [{}]
        changes = merged(before, [Label(line.label, line.provenance) for line in lines], replace=replace)
        if dry or not changes.changes:
            return changes
        try:
            orthanc.say(resource, changes.text, said.revision)
        except RefusedError as error:
            refused = error
        else:
            return changes
    raise refused or AssertionError


def gather(orthanc: Orthanc, uids: Sequence[str] = (), *, instances: bool = False) -> Iterator[Labelled]:
    """Yield the labels of all studies and series, with `instances` of these too, or of whatever has one of these UIDs.

    What is no label is passed over.
    """
    levels = ("studies", "series", "instances") if instances else ("studies", "series")
    for resource, uid in _named(orthanc, uids) if uids else _all(orthanc, levels):
        try:
            said = entries(orthanc.said(resource).text)
        except NotLabelsError:
            continue
        for one in said:
            yield Labelled(resource.level, uid, *key(one), f"{UIDS[resource.level]} {uid}")


def _named(orthanc: Orthanc, uids: Sequence[str]) -> Iterator[tuple[Resource, str]]:
    for uid in uids:
        found = orthanc.find(uid)
        if not found:
            raise OrthancError(f"{orthanc.url} has no study, series or instance {uid}")
        yield from ((resource, uid) for resource in found)


def _all(orthanc: Orthanc, levels: Sequence[str]) -> Iterator[tuple[Resource, str]]:
    for level in levels:
        since = 0
        while page := orthanc.get(f"/{level}?expand&since={since}&limit={PAGE}"):
            for one in page:
                yield Resource(level, one["ID"]), one["MainDicomTags"][UIDS[level]]
            since += len(page)
