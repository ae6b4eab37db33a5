"""From a query's vector to cases: asks the index for ever more neighbours until enough cases stand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from heapq import nsmallest
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cbmir.answering.eligible import Eligible
from cbmir.answering.expansion import expanded
from cbmir.cases import Case, Group, Hit, SamePatient, eligible, rank, rank_visible, reordered
from cbmir.store.belonging import NONE
from cbmir.store.linked import nearest
from cbmir.store.owners import patient_number, study_number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cbmir.access import Caller
    from cbmir.answering.matching import Condition
    from cbmir.catalogue import Catalogue
    from cbmir.classifier import Classifier
    from cbmir.records import Series
    from cbmir.store.protocols import Selection, VectorIndex

    Neighbourhood = tuple[NDArray[np.int64], NDArray[np.float32]]
    Keep = Callable[[NDArray[np.int64]], NDArray[np.bool_]]
    Neighbours = Callable[[int], "Near"]

FIRST_FETCH = 25
"""Neighbours asked for first, per case wanted: a series often gives several of the nearest, the query's own most."""

CANDIDATES = 2
"""Cases of which those to show are chosen, per case wanted, where the first hits have a say in the order."""

GROWTH = 4
"""Times as many neighbours are asked for next: a third look costs more than a wide second one."""

LATER_GROWTH = 2
"""The same from the third look on: few cases are missing then, and thousands of neighbours take milliseconds."""

EXACT_LIMIT = 20_000
"""Filtered sets up to this size are compared one by one, where the graph does not soon meet enough of them."""

SPARE = 2
"""Neighbours asked for, per one that is expected to fulfil a filter: those that do need not be spread evenly."""

READ = 2
"""Neighbours that the graph finds while one vector is read from the catalogue, about."""

OUTWARD = (256, 1024, 4096, 16_384)
"""Neighbours among which something rare is looked for."""

FEW = 16
"""Slices of something rare that are enough: some may be of one patient, or hidden."""

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


class Near(NamedTuple):
    """Slices by falling similarity: their labels and similarities, (n,) each, and whether there are no more."""

    labels: NDArray[np.int64]
    similarities: NDArray[np.float32]
    are_all: bool


