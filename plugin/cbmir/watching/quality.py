"""How often similar slices of this archive share a diagnosis: each labelled slice asks for those of other patients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

CUTS = (1, 5, 10)


@dataclass(frozen=True, slots=True)
class Precision:
    """Shares, 0..1, of cases that have a diagnosis of the query: among the first 1, 5 and 10, and among any.

    Attributes
    ----------
    at
        One share for each of CUTS; where there are fewer other patients than that, among those there are.
    chance
        The share among all other patients: what a blind choice would give.
    sample
        Slices that asked.

    """

    at: tuple[float, float, float]
    chance: float
    sample: int


@dataclass(frozen=True, slots=True)
class Labelled:
    """Slices that have a diagnosis: (n, dim) unit vectors, whose they are, and what was said of each."""

    vectors: NDArray[np.float32]
    patients: Sequence[str]
    diagnoses: Sequence[frozenset[str]]


def precision(labelled: Labelled, queries: Iterable[int]) -> Precision | None:
    """Return how often the cases of other patients share a diagnosis; None if no query has another patient.

    As in an answer, a case is a patient and its place that of its most similar slice.

    Parameters
    ----------
    labelled
        The slices to search among.
    queries
        Places in it of the slices that ask.

    """
    measured = list(_each(labelled, queries))
    if not measured:
        return None
    p1, p5, p10, chance = np.mean(measured, axis=0).tolist()
    return Precision((p1, p5, p10), chance, len(measured))


def _each(labelled: Labelled, queries: Iterable[int]) -> Iterator[list[float]]:
    """Yield the shares of one query after the other: at each of CUTS, and chance."""
    # one patient's slices side by side, so that each patient's best is found in one pass
    order = np.argsort(np.asarray(labelled.patients), kind="stable")
    vectors, said = labelled.vectors[order], _table(labelled.diagnoses)[order]
    _, starts, patients = np.unique(np.asarray(labelled.patients)[order], return_index=True, return_inverse=True)
    place = np.argsort(order)
    slices = np.bincount(patients)
    if len(starts) < 2:
        return
    for asked in queries:
        query = place[asked]
        shared = (said & said[query]).any(axis=1)
        similarities = vectors @ vectors[query]
        best = np.maximum.reduceat(similarities, starts)
        is_right = np.maximum.reduceat(np.where(shared, similarities, -np.inf), starts) >= best
        others = np.arange(len(starts)) != patients[query]
        ranked = is_right[others][np.argsort(-best[others], kind="stable")]
        by_patient = np.add.reduceat(shared, starts, dtype=np.float64) / slices
        yield [*(float(ranked[:cut].mean()) for cut in CUTS), float(by_patient[others].mean())]


def _table(diagnoses: Sequence[frozenset[str]]) -> NDArray[np.bool_]:
    """Return one row a slice and one column a diagnosis: whether it was said."""
    names = {name: column for column, name in enumerate(sorted(frozenset().union(*diagnoses)))}
    table = np.zeros((len(diagnoses), len(names)), np.bool_)
    for row, said in zip(table, diagnoses, strict=True):
        row[[names[name] for name in said]] = True
    return table
