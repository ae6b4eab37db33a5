"""From a query's vector to cases: asks the index for ever more neighbours until enough cases stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cbmir.cases import Case, Group, Hit, SamePatient, eligible, rank

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cbmir.catalogue import Catalogue
    from cbmir.index import SliceIndex
    from cbmir.matching import Condition
    from cbmir.records import Series

    Neighbourhood = tuple[NDArray[np.int64], NDArray[np.float32]]
    Neighbours = Callable[[int], Neighbourhood]

FIRST_FETCH = 8
"""Neighbours asked for first, per case wanted: a series often gives several of the nearest."""

GROWTH = 4
EXACT_LIMIT = 20_000
"""Filtered sets up to this size are compared one by one: exact, and faster than a graph that skips most it visits."""


@dataclass(frozen=True, slots=True)
class Criteria:
    """What a query asks for besides likeness."""

    k: int = 10
    group: Group = "patient"
    same_patient: SamePatient = "exclude"
    min_similarity: float = 0.0
    conditions: tuple[Condition, ...] = ()


class Search:
    """Similar cases of one model's vectors."""

    def __init__(self, catalogue: Catalogue, index: SliceIndex, model: str) -> None:
        """Take the catalogue and the index over it."""
        self._catalogue = catalogue
        self._index = index
        self._model = model

    def cases(self, vector: NDArray[np.float32], query: Series, criteria: Criteria) -> list[Case]:
        """Return at most `criteria.k` cases for a (dim,) unit vector from a slice of the series `query`."""
        neighbours = self._neighbours(vector, query, criteria)
        wanted = criteria.k * FIRST_FETCH
        while True:
            labels, similarities = neighbours(wanted)
            near = similarities >= criteria.min_similarity
            cases = self._ranked(labels[near], similarities[near], query, criteria)
            # enough cases, or no farther neighbour that could give another
            if len(cases) == criteria.k or len(labels) < wanted or not near.all():
                return cases
            wanted *= GROWTH

    def _neighbours(self, vector: NDArray[np.float32], query: Series, criteria: Criteria) -> Neighbours:
        """Return a function that gives the nearest n slices the conditions allow, as labels and similarities."""
        only_own = criteria.same_patient == "only"
        if not criteria.conditions and not only_own:
            return lambda n: self._index.search(vector, n)
        allowed = self._catalogue.select(
            criteria.conditions, model=self._model, patient=query.patient if only_own else None
        )
        if len(allowed) <= EXACT_LIMIT:
            labels, similarities = self._exact(vector, allowed)
            return lambda n: (labels[:n], similarities[:n])
        return lambda n: self._filtered(vector, n, allowed)

    def _filtered(self, vector: NDArray[np.float32], wanted: int, allowed: NDArray[np.int64]) -> Neighbourhood:
        fetch = wanted
        while True:
            labels, similarities = self._index.search(vector, fetch)
            kept = np.isin(labels, allowed)
            if kept.sum() >= wanted or len(labels) < fetch:
                return labels[kept][:wanted], similarities[kept][:wanted]
            fetch *= GROWTH

    def _exact(self, vector: NDArray[np.float32], labels: NDArray[np.int64]) -> Neighbourhood:
        vectors = self._index.vectors(labels) if len(labels) else np.empty((0, len(vector)), np.float32)
        if vectors is None:
            # a slice came or went between catalogue and index: the catalogue is right
            portions = list(self._catalogue.vectors(labels))
            labels = np.concatenate([some for some, _ in portions] or [np.empty(0, np.int64)])
            vectors = np.concatenate([portion for _, portion in portions] or [np.empty((0, len(vector)), np.float32)])
        similarities = vectors @ vector
        order = np.argsort(-similarities, kind="stable")
        return labels[order], similarities[order]

    def _ranked(
        self, labels: NDArray[np.int64], similarities: NDArray[np.float32], query: Series, criteria: Criteria
    ) -> list[Case]:
        found = self._catalogue.slices(labels.tolist())
        hits = [
            Hit(found[label], min(1.0, float(similarity)))
            for label, similarity in zip(labels.tolist(), similarities, strict=True)
            if label in found
        ]
        shown = [hit for hit in hits if eligible(hit, query, criteria.same_patient)]
        return rank(shown, criteria.group)[: criteria.k]
