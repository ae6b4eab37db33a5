"""What is told of an evaluation: figures as JSON holds them, and as a table for the terminal."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import _library  # noqa: F401 - before cbmir
from cbmir.index import SliceIndex
from evaluation import metrics
from evaluation.ranked import MEASURES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from evaluation.ranked import Evaluation
    from sources.tables import Row

FEWEST_GROUPS = 2
"""Fewer groups cannot be resampled; blocks of neighbouring rows then stand in."""


def summary(found: Evaluation, options: argparse.Namespace, system: str, recall: float) -> dict[str, Any]:
    """Return the figures as JSON holds them."""
    groups, resampled = resampling_groups(found.queries.rows, options.block)
    confusion = metrics.confusion(found.queries.labels, found.votes, found.labels)
    return {
        "system": system,
        **{name: float(np.nanmean(value)) for name, value in found.values.items()},
        "n_queries": len(found.queries.rows),
        "n_queries_without_relevant": int(np.isnan(found.values["mAP"]).sum()),
        "n_gallery": len(found.gallery.rows),
        "per_class": {label: of_class(found, label) for label in sorted({row.label for row in found.queries.rows})},
        "confidence_intervals": {name: metrics.interval(found.values[name], groups) for name in MEASURES},
        "confusion": {
            "labels": found.labels,
            "counts": confusion.tolist(),
            "accuracy": float(np.trace(confusion) / len(found.queries.rows)),
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
    chosen = found.queries.labels == label
    values = {name: mean(value[chosen]) for name, value in found.values.items()}
    return {**values, "n_queries": int(chosen.sum()), "vote_recall": float((found.votes[chosen] == label).mean())}


def mean(values: NDArray[np.float64]) -> float:
    """Return the mean of what is not nan; nan if there is nothing."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def index_recall(found: Evaluation, queries: int = 500) -> float:
    """Return the share of the ten nearest gallery pictures that the plugin's index finds too."""
    wanted = found.queries.vectors[:: max(1, len(found.queries.vectors) // queries)]
    k = min(metrics.NEAREST, len(found.gallery.rows))
    exact = np.argsort(-(wanted @ found.gallery.vectors.T), axis=1)[:, :k]
    with tempfile.TemporaryDirectory() as folder:
        index = SliceIndex(Path(folder), dim=found.gallery.vectors.shape[1], model="evaluation")
        index.add(np.arange(len(found.gallery.rows)), found.gallery.vectors)
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
