"""From a series or study to cases: candidates by the slice index, then every slice against every slice."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cbmir.cases import DECIMALS, SLICES_SHOWN, Case, Hit, Match, eligible
from cbmir.volumes.candidates import PROBES, Probes, promising
from cbmir.volumes.comparison import Found, compared, rows_of
from cbmir.volumes.interaction import evenly, redundancy_weights
from cbmir.volumes.question import stacks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cbmir.access import Caller
    from cbmir.cases import Group
    from cbmir.catalogue import Catalogue
    from cbmir.records import Members, Series
    from cbmir.search import Criteria, Search
    from cbmir.store.protocols import Selection
    from cbmir.volumes.comparison import Comparison
    from cbmir.volumes.question import Stack

ROUNDS = ((PROBES, 256), (8, 1024), (2, 4096), (1, 16_384))
"""How many slices of the query look for candidates, and at how many neighbours each. Many of the first are of the
query's own series, or of few patients; where they give too few cases, fewer look farther, for about the same cost."""

CANDIDATES = 4
"""Candidates compared slice by slice at once, per case wanted, and no fewer than FEWEST_CANDIDATES."""

FEWEST_CANDIDATES = 40
MOST_CANDIDATES = 1000
"""Candidates looked at before it is left at what was found: of whom little may be shown, not all is compared."""

MOST_OF_A_CANDIDATE = 400
"""Slices of a candidate that are compared; of more, evenly chosen ones."""


class VolumeSearch:
    """Cases similar to a series or study, in one model's vectors."""

    def __init__(self, catalogue: Catalogue, search: Search, model: str) -> None:
        """Take the catalogue, and the search by single slices over it."""
        self._catalogue = catalogue
        self._search = search
        self._model = model

    def stacks(self, members: Sequence[Members]) -> list[Stack]:
        """Return what is compared of the series of a query."""
        return stacks(members, self._search.vectors)

    def cases(self, query: Sequence[Stack], criteria: Criteria, caller: Caller) -> list[Case]:
        """Return at most `criteria.k` cases by falling similarity. Of studies that the caller may not see, nothing.

        Raises Unavailable as `Caller.studies`.
        """
        allowed = self._search.selection(query[0].series, criteria)
        found: list[Comparison] = []
        best: list[Comparison] = []
        for some in self._candidates(query, criteria, allowed):
            found = [*best, *self._compared(query, self._members(some, criteria.group, allowed, caller))]
            best = _best(found, criteria)
            if len(best) >= criteria.k:
                break
        return self._cases(query, best[: criteria.k])

    def _candidates(self, query: Sequence[Stack], criteria: Criteria, allowed: Selection | None) -> Iterator[list[str]]:
        """Yield the Orthanc ids of series or studies to compare with, a portion at a time, each once."""
        own = query[0].series
        portion = max(FEWEST_CANDIDATES, CANDIDATES * criteria.k)
        yielded: set[str] = set()

        def candidate(series: Series) -> str | None:
            return _candidate(series, criteria.group) if eligible(series, own, criteria.same_patient) else None

        for slices, nearest in ROUNDS:
            probes = Probes(query, slices)
            near = self._search.many(probes.vectors, nearest, allowed)
            labels = np.unique(np.concatenate([labels for labels, _ in near]))
            series_of = self._catalogue.series_of(labels.tolist())
            new = [one for one in promising(query, probes, near, series_of, candidate) if one not in yielded]
            for start in range(0, len(new), portion):
                if len(yielded) >= MOST_CANDIDATES:
                    return
                yielded.update(new[start : start + portion])
                yield new[start : start + portion]
            if all(len(labels) < nearest for labels, _ in near):
                return

    def _members(
        self, candidates: Sequence[str], group: Group, allowed: Selection | None, caller: Caller
    ) -> dict[str, list[Members]]:
        """Return the series of the candidates that the caller may see, thinned, without slices that are not allowed."""
        members = self._catalogue.members(candidates, self._model)
        if allowed is not None:
            members = [replace(one, labels=one.labels[allowed.holds(one.labels)]) for one in members]
        visible = caller.studies({one.series.study_orthanc_id for one in members})
        found: dict[str, list[Members]] = {}
        for one in members:
            if len(one.labels) and one.series.study_orthanc_id in visible:
                found.setdefault(_candidate(one.series, group), []).append(one)
        return {candidate: _thinned(some) for candidate, some in found.items()}

    def _compared(self, query: Sequence[Stack], candidates: dict[str, list[Members]]) -> Iterator[Comparison]:
        members = [one for some in candidates.values() for one in some]
        if not members:
            return
        asked = np.concatenate([one.labels for one in members])
        labels, vectors = self._search.vectors(asked)
        owner = np.repeat(np.arange(len(members)), [len(one.labels) for one in members])
        if len(labels) < len(asked):
            # some went meanwhile
            owner = owner[np.isin(asked, labels)]
        ends = np.searchsorted(owner, np.arange(len(members) + 1))
        similarities = np.concatenate([stack.vectors for stack in query]) @ vectors.T
        place = 0
        for some in candidates.values():
            found = []
            for one in some:
                columns = slice(*ends[place : place + 2])
                place += 1
                if columns.start < columns.stop:
                    weights = redundancy_weights(vectors[columns])
                    found.append(Found(one.series, labels[columns], weights, similarities[:, columns]))
            if found:
                yield compared(query, found)

    def _cases(self, query: Sequence[Stack], best: Sequence[Comparison]) -> list[Case]:
        """Return the cases with the slices that were found; without those of which a slice went meanwhile."""
        pairs = [list(_pairs(query, one)) for one in best]
        there = self._catalogue.slices(
            np.unique([label for one in pairs for labels, _ in one for label in labels]).tolist()
        )
        cases = []
        for one, found in zip(best, pairs, strict=True):
            if all(label in there for labels, _ in found for label in labels):
                hits = [
                    tuple(Hit(there[label], _cosine(similarity)) for label, similarity in zip(*some, strict=True))
                    for some in found
                ]
                cases.append(_case(query, one, hits))
        return cases


