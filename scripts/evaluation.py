"""One evaluation: every query ranked against the gallery, and what is told of it in figures and text."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

import _library  # noqa: F401 - before cbmir
import retrieval_metrics as metrics
from cbmir.index import SliceIndex
from tables import TableError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray

    from tables import Row

CHUNK = 512
"""Queries ranked at once: bounds the memory, whatever the tables' length."""

FEWEST_GROUPS = 2
"""Fewer groups cannot be resampled; blocks of neighbouring rows then stand in."""

MEASURES = ("mAP", "P@1", "P@5", "P@10", "mAP@10")


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

    queries: Sequence[Row]
    gallery: Sequence[Row]
    query_vectors: NDArray[np.float32]
    gallery_vectors: NDArray[np.float32]
    values: dict[str, NDArray[np.float64]]
    votes: NDArray[np.str_]
    top: NDArray[np.int64]
    precision: NDArray[np.float64]

    @property
    def labels(self) -> list[str]:
        """Classes of queries and gallery, sorted."""
        return sorted({row.label for row in (*self.queries, *self.gallery)})

    @property
    def truth(self) -> NDArray[np.str_]:
        """(q,) true classes."""
        return np.array([row.label for row in self.queries])


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


def evaluate(
    queries: Sequence[Row],
    gallery: Sequence[Row],
    query_vectors: NDArray[np.float32],
    gallery_vectors: NDArray[np.float32],
    *,
    same_group: bool,
) -> Evaluation:
    """Return how each query fares; `same_group` True leaves its own group out of the gallery."""
    gallery_labels = np.array([row.label for row in gallery])
    values: dict[str, list[NDArray[np.float64]]] = {name: [] for name in (*MEASURES, "chance_mAP")}
    votes, top, curve, judged = [], [], np.zeros(101), 0
    for start in tqdm(range(0, len(queries), CHUNK), desc="ranking", leave=False, disable=None):
        chosen = queries[start : start + CHUNK]
        similarity = query_vectors[start : start + CHUNK] @ gallery_vectors.T
        labels = np.array([row.label for row in chosen])
        ranking = metrics.rank(similarity, labels, gallery_labels, excluded(chosen, gallery, same_group=same_group))
        for name, part in measured(ranking).items():
            values[name].append(part)
        votes.append(metrics.vote(ranking, gallery_labels))
        top.append(ranking.order[:, : metrics.NEAREST])
        if ranking.judged.any():
            curve += metrics.precision_recall(ranking)[1] * ranking.judged.sum()
            judged += int(ranking.judged.sum())
    if not judged:
        raise TableError("no query has a picture of its class that may be found: is the group column the right one?")
    joined = {name: np.concatenate(parts) for name, parts in values.items()}
    answers = joined, np.concatenate(votes), np.concatenate(top), curve / judged
    return Evaluation(queries, gallery, query_vectors, gallery_vectors, *answers)


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


def summary(found: Evaluation, options: argparse.Namespace, system: str, recall: float) -> dict[str, Any]:
    """Return the figures as JSON holds them."""
    groups, resampled = resampling_groups(found.queries, options.block)
    confusion = metrics.confusion(found.truth, found.votes, found.labels)
    return {
        "system": system,
        **{name: float(np.nanmean(value)) for name, value in found.values.items()},
        "n_queries": len(found.queries),
        "n_queries_without_relevant": int(np.isnan(found.values["mAP"]).sum()),
        "n_gallery": len(found.gallery),
        "per_class": {label: of_class(found, label) for label in sorted({row.label for row in found.queries})},
        "confidence_intervals": {name: metrics.interval(found.values[name], groups) for name in MEASURES},
        "confusion": {
            "labels": found.labels,
            "counts": confusion.tolist(),
            "accuracy": float(np.trace(confusion) / len(found.queries)),
        },
        "index_recall": recall,
        "protocol": (
            f"Cosine similarity over the whole gallery, relevant = same {options.label}. The picture itself "
            f"{f'and its {options.group} are' if options.exclude_same_group else 'is'} never found. Intervals: 95 %, "
            f"bootstrap over {resampled}. Chance is the mAP of a random order."
        ),
        "tables": {side: [Path(spec).name for spec in getattr(options, side)] for side in ("gallery", "queries")},
    }


def resampling_groups(queries: Sequence[Row], block: int) -> tuple[NDArray[np.str_], str]:
    """Return what is resampled as a whole for the intervals, and its description."""
    groups = np.array([row.group for row in queries])
    count = len(set(groups))
    if count >= FEWEST_GROUPS:
        return groups, f"{count} groups of queries"
    return metrics.blocks(len(queries), block), f"blocks of {block} neighbouring rows, as all queries are of one group"


def of_class(found: Evaluation, label: str) -> dict[str, float]:
    """Return the figures of the queries of one class."""
    chosen = found.truth == label
    values = {name: mean(value[chosen]) for name, value in found.values.items()}
    return {**values, "n_queries": int(chosen.sum()), "vote_recall": float((found.votes[chosen] == label).mean())}


def mean(values: NDArray[np.float64]) -> float:
    """Return the mean of what is not nan; nan if there is nothing."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def index_recall(found: Evaluation, queries: int = 500) -> float:
    """Return the share of the ten nearest gallery pictures that the plugin's index finds too."""
    wanted = found.query_vectors[:: max(1, len(found.query_vectors) // queries)]
    k = min(metrics.NEAREST, len(found.gallery))
    exact = np.argsort(-(wanted @ found.gallery_vectors.T), axis=1)[:, :k]
    with tempfile.TemporaryDirectory() as folder:
        index = SliceIndex(Path(folder), dim=found.gallery_vectors.shape[1], model="evaluation")
        index.add(np.arange(len(found.gallery)), found.gallery_vectors)
        hits = [index.search(vector, k)[0] for vector in wanted]
    return float(np.mean([len(np.intersect1d(a, e)) / k for a, e in zip(hits, exact, strict=True)]))


def table(figures: dict[str, Any]) -> str:
    """Return the figures as text for the terminal."""
    lines = [f"{figures['system']}: {figures['n_queries']} queries, {figures['n_gallery']} in the gallery", ""]
    lines.append(f"{'':24}{'value':>8}   95 % interval")
    for name in MEASURES:
        low, high = figures["confidence_intervals"][name]
        lines.append(f"{name:24}{figures[name]:8.4f}   {low:.4f} to {high:.4f}")
    lines.append(f"{'chance mAP':24}{figures['chance_mAP']:8.4f}")
    lines.append(f"{'vote of 10 nearest':24}{figures['confusion']['accuracy']:8.4f}   accuracy")
    lines.append(f"{'index recall':24}{figures['index_recall']:8.4f}   of the exact 10 nearest")
    lines += ["", f"{'class':24}{'queries':>8}{'mAP':>8}{'P@10':>8}{'chance':>8}{'vote':>8}"]
    for label, row in figures["per_class"].items():
        numbers = "".join(f"{row[name]:8.4f}" for name in ("mAP", "P@10", "chance_mAP", "vote_recall"))
        lines.append(f"{label[:23]:24}{row['n_queries']:8d}{numbers}")
    return "\n".join([*lines, "", figures["protocol"]])