class Search:
    """Similar cases of one model's vectors."""

    def __init__(
        self,
        catalogue: Catalogue,
        index: VectorIndex,
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

    def cases(self, vector: NDArray[np.float32], query: Series, criteria: Criteria, caller: Caller) -> list[Case]:
        """Return at most `criteria.k` cases for a (dim,) unit vector from a slice of the series `query`.

        The order of the nearest cases is by their similarity to the query moved towards the first slices found, none of
        them of a study or patient that is not shown; the similarity that a hit tells is to the query itself.
        Of studies that the caller may not see, nothing is in them. Raises Unavailable as `Caller.studies`.
        """
        neighbours = self._neighbours(vector, query, criteria)
        at_least = max(criteria.k, self._expand)
        candidates = CANDIDATES * at_least if self._expand else criteria.k
        wanted, growth = at_least * FIRST_FETCH, GROWTH
        while True:
            labels, similarities, are_all = neighbours(wanted)
            near = similarities >= criteria.min_similarity
            found = self._eligible(labels[near], similarities[near], query, criteria)
            # no farther neighbour could give another case, or whoever may see little would have too much looked at
            is_last = are_all or not near.all() or (wanted >= FARTHEST and not caller.sees_all)
            if is_last or found.number_of_groups >= criteria.k:
                if caller.sees_all:
                    cases = self._of_all(vector, found.best(candidates), query, criteria)
                else:
                    hits = self._hits(found, query, criteria)
                    cases = self._by_first_hits(vector, rank_visible(hits, criteria.group, candidates, caller.studies))
                if is_last or len(cases) >= criteria.k:
                    return cases[: criteria.k]
            wanted, growth = wanted * growth, LATER_GROWTH

    def _neighbours(self, vector: NDArray[np.float32], query: Series, criteria: Criteria) -> Neighbours:
        """Return a function that gives the nearest n slices the conditions allow, as labels and similarities."""
        if any(condition.kind == "other" for condition in criteria.conditions):
            return lambda _: Near(*self._outward(vector, criteria.conditions), are_all=True)
        of_class = self._of_class(criteria.predicted)
        selection = self.selection(query, criteria)
        if selection is None:
            return lambda n: self._passing(vector, n, of_class)
        if len(selection) <= EXACT_LIMIT:
            return self._among(vector, selection, of_class)
        per_one = len(self._index) / max(1, len(selection))
        return lambda n: self._passing(vector, int(n * per_one), selection.holds, of_class)

    def _passing(self, vector: NDArray[np.float32], fetch: int, *keeps: Keep | None) -> Near:
        """Return those of the nearest `fetch` slices that are to be kept."""
        labels, similarities = self._index.search(vector, fetch)
        are_all = len(labels) < fetch
        for keep in filter(None, keeps):
            kept = keep(labels)
            labels, similarities = labels[kept], similarities[kept]
        return Near(labels, similarities, are_all)

    def _among(self, vector: NDArray[np.float32], selection: Selection, of_class: Keep | None) -> Neighbours:
        """Return a function that gives the nearest n of a selection, by the graph or one by one: whichever is less."""

        @cache
        def one_by_one() -> Neighbourhood:
            allowed = selection.labels()
            return self._exact(vector, allowed if of_class is None else allowed[of_class(allowed)])

        def nearest(wanted: int) -> Near:
            reach = SPARE * wanted * len(self._index) // max(1, len(selection))
            if reach <= READ * len(selection):
                near = self._passing(vector, reach, selection.holds, of_class)
                if len(near.labels) >= wanted:
                    return near
            labels, similarities = one_by_one()
            return Near(labels[:wanted], similarities[:wanted], are_all=len(labels) <= wanted)

        return nearest

    def _outward(self, vector: NDArray[np.float32], conditions: Sequence[Condition]) -> Neighbourhood:
        """Return slices that the conditions allow from the smallest neighbourhood with a few of them, or the largest.

        What nearly every answer looks for must not read what is said of the whole archive.
        """
        found = np.empty(0, np.int64), np.empty(0, np.float32)
        for fetch in OUTWARD:
            labels, similarities = self._index.search(vector, fetch)
            allowed = self._catalogue.select(conditions, model=self._model, among=labels.tolist())
            kept = np.isin(labels, allowed)
            found = labels[kept], similarities[kept]
            if len(allowed) >= FEW or len(labels) < fetch:
                break
        return found

    def selection(self, query: Series, criteria: Criteria) -> Selection | None:
        """Return the slices that the conditions allow, or None if they allow all."""
        only_own = criteria.same_patient == "only"
        if not criteria.conditions and not only_own:
            return None
        return self._catalogue.selection(
            criteria.conditions, model=self._model, patient=query.patient if only_own else None
        )

    def many(self, vectors: NDArray[np.float32], wanted: int, selection: Selection | None) -> list[Neighbourhood]:
        """Return the nearest allowed slices of each of (n, dim) unit vectors, at most that many of each."""
        if selection is None:
            return [self._index.search(vector, wanted) for vector in vectors]
        if len(selection) <= EXACT_LIMIT:
            labels, rows = self.vectors(selection.labels())
            similarities = vectors @ rows.T
            orders = np.argsort(-similarities, axis=1, kind="stable")[:, :wanted]
            return [(labels[order], some[order]) for order, some in zip(orders, similarities, strict=True)]
        return [self._filtered(vector, wanted, selection.holds) for vector in vectors]

    def _of_class(self, number: int | None) -> Keep | None:
        """Return a function that tells which labels look most like the class, or None if any will do."""
        classifier = self._classifier
        if number is None or classifier is None:
            return None

        def keep(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
            labels_there, vectors = self.vectors(labels)
            return np.isin(labels, labels_there[classifier.classes(vectors) == number])

        return keep

    def _filtered(self, vector: NDArray[np.float32], wanted: int, keep: Keep) -> Neighbourhood:
        fetch = wanted
        while True:
            labels, similarities, are_all = self._passing(vector, fetch, keep)
            if len(labels) >= wanted or are_all:
                return labels[:wanted], similarities[:wanted]
            fetch *= GROWTH

    def _exact(self, vector: NDArray[np.float32], labels: NDArray[np.int64]) -> Neighbourhood:
        there, found = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
        for some, vectors in self._catalogue.vectors(labels):
            there.append(some)
            found.append(vectors @ vector)
        return nearest(np.concatenate(there), np.concatenate(found))

    def vectors(self, labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the labels of those that are still there, and their vectors.

        From the catalogue: hnswlib takes five times as long to give vectors out, as it makes lists of floats of them.
        """
        portions = list(self._catalogue.vectors(labels))
        if not portions:
            return np.empty(0, np.int64), np.empty((0, self._index.dim), np.float32)
        if len(portions) == 1:
            return portions[0]
        return np.concatenate([some for some, _ in portions]), np.concatenate([portion for _, portion in portions])

    def _eligible(
        self, labels: NDArray[np.int64], similarities: NDArray[np.float32], query: Series, criteria: Criteria
    ) -> Eligible:
        """Return those of the slices that may be shown for a slice of the series `query`, as `cases.eligible`."""
        studies, patients = self._catalogue.owners(labels, self._model)
        kept = (studies != NONE) & (studies != study_number(query))
        if criteria.same_patient != "include":
            kept &= (patients == patient_number(query)) == (criteria.same_patient == "only")
        keys = {"patient": patients, "study": studies, "none": labels}[criteria.group]
        return Eligible.grouped(labels[kept], similarities[kept], keys[kept])

    def _hits(self, found: Eligible, query: Series, criteria: Criteria) -> list[Hit]:
        """Return the slices that are still there, with all that is known of them."""
        slices = self._catalogue.slices(found.labels.tolist())
        return [
            Hit(slices[label], similarity)
            for label, similarity in zip(found.labels.tolist(), found.similarities.tolist(), strict=True)
            if label in slices and eligible(slices[label].series, query, criteria.same_patient)
        ]

    def _of_all(self, vector: NDArray[np.float32], found: Eligible, query: Series, criteria: Criteria) -> list[Case]:
        """Return the first cases of slices that may all be shown; of the others nothing is read."""
        near = found.similarities[found.firsts]
        if self._expand and len(near):
            first = found.firsts_of_all(self._expand)
            nearness = self._nearness(
                vector, found.labels[first], found.similarities[first], found.labels[found.firsts]
            )
            near = near if nearness is None else nearness
        chosen = found.nearest(near, criteria.k)
        cases = rank(self._hits(chosen, query, criteria), criteria.group)
        of_slice = dict(zip(chosen.labels.tolist(), near[chosen.groups].tolist(), strict=True))
        return reordered(cases, [of_slice[case.best.slice.label] for case in cases])

    def _by_first_hits(self, vector: NDArray[np.float32], cases: list[Case]) -> list[Case]:
        """Return the cases by the similarity of their best slices to the query moved towards the first slices."""
        if not self._expand or not cases:
            return cases
        first = nsmallest(self._expand, (hit for case in cases for hit in case.hits), key=lambda hit: -hit.similarity)
        near = self._nearness(
            vector,
            np.array([hit.slice.label for hit in first], np.int64),
            np.array([hit.similarity for hit in first], np.float32),
            np.array([case.best.slice.label for case in cases], np.int64),
        )
        return cases if near is None else reordered(cases, near.tolist())

    def _nearness(
        self,
        vector: NDArray[np.float32],
        first: NDArray[np.int64],
        similarities: NDArray[np.float32],
        best: NDArray[np.int64],
    ) -> NDArray[np.float32] | None:
        """Return how near slices are to the query moved towards the first ones; None where one went meanwhile."""
        needed = np.concatenate([first, best])
        labels, vectors = self.vectors(needed)
        if len(labels) < len(needed):
            return None
        (moved,) = expanded(vector[np.newaxis], vectors[np.newaxis, : len(first)], similarities[np.newaxis])
        return np.asarray(vectors[len(first) :] @ moved)
