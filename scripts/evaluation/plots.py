"""Pictures of an evaluation: precision against recall, classes, confusion, map of the embedding, the worst queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tqdm import tqdm

from sources.slice_files import picture

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from evaluation.ranked import Evaluation

WORST, SHOWN = 8, 5
"""Queries on the contact sheet, and hits beside each."""


def draw_all(found: Evaluation, figures: dict[str, Any], folder: Path) -> None:
    """Write all plots into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    plots = {
        "precision_recall.png": lambda: precision_recall(found, figures),
        "classes.png": lambda: classes(figures),
        "confusion.png": lambda: confusion(figures),
        "map.png": lambda: embedding_map(found),
        "worst.png": lambda: worst(found),
    }
    if figures["confounds"]:
        plots["confounds.png"] = lambda: confounds(figures)
    for name, plot in tqdm(plots.items(), desc="plots", leave=False, disable=None):
        plot().savefig(folder / name, dpi=100)


def blank(width: float, height: float) -> Figure:
    """Return an empty figure of this size in inches, which needs no display."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def precision_recall(found: Evaluation, figures: dict[str, Any]) -> Figure:
    """Return interpolated precision against recall, and chance."""
    figure = blank(5, 4)
    axes = figure.subplots()
    axes.plot(np.linspace(0, 1, len(found.precision)), found.precision, label=f"mAP {figures['mAP']:.3f}")
    axes.axhline(figures["chance_mAP"], color="grey", linestyle="--", label=f"chance {figures['chance_mAP']:.3f}")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), title=figures["system"])
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def classes(figures: dict[str, Any]) -> Figure:
    """Return mAP and P@10 of each class as bars, its chance as a mark."""
    rows = figures["per_class"]
    places = np.arange(len(rows))
    figure = blank(6, 1.5 + 0.45 * len(rows))
    axes = figure.subplots()
    for offset, name in ((-0.2, "mAP"), (0.2, "P@10")):
        axes.barh(places + offset, [row[name] or 0 for row in rows.values()], height=0.38, label=name)
    axes.plot([row["chance_mAP"] or 0 for row in rows.values()], places, "k|", markersize=16, label="chance")
    axes.set_yticks(places, [f"{label} ({row['n_queries']})" for label, row in rows.items()])
    axes.set(xlim=(0, 1), xlabel="share")
    axes.invert_yaxis()
    axes.legend()
    return figure


def confusion(figures: dict[str, Any]) -> Figure:
    """Return the confusion matrix of the vote: counts, shaded by share of the true class."""
    labels, counts = figures["confusion"]["labels"], np.array(figures["confusion"]["counts"])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.5 + 0.6 * len(labels)
    figure = blank(side, side)
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        axes.text(
            column, row, str(count), ha="center", va="center", color="white" if shares[row, column] > 0.5 else "k"
        )
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="vote of the 10 nearest", ylabel="true class")
    return figure


def confounds(figures: dict[str, Any]) -> Figure:
    """Return how often hits share what the picture should not matter for, beside a random order."""
    rows = figures["confounds"]
    places = np.arange(len(rows))
    figure = blank(6, 1.5 + 0.55 * len(rows))
    axes = figure.subplots()
    bars = (("share", "chance", "first 10 hits"), ("within_class", "chance_within_class", "of the query's class"))
    for offset, (name, chance, title) in zip((-0.2, 0.2), bars, strict=True):
        axes.barh(places + offset, [row[name] or 0 for row in rows.values()], height=0.38, label=title)
        axes.plot([row[chance] or 0 for row in rows.values()], places + offset, "k|", markersize=12)
    axes.plot([], [], "k|", label="a random order")
    axes.set_yticks(places, list(rows))
    axes.set(xlim=(0, 1), xlabel="share that has the query's value")
    axes.invert_yaxis()
    axes.legend()
    return figure


def embedding_map(found: Evaluation) -> Figure:
    """Return the queries on the two directions in which their embeddings differ most (principal components)."""
    centred = found.queries.vectors - found.queries.vectors.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    plane = np.zeros((len(centred), 2))
    plane[:, : len(directions)] = centred @ directions[:2].T
    figure = blank(6, 5)
    axes = figure.subplots()
    for label in sorted(set(found.queries.labels)):
        across, up = plane[found.queries.labels == label].T
        axes.scatter(across, up, s=6, alpha=0.6, label=label)
    axes.set(xlabel="first principal component", ylabel="second")
    axes.legend()
    return figure


def worst(found: Evaluation) -> Figure:
    """Return the queries with the lowest average precision, each with its first hits, right ones framed green."""
    judged = int((~np.isnan(found.values["mAP"])).sum())
    order = np.argsort(found.values["mAP"])[: min(WORST, judged)]
    figure = blank(2 * (SHOWN + 1), 2.2 * len(order))
    grid = figure.subplots(len(order), SHOWN + 1, squeeze=False)
    for axes, query in zip(grid, order, strict=True):
        row = found.queries.rows[query]
        show(axes[0], picture(row.file)[0], f"query: {row.label}\nAP {found.values['mAP'][query]:.2f}", "black")
        for place, hit in zip(axes[1:], found.top[query, : found.shown[query]], strict=False):
            other = found.gallery.rows[hit]
            show(place, picture(other.file)[0], other.label, "green" if other.label == row.label else "red")
        for place in axes[1 + found.shown[query] :]:
            place.axis("off")
    return figure


def show(axes: Axes, grey: NDArray[np.float32], title: str, colour: str) -> None:
    """Draw one picture with a coloured frame and title."""
    axes.imshow(grey, cmap="gray", vmin=0, vmax=1)
    axes.set_title(title, fontsize=8, color=colour)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color=colour, linewidth=3)
