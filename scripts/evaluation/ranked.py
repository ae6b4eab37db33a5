"""One evaluation: every query ranked against the gallery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from evaluation import metrics
from sources.tables import TableError

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray

    from sources.tables import Row

CHUNK = 512
"""Queries ranked at once: bounds the memory, whatever the tables' length."""

MEASURES = ("mAP", "P@1", "P@5", "P@10", "mAP@10")


@dataclass(frozen=True, slots=True)
class Embedded:
    """Rows of tables and their embeddings, (n, dim) float32 of unit length."""

    rows: Sequence[Row]
    vectors: NDArray[np.float32]

    @property
    def labels(self) -> NDArray[np.str_]:
        """(n,) classes."""
        return np.array([row.label for row in self.rows])


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that is known about each of q queries, in the order of `queries`.

    Attributes
    ----------
    values
        Per measure (MEASURES and "chance_mAP") (q,) float64, nan where nothing relevant may be found.
    votes
        (q,) class that the ten nearest vote for.
    top
        (q, 10) int64 gallery positions of the first hits.
    precision
        (101,) float64 precision at the recall levels 0, 0.01, ... 1.

    """

    queries: Embedded
    gallery: Embedded
    values: dict[str, NDArray[np.float64]]
    votes: NDArray[np.str_]
    top: NDArray[np.int64]
    precision: NDArray[np.float64]

    @property
    def labels(self) -> list[str]:
        """Classes of queries and gallery, sorted."""
        return sorted({row.label for row in (*self.queries.rows, *self.gallery.rows)})


def excluded(queries: Sequence[Row], gallery: Sequence[Row], *, same_group: bool) -> NDArray[np.bool_]:
    """Return (q, g) bool: pairs of a picture with itself and, if asked, with its own group."""
    pairs = _equal([row.file for row in queries], [row.file for row in gallery])
    if same_group:
        pairs |= _equal([row.group for row in queries], [row.group for row in gallery])
    return pairs


def _equal(left: Sequence[Hashable], right: Sequence[Hashable]) -> NDArray[np.bool_]:
    """Return (l, r) bool: which pairs are equal. Compares numbers, as texts would take seconds."""
    numbers: dict[Hashable, int] = {}
    first, second = (np.array([numbers.setdefault(item, len(numbers)) for item in side]) for side in (left, right))
    return np.asarray(first[:, np.newaxis] == second)


def evaluate(queries: Embedded, gallery: Embedded, *, same_group: bool, expand: int = 0) -> Evaluation:
    """Return how each query fares.

    `same_group` True leaves its own group out of the gallery; `expand` is the number of hits added to each query.
    """
    values: dict[str, list[NDArray[np.float64]]] = {name: [] for name in (*MEASURES, "chance_mAP")}
    votes, top, curve, judged = [], [], np.zeros(101), 0
    for start in tqdm(range(0, len(queries.rows), CHUNK), desc="ranking", leave=False, disable=None):
        part = slice(start, start + CHUNK)
        forbidden = excluded(queries.rows[part], gallery.rows, same_group=same_group)
        moved = expanded(queries.vectors[part], gallery.vectors, forbidden, expand)
        ranking = metrics.rank(moved @ gallery.vectors.T, queries.labels[part], gallery.labels, forbidden)
        for name, measure in measured(ranking).items():
            values[name].append(measure)
        votes.append(metrics.vote(ranking, gallery.labels))
        top.append(ranking.order[:, : metrics.NEAREST])
        if ranking.judged.any():
            curve += metrics.precision_recall(ranking)[1] * ranking.judged.sum()
            judged += int(ranking.judged.sum())
    if not judged:
        raise TableError("no query has a picture of its class that may be found: is the group column the right one?")
    joined = {name: np.concatenate(parts) for name, parts in values.items()}
    answers = joined, np.concatenate(votes), np.concatenate(top), curve / judged
    return Evaluation(queries, gallery, *answers)


def expanded(
    queries: NDArray[np.float32], gallery: NDArray[np.float32], forbidden: NDArray[np.bool_], hits: int
) -> NDArray[np.float32]:
    """Return (q, dim) queries moved towards their first hits: alpha query expansion (Radenovic et al., TPAMI 2019).

    Each hit counts with its similarity to the third power, as there. No hit is forbidden.
    """
    if hits == 0:
        return queries
    similarity = np.where(forbidden, -1, queries @ gallery.T)
    nearest = np.argpartition(-similarity, min(hits, len(gallery)) - 1, axis=1)[:, :hits]
    weight = np.maximum(np.take_along_axis(similarity, nearest, axis=1), 0) ** 3
    moved = queries + np.einsum("qk,qkd->qd", weight, gallery[nearest])
    return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), np.float32)


def measured(ranking: metrics.Ranking) -> dict[str, NDArray[np.float64]]:
    """Return each measure of each query, nan for all where nothing relevant may be found."""
    values = {
        "mAP": metrics.average_precision(ranking),
        "P@1": metrics.precision_at(ranking, 1),
        "P@5": metrics.precision_at(ranking, 5),
        "P@10": metrics.precision_at(ranking, metrics.NEAREST),
        "mAP@10": metrics.average_precision(ranking, metrics.NEAREST),
        "chance_mAP": metrics.chance(ranking),
    }
    return {name: np.where(ranking.judged, value, np.nan) for name, value in values.items()}
