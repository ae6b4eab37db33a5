"""Tables of pictures become embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from tqdm import tqdm

from evaluation.ranked import Embedded
from sources.csv_table import TableError, listed
from sources.slice_files import picture

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from evaluation.systems import System
    from sources.tables import Row

BATCH = 16
"""Pictures embedded at once."""


Kind = TypeVar("Kind", bound=np.generic)


def vectors(
    rows: Sequence[Row], side: int, embed: Callable[[NDArray[np.float32]], NDArray[Kind]], name: str
) -> NDArray[Kind]:
    """Return (n, ...), what `embed` says about each picture."""
    parts = []
    with tqdm(total=len(rows), desc=name, unit="img", disable=None) as progress:
        for start in range(0, len(rows), BATCH):
            chosen = rows[start : start + BATCH]
            parts.append(embed(np.stack([picture(row.file, side) for row in chosen])))
            progress.update(len(chosen))
    return np.concatenate(parts)


def readable(rows: Sequence[Row], unreadable: list[str]) -> list[Row]:
    """Return the rows whose picture can be used; the names of the others are added to `unreadable`."""
    kept = []
    for row in tqdm(rows, desc="look", unit="img", leave=False, disable=None):
        try:
            picture(row.file)
        except TableError as error:
            unreadable.append(str(error))
        else:
            kept.append(row)
    if not kept:
        raise TableError(f"not one picture can be used: {listed(unreadable, 1)}")
    return kept


def embedded(gallery: Sequence[Row], queries: Sequence[Row], system: System) -> tuple[Embedded, Embedded]:
    """Return queries and gallery embedded; pictures in both only once."""
    found = _embedded(gallery, vectors(gallery, system.side, system.embed, "gallery"), system)
    places = {row.file: index for index, row in enumerate(gallery)}
    if all(row.file in places for row in queries):
        return _embedded(queries, found.vectors[[places[row.file] for row in queries]], system), found
    return _embedded(queries, vectors(queries, system.side, system.embed, "queries"), system), found


def _embedded(rows: Sequence[Row], values: NDArray[np.float32], system: System) -> Embedded:
    return Embedded(rows, values, system.predicted(values) if system.predicted else None)
