"""Stage 6: hits become ranked cases. Pure: what to drop, how to group, which slice stands for the case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cbmir.records import CataloguedSlice, Series

    Visible = Callable[[Iterable[str]], set[str]]

Group = Literal["patient", "study", "none"]
SamePatient = Literal["exclude", "only", "include"]

SLICES_SHOWN = 20
"""Most slices listed of one case."""

DECIMALS = 6
"""Similarities closer than this are ties; float32 sums differ by more between machines than ranks should."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A slice and its cosine similarity to the query, -1..1."""

    slice: CataloguedSlice
    similarity: float

    @property
    def study(self) -> str:
        """The Orthanc id of the study that it belongs to."""
        return self.slice.series.study_orthanc_id


@dataclass(frozen=True, slots=True)
class Match:
    """A series of a query with the series of a case that it is most similar to.

    Attributes
    ----------
    query
        Number of the query's series, from 0.
    similarity
        -1..1, mean over the slices.
    agreement
        0..1: how far the two can be compared.
    hits
        What each slice of the query found, in their order.

    """

    query: int
    series: Series
    similarity: float
    agreement: float
    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """What is shown as one card: a patient, study, series or slice, with its matching slices, the best first.

    Attributes
    ----------
    score
        How similar it is as a whole, where a whole series or study was asked about.
    matches
        Likewise, one for each series of the query.

    """

    hits: tuple[Hit, ...]
    score: float | None = None
    matches: tuple[Match, ...] = ()

    @property
    def similarity(self) -> float:
        """How similar it is to the query, -1..1."""
        return self.best.similarity if self.score is None else self.score

    @property
    def best(self) -> Hit:
        """The most similar slice, which stands for the case."""
        return self.hits[0]


def eligible(found: Series, query: Series, same_patient: SamePatient) -> bool:
    """Return whether a series may be shown. The query's own study never is: it is what the reader looks at."""
    if found.study_orthanc_id == query.study_orthanc_id:
        return False
    return same_patient == "include" or (found.patient == query.patient) == (same_patient == "only")


def rank(hits: Iterable[Hit], group: Group) -> list[Case]:
    """Return cases by falling similarity of their best slice; equal ones in an order that never changes."""
    cases: dict[object, list[Hit]] = {}
    for hit in sorted(hits, key=_order):
        cases.setdefault(key(hit.slice.label, hit.slice.series, group), []).append(hit)
    return [Case(tuple(members[:SLICES_SHOWN])) for members in cases.values()]


def reordered(cases: Sequence[Case], nearness: Sequence[float]) -> list[Case]:
    """Return the cases by falling nearness, of which there is one a case; equal ones stay in their order."""
    order = sorted(range(len(cases)), key=lambda place: -round(nearness[place], DECIMALS))
    return [cases[place] for place in order]


def rank_visible(hits: Iterable[Hit], group: Group, k: int, visible: Visible) -> list[Case]:
    """Return the first k cases of the hits whose studies are visible; no other study leaves a trace in them.

    Parameters
    ----------
    hits, group
        As of `rank`.
    k
        Most cases.
    visible
        Studies → those of them that may be shown. Asked about what would be shown, rarely about more.

    """
    verdicts: dict[str, bool] = {}
    ahead = k
    while True:
        hits = [hit for hit in hits if verdicts.get(hit.study, True)]
        cases = rank(hits, group)
        if _studies(cases[:k]) <= verdicts.keys():
            return cases[:k]
        unknown = _studies(cases[:ahead]) - verdicts.keys()
        shown = visible(unknown)
        verdicts.update({study: study in shown for study in unknown})
        ahead *= 2


def _studies(cases: Iterable[Case]) -> set[str]:
    return {hit.study for case in cases for hit in case.hits}


def _order(hit: Hit) -> tuple[float, str, int]:
    return (-round(hit.similarity, DECIMALS), hit.slice.orthanc_id, hit.slice.frame)


def key(label: int, series: Series, group: Group) -> object:
    """Return what the slices of one case have in common."""
    if group == "patient":
        return series.patient
    if group == "study":
        return series.study_orthanc_id
    return label
