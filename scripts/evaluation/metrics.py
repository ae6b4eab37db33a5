"""How good a ranking is: precision, average precision, chance, intervals, nearest-neighbour vote. Pure; numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEAREST = 10
"""How many hits a user looks at: the k of P@k, mAP@k and the vote."""

RESAMPLES = 2000
"""Bootstrap samples; the 2.5th and 97.5th percentile are then steady to a few tenths of a point."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The whole gallery ranked for each of q queries, the best hit first.

    Attributes
    ----------
    order
        (q, g) int64 gallery positions.
    relevant
        (q, g) bool: is the hit at this rank of the query's class? False for what is excluded.
    allowed
        (q,) int64: so many of the first ranks are hits; what follows is excluded (the query's own case) or withheld.
    possible
        (q,) int64: so many pictures of the query's class could have been found; what is withheld counts.
    candidates
        (q,) int64: so many pictures of any class could have been found, likewise.

    """

    order: NDArray[np.int64]
    relevant: NDArray[np.bool_]
    allowed: NDArray[np.int64]
    possible: NDArray[np.int64]
    candidates: NDArray[np.int64]

    @property
    def judged(self) -> NDArray[np.bool_]:
        """(q,) bool: queries that have anything relevant to find; the others have no average precision."""
        return np.asarray(self.possible > 0)


def rank(
    similarity: NDArray[np.float32],
    query_labels: NDArray[np.str_],
    gallery_labels: NDArray[np.str_],
    excluded: NDArray[np.bool_] | None = None,
    withheld: NDArray[np.bool_] | None = None,
) -> Ranking:
    """Return the gallery ranked by falling similarity, ties in gallery order.

    Parameters
    ----------
    similarity
        (q, g) float32.
    query_labels, gallery_labels
        (q,) and (g,) classes.
    excluded
        (q, g) bool: pairs that must not be compared, such as a query and its own case.
    withheld
        (q, g) bool: pairs that a system keeps from the user, such as those of another class than it predicts. What it
        withholds wrongly counts as never found.

    """
    nothing = np.zeros(similarity.shape, bool)
    excluded = nothing if excluded is None else excluded
    hidden = excluded if withheld is None else excluded | withheld
    order = np.argsort(np.where(hidden, np.inf, -similarity), axis=1, kind="stable")
    allowed = (~hidden).sum(axis=1)
    same = gallery_labels == query_labels[:, np.newaxis]
    relevant = np.take_along_axis(same & ~hidden, order, axis=1)
    return Ranking(order, relevant, allowed, (same & ~excluded).sum(axis=1), (~excluded).sum(axis=1))


def average_precision(ranking: Ranking, k: int | None = None) -> NDArray[np.float64]:
    """Return (q,) float64 average precision over the first k ranks, or all; nan where nothing is relevant.

    AP: mean, over the relevant hits, of the precision at their rank; with a cut, over min(k, relevant) of them.
    """
    found = ranking.relevant if k is None else ranking.relevant[:, :k]
    precision = np.cumsum(found, axis=1) / np.arange(1, found.shape[1] + 1)
    possible = ranking.possible if k is None else np.minimum(ranking.possible, k)
    with np.errstate(invalid="ignore"):
        result: NDArray[np.float64] = (precision * found).sum(axis=1) / possible
    return result


def precision_at(ranking: Ranking, k: int) -> NDArray[np.float64]:
    """Return (q,) float64 share of relevant hits among the first k, or among all if fewer are allowed."""
    shown = np.minimum(ranking.allowed, k)
    with np.errstate(invalid="ignore"):
        result: NDArray[np.float64] = ranking.relevant[:, :k].sum(axis=1) / shown
    # who is shown nothing sees no right case either
    return np.where(shown > 0, result, 0.0)


def chance(ranking: Ranking) -> NDArray[np.float64]:
    """Return (q,) float64 precision of a random order: the share of relevant pictures in what may be found.

    Its mean is the sum of the squared class shares when queries and gallery are mixed alike.
    """
    with np.errstate(invalid="ignore"):
        result: NDArray[np.float64] = ranking.possible / ranking.candidates
    return result


def precision_recall(ranking: Ranking, points: int = 101) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return recall levels (points,) in 0..1 and the interpolated precision there, averaged over the queries.

    Interpolated: the best precision at this recall or a higher one (Manning et al., Introduction to IR, 8.4).
    """
    levels = np.linspace(0, 1, points)
    curves = []
    for found, possible in zip(ranking.relevant[ranking.judged], ranking.possible[ranking.judged], strict=True):
        hits = np.flatnonzero(found)
        precision = np.zeros(possible)
        precision[: len(hits)] = np.arange(1, len(hits) + 1) / (hits + 1)
        best = np.maximum.accumulate(precision[::-1])[::-1]
        curves.append(best[np.clip(np.ceil(levels * possible).astype(int) - 1, 0, None)])
    return levels, np.mean(curves, axis=0)


def vote(ranking: Ranking, gallery_labels: NDArray[np.str_], k: int = NEAREST) -> NDArray[np.str_]:
    """Return (q,) the commonest class of the first k hits; of equals, the one whose best hit ranks first."""
    winners = []
    for order, allowed in zip(ranking.order, ranking.allowed, strict=True):
        names, first, count = np.unique(gallery_labels[order[: min(k, allowed)]], return_index=True, return_counts=True)
        winners.append(names[np.lexsort((first, -count))[0]] if len(names) else "")
    return np.array(winners)


def confusion(truth: NDArray[np.str_], guess: NDArray[np.str_], labels: list[str]) -> NDArray[np.int64]:
    """Return (classes, classes) int64 counts: row = true class, column = guessed class, both in the order of labels."""
    place = {label: index for index, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), np.int64)
    for true, guessed in zip(truth, guess, strict=True):
        if guessed in place:
            counts[place[true], place[guessed]] += 1
    return counts


def interval(values: NDArray[np.float64], groups: NDArray[np.str_], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean, whole groups resampled together; nan values are left out.

    Slices of one case are alike: resampling slices would make any figure look surer than it is.
    """
    known = ~np.isnan(values)
    _, member = np.unique(groups[known], return_inverse=True)
    if len(member) == 0:
        return float("nan"), float("nan")
    totals, counts = np.bincount(member, values[known]), np.bincount(member)
    draws = np.random.default_rng(seed).multinomial(len(totals), np.full(len(totals), 1 / len(totals)), RESAMPLES)
    low, high = np.percentile(draws @ totals / (draws @ counts), (2.5, 97.5))
    return float(low), float(high)


def blocks(n: int, length: int) -> NDArray[np.str_]:
    """Return (n,) names of runs of neighbouring rows: they stand for cases where a table keeps a case together."""
    return (np.arange(n) // length).astype(str)
