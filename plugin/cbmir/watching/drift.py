"""Whether what comes in lately looks to the network as what came before: a distance, and what chance gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

FEWEST_PATIENTS = 8
"""On each side; of fewer, nearly every exchange would be the true division or its mirror."""

MOST_OF_A_PATIENT = 8
"""Slices: more of one patient tell little more."""

SHUFFLES = 999
RARE = 0.99
"""Share of the shuffles that the threshold exceeds: of a hundred days without drift, one is above it."""


@dataclass(frozen=True, slots=True)
class Drift:
    """How far lately's slices are from those before.

    Attributes
    ----------
    distance
        The energy distance (Székely and Rizzo 2013) of the two groups of patients, 0..4; 0 is no difference at all.
    threshold
        What the same patients, divided by lot, exceed once in a hundred times.
    recent, reference
        Patients of lately, and of before.

    """

    distance: float
    threshold: float
    recent: int
    reference: int


def drift(
    vectors: NDArray[np.float32],
    patients: Sequence[str],
    recent: NDArray[np.bool_],
    random: np.random.Generator,
    stoppable: Callable[[Iterable[NDArray[np.int64]]], Iterator[NDArray[np.int64]]] = iter,
) -> Drift | None:
    """Return how far some slices are from the others; None where patients are too few, or if it is stopped.

    Slices of one patient are alike: patients are compared, each by the same weight, and shuffled as a whole.

    Parameters
    ----------
    vectors
        (n, dim) float32 of unit length.
    patients
        Whose each is. A patient of both sides counts among the recent.
    recent
        (n,) which are of lately.

    """
    rows = _by_patient(patients, random)
    lately = np.array([bool(recent[some].any()) for some in rows])
    sides = int(lately.sum()), int((~lately).sum())
    if min(sides) < FEWEST_PATIENTS:
        return None
    # of a patient of both sides, only what is of this side
    rows = [some[recent[some]] if late else some for some, late in zip(rows, lately, strict=True)]
    apart = _mean_distances(vectors, [some[:MOST_OF_A_PATIENT] for some in rows], stoppable)
    if apart is None:
        return None
    divided = np.where(lately, 1 / sides[0], -1 / sides[1])
    shuffled = random.permuted(np.tile(divided, (SHUFFLES, 1)), axis=1)
    by_lot = np.quantile(_energy(shuffled, apart), RARE)
    return Drift(float(_energy(divided[np.newaxis], apart)[0]), float(by_lot), *sides)


def _by_patient(patients: Sequence[str], random: np.random.Generator) -> list[NDArray[np.int64]]:
    """Return the places of each patient's slices, in random order."""
    order = random.permutation(len(patients))
    _, owner = np.unique(np.asarray(patients)[order], return_inverse=True)
    by_owner = np.argsort(owner, kind="stable")
    return np.split(order[by_owner], np.flatnonzero(np.diff(owner[by_owner])) + 1)


def _mean_distances(
    vectors: NDArray[np.float32],
    rows: Sequence[NDArray[np.int64]],
    stoppable: Callable[[Iterable[NDArray[np.int64]]], Iterator[NDArray[np.int64]]],
) -> NDArray[np.float64] | None:
    """Return (g, g), how far slices of one patient are from those of another on average; None if it is stopped."""
    whole = vectors[np.concatenate(rows)]
    sizes = np.array([len(some) for some in rows])
    starts = np.cumsum(sizes) - sizes
    means = []
    for some in stoppable(rows):
        squared = 2 - 2 * (vectors[some] @ whole.T)
        distances = np.sqrt(np.maximum(squared, 0)).mean(axis=0, dtype=np.float64)
        means.append(np.add.reduceat(distances, starts) / sizes)
    return np.array(means) if len(means) == len(rows) else None


def _energy(weights: NDArray[np.float64], apart: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (k,): 2 E|X - Y| - E|X - X'| - E|Y - Y'|, where a row weighs one side 1/n and the other -1/m."""
    return np.asarray(-np.einsum("kg,kg->k", weights @ apart, weights))
