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
from sources.tables import GROUP

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from evaluation.ranked import Embedded, Evaluation, Method
    from evaluation.systems import System
    from sources.tables import Row

FEWEST_GROUPS = 2
"""Fewer groups cannot be resampled; blocks of neighbouring rows then stand in."""


def summary(found: Evaluation, system: str, block: int, described: dict[str, Any]) -> dict[str, Any]:
    """Return the figures as JSON holds them, with what else is known of the evaluation."""
    groups, resampled = resampling_groups(found.queries.rows, block)
    resampling = f"Intervals: 95 %, bootstrap over {resampled}. Chance is the mAP of a random order."
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
        **described,
        "protocol": f"{described['protocol']} {resampling}",
    }


def protocol(options: argparse.Namespace, method: Method) -> str:
    """Return how the gallery was ranked, in sentences."""
    likeness = "Euclidean distance" if method.euclidean else "Cosine similarity"
    group = f"and its {options.group or GROUP} are" if options.exclude_same_group else "is"
    sentences = [f"{likeness} over the whole gallery, relevant = same {options.label}."]
    sentences.append(f"The picture itself {group} never found.")
    if method.expand:
        sentences.append(f"Each query is moved towards its first {method.expand} hits.")
    if method.of_class:
        sentences.append("Only what is predicted to be of the query's predicted class is found.")
    return " ".join(sentences)


def classification(queries: Embedded, system: System) -> dict[str, Any] | None:
    """Return how often the predicted class is right, of the queries whose class the system knows; None: it knows none.

    `far` is the share of all queries that count as none of the classes.
    """
    if system.nearest is None or system.predicted is None:
        return None
    nearest = system.nearest(queries.vectors)
    known = np.isin(queries.labels, system.labels)
    right = float((nearest == queries.labels)[known].mean()) if known.any() else None
    far = float((system.predicted(queries.vectors) == "").mean())
    return {"accuracy": right, "n_queries": int(known.sum()), "far": far}


def resampling_groups(queries: Sequence[Row], block: int) -> tuple[NDArray[np.str_], str]:
    """Return what is resampled as a whole for the intervals, and its description."""
    groups = np.array([row.group for row in queries])
    count = len(set(groups))
    if count >= FEWEST_GROUPS:
        return groups, f"{count} groups of queries"
    return metrics.blocks(len(queries), block), f"blocks of {block} neighbouring rows, as all queries are of one group"


def of_class(found: Evaluation, label: str) -> dict[str, float | int | None]:
    """Return the figures of the queries of one class; None where nothing relevant may be found."""
    chosen = found.queries.labels == label
    values = {name: mean(value[chosen]) for name, value in found.values.items()}
    return {**values, "n_queries": int(chosen.sum()), "vote_recall": float((found.votes[chosen] == label).mean())}


def mean(values: NDArray[np.float64]) -> float | None:
    """Return the mean of what is not nan; None if there is nothing."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def index_recall(found: Evaluation, queries: int = 500) -> float:
    """Return the share of the ten nearest gallery pictures, by cosine, that the plugin's index finds too."""
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
    if classified := figures["classification"]:
        share = f"of {classified['n_queries']} whose class it knows; {classified['far']:.1%} of all are like none"
        lines.append(f"{'predicted class':24}{number(classified['accuracy'])}   {share}")
    lines.append(f"{'index recall':24}{number(figures['index_recall'])}   of the exact 10 nearest")
    lines += ["", f"{'class':24}{'queries':>8}{'mAP':>8}{'P@10':>8}{'chance':>8}{'vote':>8}"]
    for label, row in figures["per_class"].items():
        numbers = "".join(number(row[name]) for name in ("mAP", "P@10", "chance_mAP", "vote_recall"))
        lines.append(f"{label[:23]:24}{row['n_queries']:8d}{numbers}")
    if figures["confounds"]:
        lines += [
            "",
            f"{'first 10 share its':24}{'values':>8}{'share':>8}{'chance':>8}{'of its class':>14}{'chance':>8}",
        ]
    for name, row in figures["confounds"].items():
        lines.append(
            f"{name[:23]:24}{row['n_values']:8d}{number(row['share'])}{number(row['chance'])}"
            f"{number(row['within_class'], 10)}{number(row['chance_within_class'])}"
        )
    if loss := figures.get("runtime_loss"):
        lines += ["", f"loss of the shipped runtime: {loss['mAP']:+.5f} of mAP ({loss['onnx']:.5f} against torch's)"]
    return "\n".join([*lines, "", figures["protocol"]])


def number(value: float | None, width: int = 8) -> str:
    """Return a share for a column of the table."""
    return f"{'-':>{width}}" if value is None else f"{value:{width}.4f}"
