"""Losses and metrics over the epochs, as one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PANELS = (
    ("loss", ("class", "metric", "lesion")),
    ("share", ("accuracy", "held_out_accuracy", "mAP", "P@10")),
)


def draw(history: Sequence[dict[str, float]], path: Path) -> None:
    """Write the curves of a training as PNG: losses on the left, accuracy and retrieval on the right."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, names) in zip(figure.subplots(1, 2), PANELS, strict=True):
        for name in names:
            points = [(entry["epoch"], entry[name]) for entry in history if name in entry]
            if points:
                axes.plot(
                    *zip(*points, strict=True), label=name.replace("_", " "), marker="." if len(points) < 40 else ""
                )
        axes.set(xlabel="epoch", ylabel=title)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    figure.savefig(path, dpi=100)
