"""One evaluation: every query ranked against the gallery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

import _library  # noqa: F401 - before cbmir
from cbmir.answering.expansion import expanded as towards
from evaluation import metrics
from sources.csv_table import TableError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from numpy.typing import NDArray

    from sources.tables import Row

PAIRS = 10_000_000
"""Pairs of query and gallery picture ranked at once: bounds the memory, whatever the tables' length."""

MEASURES = ("mAP", "P@1", "P@5", "P@10", "mAP@10")


@dataclass(frozen=True, slots=True)
class Embedded:
    """Rows of tables, their embeddings (n, dim) float32, and the class predicted of each, "" for none of them."""

    rows: Sequence[Row]
    vectors: NDArray[np.float32]
    predicted: NDArray[np.str_] | None = None

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
    shown
        (q,) int64: so many of them are hits; fewer than ten where fewer may be found.
    precision
        (101,) float64 precision at the recall levels 0, 0.01, ... 1.
    same_group
        Whether the query's own group was left out of the gallery.

    """

    queries: Embedded
    gallery: Embedded
    values: dict[str, NDArray[np.float64]]
    votes: NDArray[np.str_]
    top: NDArray[np.int64]
    shown: NDArray[np.int64]
    precision: NDArray[np.float64]
    same_group: bool

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


@dataclass(frozen=True, slots=True)
class Method:
    """How a gallery is ranked.

    Attributes
    ----------
    expand
        Number of hits that each query is moved towards.
    euclidean
        By Euclidean distance rather than by cosine similarity.
    of_class
        Only what is predicted to be of the query's predicted class is found.

    """

    expand: int = 0
    euclidean: bool = False
    of_class: bool = False


def evaluate(queries: Embedded, gallery: Embedded, *, same_group: bool, method: Method | None = None) -> Evaluation:
    """Return how each query fares; `same_group` True leaves its own group out of the gallery."""
    method = method or Method()
    values: dict[str, list[NDArray[np.float64]]] = {name: [] for name in (*MEASURES, "chance_mAP")}
    votes, top, shown, curve, judged = [], [], [], np.zeros(101), 0
    for part in tqdm(list(portions(queries, gallery)), desc="ranking", leave=False, disable=None):
        some = Embedded(queries.rows[part], queries.vectors[part], _part(queries.predicted, part))
        ranking = ranked(some, gallery, same_group=same_group, method=method)
        for name, measure in measured(ranking).items():
            values[name].append(measure)
        votes.append(metrics.vote(ranking, gallery.labels))
        top.append(ranking.order[:, : metrics.NEAREST])
        shown.append(np.minimum(ranking.allowed, metrics.NEAREST))
        if ranking.judged.any():
            curve += metrics.precision_recall(ranking)[1] * ranking.judged.sum()
            judged += int(ranking.judged.sum())
    if not judged:
        raise TableError("no query has a picture of its class that may be found: is the group column the right one?")
    joined = {name: np.concatenate(parts) for name, parts in values.items()}
    answers = np.concatenate(votes), np.concatenate(top), np.concatenate(shown), curve / judged
    return Evaluation(queries, gallery, joined, *answers, same_group)


def portions(queries: Embedded, gallery: Embedded) -> Iterator[slice]:
    """Yield the places of queries that are ranked together."""
    step = max(1, PAIRS // len(gallery.rows))
    yield from (slice(start, start + step) for start in range(0, len(queries.rows), step))


def _part(values: NDArray[np.str_] | None, part: slice) -> NDArray[np.str_] | None:
    return None if values is None else values[part]


def ranked(queries: Embedded, gallery: Embedded, *, same_group: bool, method: Method) -> metrics.Ranking:
    """Return the gallery ranked for each query."""
    forbidden = excluded(queries.rows, gallery.rows, same_group=same_group)
    moved = expanded(queries.vectors, gallery.vectors, forbidden, method.expand)
    similarity = moved @ gallery.vectors.T
    if method.euclidean:
        # |q - g|^2 = |q|^2 - 2 q.g + |g|^2, of which the first changes no order
        similarity = similarity - 0.5 * np.square(gallery.vectors).sum(axis=1)
    withheld = None
    if method.of_class:
        if queries.predicted is None or gallery.predicted is None:
            raise TableError("this system predicts no class")
        # a query that is like none of the classes is not restricted
        withheld = (queries.predicted[:, np.newaxis] != gallery.predicted) & (queries.predicted != "")[:, np.newaxis]
    return metrics.rank(similarity, queries.labels, gallery.labels, forbidden, withheld)


def expanded(
    queries: NDArray[np.float32], gallery: NDArray[np.float32], forbidden: NDArray[np.bool_], hits: int
) -> NDArray[np.float32]:
    """Return (q, dim) queries moved towards their first hits, as the plugin does. No hit is forbidden."""
    if hits == 0:
        return queries
    similarity = np.where(forbidden, -1, queries @ gallery.T)
    nearest = np.argpartition(-similarity, min(hits, len(gallery)) - 1, axis=1)[:, :hits]
    return towards(queries, gallery[nearest], np.take_along_axis(similarity, nearest, axis=1))


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
