"""What an answer tells beside its cases: what is said of the nearest patients, and whether anything is near at all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cbmir.answering.matching import Condition
from cbmir.answering.statistics import Grounds, Neighbour, statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cbmir.access import Caller
    from cbmir.answering.answers import Answers
    from cbmir.answering.query import Query
    from cbmir.answering.services import Services
    from cbmir.answering.statistics import Share
    from cbmir.cases import Case
    from cbmir.records import Label, Series
    from cbmir.search import Criteria

    Find = Callable[[Criteria], list[Case]]

DECIMALS = 4

OTHERS_TRIED = 5
"""Candidates for a counter-example: SQLite knows small and capital letters of ASCII only, so some may be none."""


class Around:
    """Tells of the surroundings of one query. `find` returns the cases of a search for it, as its caller may see."""

    def __init__(  # noqa: PLR0913 - what it looks around from
        self, services: Services, query: Query, own: Series, find: Find, caller: Caller, *, is_slice: bool
    ) -> None:
        """Take the query, the series that it is of or stands for it, who asks, and whether by a single slice."""
        self._services = services
        self._query = query
        self._own = own
        self._find = find
        self._caller = caller
        self._is_slice = is_slice
        self._grounds = Grounds.of(services.settings.verified_provenances)

    # ---- what is said of the nearest patients ----

    def statistics(
        self, criteria: Criteria, found: Sequence[Case], shown: Sequence[dict[str, Any]], answers: Answers
    ) -> dict[str, Any] | None:
        """Return the labels of the nearest patients; None where the query chose its cases by label, class or patient.

        Parameters
        ----------
        criteria
            Of the query.
        found
            At least `query.patients` cases for it, if there are so many.
        shown
            Those of them that are in the answer, as JSON.
        answers
            What writes the counter-example.

        """
        if not self._may_compare(criteria):
            return None
        nearest = self._patients(criteria, found)
        told = statistics(
            [Neighbour(said) for said in self._services.catalogue.labels_of_each([one.best.slice for one in nearest])],
            self._grounds,
            verified=self._query.verified,
            census=self._census(criteria),
        )
        other = self._counter_example(criteria, nearest, told.leading)
        return {
            "note": told.note,
            "patients": told.patients,
            "labelled": told.labelled,
            "verifiedOnly": told.verified_only,
            "verifiedProvenances": list(self._services.settings.verified_provenances),
            "archivePatients": told.archive,
            "labels": [_share(one) for one in told.shares],
            "counterExample": _counter_example(answers, other, shown) if other else None,
        }

    def _may_compare(self, criteria: Criteria) -> bool:
        by_label = any(condition.keyword == "label" for condition in criteria.conditions)
        return not by_label and criteria.predicted is None and criteria.same_patient != "only"

    def _patients(self, criteria: Criteria, found: Sequence[Case]) -> list[Case]:
        """Return the nearest other patients as cases."""
        wanted = self._query.patients
        if criteria.group != "patient" or criteria.same_patient != "exclude":
            found = self._find(replace(criteria, group="patient", same_patient="exclude", k=wanted))
        return list(found[:wanted])

    def _labels(self, case: Case) -> list[Label]:
        """Return what is said of the slice that stands for a case, its series and its study."""
        return self._services.catalogue.labels_of(case.best.slice)

    def _census(self, criteria: Criteria) -> tuple[int, dict[str, int]] | None:
        """Return the archive's labels, to those who may be told.

        With filters that would be a way to ask about single studies, so only where nothing is hidden.
        """
        caller = self._caller
        if not (caller.sees_all or (not criteria.conditions and caller.sees_statistics())):
            return None
        census = self._services.censuses.of(criteria.conditions, self._grounds, verified=self._query.verified)
        return census.without(self._own.patient)

    def _counter_example(self, criteria: Criteria, nearest: Sequence[Case], leading: str | None) -> Case | None:
        """Return the nearest case with a verified label, and without the one that leads."""
        if leading is None:
            return None
        near = [case for case in nearest if self._is_other(case, leading)]
        if not near and self._is_slice:
            other = Condition("label", "other", (leading, *self._services.settings.verified_provenances))
            wanted = replace(
                criteria,
                group="patient",
                same_patient="exclude",
                k=OTHERS_TRIED,
                conditions=(*criteria.conditions, other),
            )
            near = [case for case in self._find(wanted) if self._is_other(case, leading)]
        # the order of cases is not by similarity alone
        return max(near, key=lambda case: case.best.similarity, default=None)

    def _is_other(self, case: Case, leading: str) -> bool:
        said = self._labels(case)
        verified = self._grounds.counting(said, verified=True)
        return bool(verified) and leading.casefold() not in self._grounds.counting(said, verified=False)


def _share(share: Share) -> dict[str, Any]:
    return {
        "label": share.label,
        "patients": share.patients,
        "verifiedPatients": share.verified,
        "share": round(share.share, DECIMALS),
        "interval": [round(end, DECIMALS) for end in share.interval],
        "archiveShare": None if share.archive is None else round(share.archive, DECIMALS),
        "enrichment": None if share.enrichment is None else round(share.enrichment, 2),
        "compared": share.compared,
    }


def _counter_example(answers: Answers, other: Case, shown: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the case as JSON, with its rank if it is among those shown; None where it is gone by now."""
    for case in answers.cases([other]):
        ranks = [one["rank"] for one in shown if one["slices"][0]["thumbnailUrl"] == case["slices"][0]["thumbnailUrl"]]
        return {**case, "rank": next(iter(ranks), None)}
    return None