def _candidate(series: Series, group: Group) -> str:
    """Return the Orthanc id of what is compared as a whole: without grouping a series, else a study."""
    return series.orthanc_id if group == "none" else series.study_orthanc_id


def _thinned(members: Sequence[Members]) -> list[Members]:
    """Return the series of a candidate with at most MOST_OF_A_CANDIDATE slices in all."""
    chosen = evenly([len(one.labels) for one in members], MOST_OF_A_CANDIDATE)
    return [replace(one, labels=one.labels[places]) for one, places in zip(members, chosen, strict=True)]


def _best(found: Iterable[Comparison], criteria: Criteria) -> list[Comparison]:
    """Return the cases by falling score, of each patient the best study; equal ones in an order that never changes."""
    cases: dict[str, Comparison] = {}
    for one in sorted(found, key=lambda one: (-round(one.score, DECIMALS), one.series.orthanc_id)):
        if one.score >= criteria.min_similarity:
            cases.setdefault(one.series.patient if criteria.group == "patient" else one.series.orthanc_id, one)
    return list(cases.values())


def _pairs(query: Sequence[Stack], one: Comparison) -> Iterator[tuple[list[int], list[float]]]:
    """Yield, for each series of the query, the label and the similarity of what each of its slices found."""
    for rows, chosen in zip(rows_of(query), one.chosen, strict=True):
        found = one.found[chosen]
        places = found.similarities[rows].argmax(axis=1)
        yield found.labels[places].tolist(), found.similarities[rows].max(axis=1).tolist()


def _case(query: Sequence[Stack], one: Comparison, hits: Sequence[tuple[Hit, ...]]) -> Case:
    matches = tuple(
        Match(
            place,
            one.found[chosen].series,
            _cosine(one.pairs[place, chosen]),
            float(one.agreement[place, chosen]),
            some,
        )
        for place, (chosen, some) in enumerate(zip(one.chosen, hits, strict=True))
    )
    # what counted most comes first, each slice once
    counted = [
        (-weight * match.agreement * hit.similarity, hit)
        for stack, match in zip(query, matches, strict=True)
        for weight, hit in zip(stack.weights.tolist(), match.hits, strict=True)
    ]
    shown: dict[int, Hit] = {}
    for _, hit in sorted(counted, key=lambda pair: pair[0]):
        shown.setdefault(hit.slice.label, hit)
    return Case(tuple(shown.values())[:SLICES_SHOWN], _cosine(one.score), matches)


def _cosine(similarity: float) -> float:
    return max(-1.0, min(1.0, float(similarity)))
