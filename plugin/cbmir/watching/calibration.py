"""How alike the nearest are in this archive: to the network, and as pictures from afar. What is beyond that is unusual.

A network that tells three tumours apart puts anything beside one of them, also a fruit: its similarities cannot say
that nothing like this is here. A coarse picture can, so both are measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cbmir.records import Calibration, Gallery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from cbmir.records import CataloguedSlice

    Search = Callable[[NDArray[np.float32], int], tuple[NDArray[np.int64], NDArray[np.float32]]]
    Slices = Callable[[Sequence[int]], dict[int, CataloguedSlice]]
    Measured = Iterable[tuple[CataloguedSlice, NDArray[np.float32]]]

PERCENT = np.arange(101) / 100
UNUSUAL_PERCENT = 1
"""Share of the archive's own slices that would be called unusual in it."""

FEWEST_PATIENTS = 20
FEWEST_SLICES = 100
"""With less than that, one slice in a hundred is none."""

FIRST_FETCH, GROWTH, FARTHEST = 16, 4, 4096
"""Neighbours asked for until one is of another patient; of a slice with more of its own around it, nothing is known."""

BLOCK = 256
"""Pictures compared at once: a matrix of 2 MB."""


def calibrated(search: Search, slices: Slices, sample: Measured) -> Calibration | None:
    """Return how similar the nearest slices of other patients are; None where there is no such.

    Parameters
    ----------
    search
        Vector and k → labels and similarities, the most similar first.
    slices
        Labels → the slices, deleted ones missing.
    sample
        Slices and their (dim,) unit vectors.

    """
    found = [(one.series.patient, near) for one, row in sample if (near := _nearest(search, slices, one, row))]
    if not found:
        return None
    quantiles = np.quantile([near for _, near in found], PERCENT)
    return Calibration(len({patient for patient, _ in found}), len(found), tuple(quantiles.round(6).tolist()))


def _nearest(search: Search, slices: Slices, one: CataloguedSlice, row: NDArray[np.float32]) -> float | None:
    """Return the similarity of the nearest slice of another patient; None if none is within reach."""
    fetch = FIRST_FETCH
    while fetch <= FARTHEST:
        labels, similarities = search(row, fetch)
        known = slices(labels.tolist())
        for label, similarity in zip(labels.tolist(), similarities.tolist(), strict=True):
            if label in known and known[label].series.patient != one.series.patient:
                return min(1.0, float(similarity))
        if len(labels) < fetch:
            return None
        fetch *= GROWTH
    return None


def gallery(
    model: str,
    slices: Sequence[CataloguedSlice],
    sketches: NDArray[np.uint8],
    stoppable: Callable[[Iterable[int]], Iterator[int]] = iter,
) -> Gallery | None:
    """Return what slices look like from afar, and how alike they usually are; None where they are too few.

    Parameters
    ----------
    model
        Whose slices these are.
    slices, sketches
        n slices, and their (n, 64) sketches.
    stoppable
        Ends the work early, without a result.

    """
    patients = np.array([one.series.patient for one in slices])
    if len(slices) < FEWEST_SLICES or len(set(patients.tolist())) < FEWEST_PATIENTS:
        return None
    pictures = scaled(sketches)
    nearest = []
    for start in stoppable(range(0, len(pictures), BLOCK)):
        block = slice(start, start + BLOCK)
        similarities = pictures[block] @ pictures.T
        similarities[patients[block, np.newaxis] == patients] = -1
        nearest.append(similarities.max(axis=1))
    if sum(map(len, nearest)) < len(pictures):
        return None
    usual = float(np.quantile(np.concatenate(nearest), UNUSUAL_PERCENT / 100))
    return Gallery(model, pictures, patients, np.array([one.series.study_orthanc_id for one in slices]), usual)


def scaled(sketches: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return (n, 64) float32 rows of unit length; one that is black stays so."""
    rows = sketches.astype(np.float32)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-6), np.float32)
