"""Draws what was measured. What has no picture here is a table only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def draw(name: str, found: dict[str, Any], file: Path) -> None:
    """Write the picture of a measurement, if it has one."""
    if name in _BARS:
        title, bars = _BARS[name](found)
        figure, axes = plt.subplots(figsize=(8, 1 + 0.4 * len(bars)), layout="constrained")
        axes.barh(list(bars), list(bars.values()))
        axes.invert_yaxis()
        axes.set_xlabel(title)
    elif name == "scale":
        figure, both = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
        memory = {"index in memory": [max(1, one["steps"]["read the index"]["megabytes"]) for one in found["sizes"]]}
        for axes, unit, lines in zip(both, ("seconds of processor time", "MB"), (_lines(found), memory), strict=True):
            for label, costs in lines.items():
                axes.loglog([one["slices"] for one in found["sizes"]], costs, "o-", label=label)
            axes.set(xlabel="slices", ylabel=unit)
            axes.grid(alpha=0.3)
            axes.legend()
    elif name == "backfill":
        figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
        axes.plot(*([one[key] for one in found["samples"]] for key in ("slices", "anonymousMegabytes")))
        axes.set(xlabel="slices that can be found", ylabel="MB", ylim=(0, None))
        axes.grid(alpha=0.3)
    else:
        return
    figure.savefig(file, dpi=120)
    plt.close(figure)


def _lines(found: dict[str, Any]) -> dict[str, list[float]]:
    sizes = found["sizes"]
    steps = {step: [max(0.001, one["steps"][step]["processorSeconds"]) for one in sizes] for step in sizes[0]["steps"]}
    queries = {
        f"query, filter: {name}": [one["filters"][name]["processorMilliseconds"]["p50"] / 1000 for one in sizes]
        for name in sizes[0]["filters"]
    }
    return steps | queries


def _seconds(found: dict[str, Any]) -> dict[str, float]:
    return {name: step["seconds"] for name, step in found["steps"].items()}


_BARS: dict[str, Callable[[dict[str, Any]], tuple[str, dict[str, float]]]] = {
    "embed": lambda found: (
        "ms a slice, batch 8",
        {name: one["batch8"]["milliseconds"] for name, one in found["runtimes"].items()},
    ),
    "ingest": lambda found: (
        "slices a second",
        {
            f"{what}, threads: {threads}": one[key]
            for threads, one in found["threads"].items()
            for what, key in (
                ("stored", "storedPerSecond"),
                ("searchable", "searchablePerSecond"),
                ("stored at once", "storedAtOncePerSecond"),
                ("searchable after that", "afterwardsPerSecond"),
                ("embedded alone", "embeddedPerSecond"),
            )
        },
    ),
    "cstore": lambda found: ("images a second", found["medians"]["imagesPerSecond"]),
    "burst": lambda found: ("images a second", found["medians"]["imagesPerSecond"]),
    "index": lambda found: ("seconds", _seconds(found)),
    "compressed": lambda found: ("seconds", _seconds(found)),
    "startup": lambda found: ("seconds", _seconds(found)),
    "answer": lambda found: ("ms, median", {name: one["p50"] for name, one in found["requests"].items()}),
    "query": lambda found: (
        "ms of processor, median",
        {name: one["processorMilliseconds"]["p50"] for name, one in found["filters"].items()},
    ),
}
