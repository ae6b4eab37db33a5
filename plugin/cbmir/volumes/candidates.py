"""Which series or studies are worth a comparison: those that slices of the query have neighbours in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cbmir.sequences import agreement, kind_of
from cbmir.volumes.interaction import evenly, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from cbmir.records import Series
    from cbmir.volumes.question import Stack

    Near = list[tuple[NDArray[np.int64], NDArray[np.float32]]]
    """Of each probe, the labels that it found and their similarities, the most similar first."""

PROBES = 32
"""Slices of the query whose neighbours are looked at: the most unlike ones."""


class Probes:
    """The slices of a query whose neighbours name the candidates.

    Attributes
    ----------
    vectors
        (p, dim) unit rows.
    weights
        (p,) how much each counts, together 1.
    stacks
        (p,) which series of the query each is of.

    """

    def __init__(self, query: Sequence[Stack], most: int = PROBES) -> None:
        """Choose at most so many, alike from each series; of more series, from the first."""
        shares = evenly([len(stack.labels) for stack in query], most)
        chosen = [spread(stack.vectors, len(share)) for stack, share in zip(query, shares, strict=True)]
        self.vectors = np.concatenate([stack.vectors[places] for stack, places in zip(query, chosen, strict=True)])
        weights = np.concatenate([stack.weights[places] for stack, places in zip(query, chosen, strict=True)])
        self.weights = weights / weights.sum()
        self.stacks = np.repeat(np.arange(len(query)), [len(places) for places in chosen])


def promising(
    query: Sequence[Stack],
    probes: Probes,
    near: Near,
    series_of: Mapping[int, Series],
    unit_of: Callable[[Series], str | None],
) -> list[str]:
    """Return the candidates that the probes' neighbours are of, the most promising first.

    A probe that found none of a candidate counts as if the candidate had a slice as far away as the farthest found.

    Parameters
    ----------
    query, probes, near
        The query, and what its probes found.
    series_of
        Label → series; what is missing is passed over.
    unit_of
        Series → the candidate that it is of; None for what must not be shown.

    """
    units: dict[str, int] = {}
    known: dict[str, tuple[int, NDArray[np.float32]]] = {}
    for one in series_of.values():
        if one.orthanc_id not in known:
            unit, kind = unit_of(one), kind_of(one)
            number = -1 if unit is None else units.setdefault(unit, len(units))
            known[one.orthanc_id] = number, np.array([agreement(stack.kind, kind) for stack in query], np.float32)
    if not units:
        return []
    closest = np.zeros((len(units), len(query)), np.float32)
    for number, agreed in known.values():
        if number >= 0:
            closest[number] = np.maximum(closest[number], agreed)
    labels = np.array(list(series_of), np.int64)
    order = np.argsort(labels)
    owners = np.array([known[series.orthanc_id][0] for series in series_of.values()])[order]
    agreements = np.array([known[series.orthanc_id][1] for series in series_of.values()])[order]
    best = np.empty((len(units), len(near)), np.float32)
    for probe, (found, similarities) in enumerate(near):
        farthest = similarities[-1] if len(similarities) else -1
        best[:, probe] = farthest * closest[:, probes.stacks[probe]]
        places = np.minimum(np.searchsorted(labels[order], found), len(labels) - 1)
        ours = (labels[order][places] == found) & (owners[places] >= 0)
        places = places[ours]
        np.maximum.at(best[:, probe], owners[places], similarities[ours] * agreements[places, probes.stacks[probe]])
    names = list(units)
    return [names[place] for place in np.argsort(-(best @ probes.weights), kind="stable")]
