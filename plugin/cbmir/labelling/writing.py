"""Writes labels into Orthanc as metadata, as whoever asks for it: Orthanc decides who may.

By HTTP and never through the SDK, as `saving.delivery` says. The plugin hears of what was written as of any other
change, and has it in its answers a moment later.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cbmir.access import NOWHERE
from cbmir.archive import LABELS_METADATA
from cbmir.errors import Forbidden, Hidden, NotFound, Unavailable
from cbmir.labelling.entries import NotLabelsError, entries, merged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from cbmir.access import Caller
    from cbmir.answering.services import Services
    from cbmir.labelling.entries import Entries, Merged
    from cbmir.labelling.posted import Line, Posted
    from cbmir.saving.delivery import Errand

SECONDS = 60.0
"""Longest wait for all of a request to be written; what is left then is told as a problem."""

TRIES = 3
"""A merge begins anew so often when somebody else was faster."""

MOST_PROBLEMS = 20

ABSENT = "not in this Orthanc"
REFUSED = "Orthanc does not let you change it"
LATE = "there was no time left; please post it again"

_REFUSED = frozenset({401, 403, 405})
_OUTRUN = frozenset({409, 412})


@dataclass(slots=True)
class _Outcome:
    """What became of the lines: labels by fate, and the lines that could not be carried out, with why."""

    fates: Counter[str] = field(default_factory=Counter)
    problems: list[tuple[Line, str]] = field(default_factory=list)
    studies: set[str] = field(default_factory=set)
    met_hidden: bool = False
    """Whether a line spoke of what the caller may not see, which the audit is told and the caller is not."""

    def failed(self, lines: Sequence[Line], why: str) -> None:
        self.problems += [(line, why) for line in lines]


def write_labels(services: Services, posted: Posted, caller: Caller, shown: Mapping[str, str]) -> dict[str, Any]:
    """Return the answer of POST /cbmir/labels; `shown` are the headers that tell Orthanc who the caller is.

    Raises
    ------
    NotFound, Forbidden
        Nothing was done, and for each line it was because of that; Hidden where one is not for this caller.
    Unavailable
        Orthanc cannot be reached, fails, or others are writing. What was written before stays.

    """
    outcome = _Outcome()
    resources = _resources(services, posted, caller, outcome)
    with services.delivery.errand(shown, SECONDS) as errand:
        for (level, orthanc_id), lines in resources.items():
            if errand.is_late:
                outcome.failed(lines, LATE)
                continue
            try:
                found = _write(errand, f"/{level}/{orthanc_id}/metadata/{LABELS_METADATA}", lines, posted)
            except (NotFound, Forbidden, NotLabelsError) as error:
                outcome.failed(lines, str(error))
                continue
            outcome.fates.update(added=len(found.added), there=len(found.there), removed=len(found.removed))
    _require_some(posted, outcome)
    return {"StudyInstanceUIDs": sorted(_uids(services, outcome.studies)), **_told(posted, outcome)}


def _resources(
    services: Services, posted: Posted, caller: Caller, outcome: _Outcome
) -> dict[tuple[str, str], list[Line]]:
    """Return lines by what they speak of, as level and Orthanc id, where the caller may see it."""
    found: dict[tuple[str, str], tuple[str, list[Line]]] = {}
    studies: set[str] = set()
    for (level, uid), lines in posted.by_resource().items():
        orthanc_id = services.archive.find(level, uid)
        study = services.archive.study_of(level, orthanc_id) if orthanc_id else None
        # as much is asked about what is not there as about what is hidden
        studies.add(study or NOWHERE)
        if orthanc_id is None or study is None:
            outcome.failed(lines, ABSENT)
        else:
            found[level, orthanc_id] = study, lines
    visible = caller.studies(studies)
    for study, lines in found.values():
        if study not in visible:
            outcome.failed(lines, ABSENT)
            outcome.met_hidden = True
    outcome.studies = {study for study, _ in found.values()} & visible
    return {key: lines for key, (study, lines) in found.items() if study in visible}


def _write(errand: Errand, uri: str, lines: Sequence[Line], posted: Posted) -> Merged:
    """Bring one metadata up to date; return what became of its entries."""
    for _ in range(TRIES):
        before, revision = _held(errand, uri, replace=posted.replace)
        found = merged(before, [line.label for line in lines], replace=posted.replace)
        if posted.dry or not found.changes:
            return found
        status = errand.ask("PUT", uri, found.text, {"If-Match": revision} if revision else {}).status
        if status == 200:
            return found
        if status in _REFUSED:
            raise Forbidden(REFUSED)
        if status == 404:
            raise NotFound(ABSENT)
        if status not in _OUTRUN:
            raise Unavailable(f"Orthanc did not keep the labels (status {status})")
    raise Unavailable("somebody else is writing these labels; please try again")


def _held(errand: Errand, uri: str, *, replace: bool) -> tuple[Entries, str]:
    """Return what a metadata says, and the revision that says so; what is no labels may only be replaced."""
    held = errand.ask("GET", uri)
    if held.status in _REFUSED:
        raise NotFound(ABSENT)
    if held.status not in {200, 404}:
        raise Unavailable(f"Orthanc did not say what is known already (status {held.status})")
    try:
        return entries(held.text if held.status == 200 else None), held.revision
    except NotLabelsError:
        if not replace:
            raise
        return [{}], held.revision


def _require_some(posted: Posted, outcome: _Outcome) -> None:
    """Raise what kept every single line from being carried out, where that was one thing."""
    why = {reason for _, reason in outcome.problems}
    if len(outcome.problems) == len(posted.lines) and len(why) == 1:
        if why == {REFUSED}:
            raise Forbidden(f"nothing was written: {REFUSED}")
        if why == {ABSENT}:
            raise (Hidden if outcome.met_hidden else NotFound)("nothing was written: no such study, series or instance")


def _uids(services: Services, studies: Iterable[str]) -> Iterator[str]:
    for study in studies:
        # one may have been deleted since
        with contextlib.suppress(NotFound):
            yield services.archive.study_instance_uid(study)


def _told(posted: Posted, outcome: _Outcome) -> dict[str, Any]:
    problems = sorted(outcome.problems, key=lambda one: one[0].number)
    return {
        "dryRun": posted.dry,
        **{fate: outcome.fates[fate] for fate in ("added", "there", "removed")},
        "failed": len(problems),
        "problems": [{"line": line.number, "message": why} for line, why in problems[:MOST_PROBLEMS]],
    }
