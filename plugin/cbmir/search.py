"""From a query's vector to cases: asks the index for ever more neighbours until enough cases stand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cbmir.access import ANYONE
from cbmir.cases import Case, Group, Hit, SamePatient, eligible, rank_visible, remembered
from cbmir.expansion import expanded

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cbmir.access import Caller
    from cbmir.catalogue import Catalogue
    from cbmir.classifier import Classifier
    from cbmir.index import SliceIndex
    from cbmir.matching import Condition
    from cbmir.records import Series

    Neighbourhood = tuple[NDArray[np.int64], NDArray[np.float32]]
    Keep = Callable[[NDArray[np.int64]], NDArray[np.bool_]]
    Neighbours = Callable[[int], Neighbourhood]

FIRST_FETCH = 8
"""Neighbours asked for first, per case wanted: a series often gives several of the nearest."""

GROWTH = 4
EXACT_LIMIT = 20_000
"""Filtered sets up to this size are compared one by one: exact, and faster than a graph that skips most it visits."""

FARTHEST = 20_000
"""Neighbours among which those are sought that a caller may see: one who may see little of a large archive must not
have Orthanc asked about all of it."""


@dataclass(frozen=True, slots=True)
class Criteria:
    """What a query asks for besides likeness."""

    k: int = 10
    group: Group = "patient"
    same_patient: SamePatient = "exclude"
    min_similarity: float = 0.0
    conditions: tuple[Condition, ...] = ()
    predicted: int | None = None
    """Number of the class that slices must look most like."""


class Search:
    """Similar cases of one model's vectors."""

    def __init__(
        self,
        catalogue: Catalogue,
        index: SliceIndex,
        model: str,
        classifier: Classifier | None,
        *,
        expand: int = 0,
    ) -> None:
        """Take the catalogue, the index over it, what tells classes apart, and to how many hits a query is moved."""
        self._catalogue = catalogue
        self._index = index
        self._model = model
        self._classifier = classifier
        self._expand = expand

    def cases(
        self, vector: NDArray[np.float32], query: Series, criteria: Criteria, caller: Caller = ANYONE
    ) -> list[Case]:
        """Return at most `criteria.k` cases for a (dim,) unit vector from a slice of the series `query`.

        The nearest slices are ranked by their similarity to the query moved towards the first of them, those that are
        shown and no others; the similarity that a hit tells is always the one to the query itself.
        Of studies that the caller may not see, nothing is in them. Raises Unavailable as `Caller.studies`.
        """
        visible = remembered(caller.studies)
        neighbours = self._neighbours(vector, query, criteria)
        wanted = max(criteria.k, self._expand) * FIRST_FETCH
        while True:
            labels, similarities = neighbours(wanted)
            near = similarities >= criteria.min_similarity
            hits = self._hits(labels[near], similarities[near], query, criteria.same_patient)
            if self._expand:
                hits = self._moved(vector, hits, rank_visible(hits, "none", self._expand, visible))
            cases = rank_visible(hits, criteria.group, criteria.k, visible)
            # enough cases, or no farther neighbour that could give another
            if len(cases) == criteria.k or len(labels) < wanted or not near.all():
                return cases
            if wanted >= FARTHEST and not caller.sees_all:
                return cases
            wanted *= GROWTH

    def _neighbours(self, vector: NDArray[np.float32], query: Series, criteria: Criteria) -> Neighbours:
        """Return a function that gives the nearest n slices the conditions allow, as labels and similarities."""
        only_own = criteria.same_patient == "only"
        everything = not criteria.conditions and not only_own
        of_class = self._of_class(criteria.predicted)
        if everything and of_class is None:
            return lambda n: self._index.search(vector, n)
        if everything:
            return lambda n: self._filtered(vector, n, of_class)
        allowed = self._catalogue.select(
            criteria.conditions, model=self._model, patient=query.patient if only_own else None
        )
        if len(allowed) <= EXACT_LIMIT:
            labels, similarities = self._exact(vector, allowed if of_class is None else allowed[of_class(allowed)])
            return lambda n: (labels[:n], similarities[:n])
        return lambda n: self._filtered(vector, n, lambda found: np.isin(found, allowed), of_class)

    def _of_class(self, number: int | None) -> Keep | None:
        """Return a function that tells which labels look most like the class, or None if any will do."""
        classifier = self._classifier
        if number is None or classifier is None:
            return None

        def keep(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
            labels_there, vectors = self._vectors(labels)
            return np.isin(labels, labels_there[classifier.classes(vectors) == number])

        return keep

    def _filtered(self, vector: NDArray[np.float32], wanted: int, *keeps: Keep | None) -> Neighbourhood:
        fetch = wanted
        while True:
            labels, similarities = self._index.search(vector, fetch)
            exhausted = len(labels) < fetch
            for keep in filter(None, keeps):
                kept = keep(labels)
                labels, similarities = labels[kept], similarities[kept]
            if len(labels) >= wanted or exhausted:
                return labels[:wanted], similarities[:wanted]
            fetch *= GROWTH

    def _exact(self, vector: NDArray[np.float32], labels: NDArray[np.int64]) -> Neighbourhood:
        labels, vectors = self._vectors(labels)
        similarities = vectors @ vector
        order = np.argsort(-similarities, kind="stable")
        return labels[order], similarities[order]

    def _vectors(self, labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return labels and their vectors, from the index or, if one came or went meanwhile, from the catalogue."""
        vectors = self._index.vectors(labels) if len(labels) else None
        if vectors is not None:
            return labels, vectors
        portions = list(self._catalogue.vectors(labels))
        if not portions:
            return np.empty(0, np.int64), np.empty((0, self._index.dim), np.float32)
        return np.concatenate([some for some, _ in portions]), np.concatenate([portion for _, portion in portions])

    def _hits(
        self, labels: NDArray[np.int64], similarities: NDArray[np.float32], query: Series, same_patient: SamePatient
    ) -> list[Hit]:
        """Return those of the slices that may be shown for a slice of the series `query`."""
        found = self._catalogue.slices(labels.tolist())
        hits = [
            Hit(found[label], min(1.0, float(similarity)))
            for label, similarity in zip(labels.tolist(), similarities, strict=True)
            if label in found
        ]
        return [hit for hit in hits if eligible(hit, query, same_patient)]

    def _moved(self, vector: NDArray[np.float32], hits: list[Hit], first: list[Case]) -> list[Hit]:
        """Return the hits with their nearness to the query moved towards the first of them."""
        labels, vectors = self._vectors(np.array([hit.slice.label for hit in hits], np.int64))
        rows = {label: row for row, label in enumerate(labels.tolist())}
        towards = [case.best for case in first if case.best.slice.label in rows]
        if not towards:
            return hits
        similarities = np.array([[hit.similarity for hit in towards]], np.float32)
        near = vectors[np.newaxis, [rows[hit.slice.label] for hit in towards]]
        nearness = (vectors @ expanded(vector[np.newaxis], near, similarities)[0]).tolist()
        return [replace(hit, nearness=nearness[rows[hit.slice.label]]) for hit in hits if hit.slice.label in rows]
