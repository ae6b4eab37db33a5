"""Measure every system on every set, fold by fold, and print the tables of docs/benchmark.md.

    .venv/bin/python scripts/benchmark.py --data figshare=DIR/index.csv --data brain15=DIR/index.csv \
        --data multi24=DIR/index.csv --runs runs --out docs/benchmark.json

What is measured is told by scripts/benchmark.toml. Queries are the pictures of one fold, the gallery those of the other
folds, and the network was trained on these too. What --out holds already is not measured again, and without --data only
printed; networks that are not there, or not trained to the end, are left out. scripts/train.py makes them,
scripts/folds.py the column of folds where a table has none.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import _library  # noqa: F401 - before cbmir
import evaluate
from cbmir.errors import CbmirError
from sources.csv_table import TableError

if TYPE_CHECKING:
    from collections.abc import Sequence

PLAN = Path(__file__).with_suffix(".toml")

KEPT = ("mAP", "P@1", "P@10", "chance_mAP", "n_queries", "n_gallery")
"""Figures of an evaluation that the benchmark keeps for each fold."""


@dataclass(frozen=True, slots=True)
class Set:
    """One set of pictures: which column says the fold, which the case, which classes count (all where empty)."""

    name: str
    title: str
    fold: str
    folds: tuple[str, ...]
    group: str
    labels: tuple[str, ...] = ()
    trained_as: str = ""

    @property
    def origin(self) -> str:
        """Name of the set that is at hand and that networks were trained on."""
        return self.trained_as or self.name


@dataclass(frozen=True, slots=True)
class System:
    """One row of the table: what scripts/evaluate.py is told; without --system the checkpoint is added."""

    name: str
    title: str
    options: tuple[str, ...] = field(default=())
    trained_as: str = ""


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", action="append", default=[], metavar="SET=TABLE", help="where a set lies; sets without are left out")
    add("--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of the trainings (default: runs)")
    add("--out", type=Path, required=True, metavar="FILE", help="JSON with the figures of each fold")
    add("--threads", type=int, default=2, help="CPU threads (default: 2)")
    return parser.parse_args(argv)


def plan(text: str) -> tuple[list[Set], list[System]]:
    """Return sets and systems of a TOML text. Raises KeyError or TypeError for what does not belong there."""
    content = tomllib.loads(text)

    def read(kind: type[Any], section: str) -> list[Any]:
        return [
            kind(name=name, **{key: tuple(entry) if isinstance(entry, list) else entry for key, entry in table.items()})
            for name, table in content[section].items()
        ]

    return read(Set, "sets"), read(System, "systems")


def wishes(chosen: Set, system: System, fold: str, table: str, options: argparse.Namespace) -> list[str] | None:
    """Return the command line of scripts/evaluate.py for one fold; None if its network is not there."""
    others = ",".join(other for other in chosen.folds if other != fold)
    line = ["--gallery", f"{table}:{chosen.fold}={others}", "--queries", f"{table}:{chosen.fold}={fold}"]
    line += ["--group", chosen.group, "--labels", ",".join(chosen.labels), "--threads", str(options.threads)]
    if "--system" not in system.options:
        checkpoint = _training(chosen, system, fold, options) / "checkpoint.pt"
        if not checkpoint.is_file() or not _finished(checkpoint):
            return None
        line += ["--checkpoint", str(checkpoint)]
    return [*line, *system.options]


def _training(chosen: Set, system: System, fold: str, options: argparse.Namespace) -> Path:
    """Return the folder of a training: on the classes of the set, where that is there, or on all that is at hand."""
    folders: list[Path] = [
        options.runs / f"{name}-{system.trained_as or system.name}-{fold}" for name in (chosen.name, chosen.origin)
    ]
    return next((folder for folder in folders if folder.is_dir()), folders[-1])


def minutes(training: Path) -> float | None:
    """Return how long a training took, as its history tells; None without one."""
    history = training / "history.json"
    return sum(epoch["seconds"] for epoch in json.loads(history.read_text())) / 60 if history.is_file() else None


def _finished(checkpoint: Path) -> bool:
    from training.checkpoints import finished  # noqa: PLC0415 - torch is needed for this only

    done = finished(checkpoint)
    if not done:
        print(f"left out, its training is not finished: {checkpoint}", file=sys.stderr)
    return done


def measured(line: list[str]) -> dict[str, Any]:
    """Return what is kept of one evaluation."""
    _, figures = evaluate.measure(evaluate.arguments(line))
    kept = {name: figures[name] for name in KEPT}
    accuracy = figures["classification"] and figures["classification"]["accuracy"]
    return {
        **kept,
        "accuracy": accuracy,
        "intervals": {name: figures["confidence_intervals"][name] for name in KEPT[:3]},
    }


def summary(sets: list[Set], systems: list[System], figures: dict[str, dict[str, Any]]) -> str:
    """Return one table of all systems and sets in Markdown: mAP / P@10 / accuracy (folds), minutes of a training."""
    sets = [chosen for chosen in sets if any(figures.get(f"{chosen.name}/{system.name}") for system in systems)]
    heads = ["system", *(chosen.title for chosen in sets), "minutes"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    of = {chosen.name: [figures.get(f"{chosen.name}/{system.name}", {}) for system in systems] for chosen in sets}
    chances = [mean(fold["chance_mAP"] for folds in of[one.name] for fold in folds.values()) for one in sets]
    lines.append("| chance, mAP | " + " | ".join(f"{chance:.3f}" for chance in chances) + " | |")
    for place, system in enumerate(systems):
        folds = [of[chosen.name][place] for chosen in sets]
        took = [fold["minutes"] for some in folds for fold in some.values() if fold.get("minutes")]
        if any(folds):
            lines.append(f"| {system.title} | {' | '.join(map(_cell, folds))} | {_range(took)} |")
    return "\n".join(lines) + "\n"


def _cell(folds: dict[str, Any]) -> str:
    if not folds:
        return ""
    kinds = ([fold[name] for fold in folds.values()] for name in ("mAP", "P@10", "accuracy"))
    return " / ".join(f"{mean(kind):.3f}" for kind in kinds if None not in kind) + f" ({len(folds)})"


def _range(took: list[float]) -> str:
    ends = sorted({f"{some(took):.0f}" for some in (min, max)}, key=int) if took else []
    return " to ".join(ends)


def markdown(sets: list[Set], systems: list[System], figures: dict[str, dict[str, Any]]) -> str:
    """Return the figures as a table in Markdown: mean over the folds, and in brackets the lowest and highest fold."""
    parts = []
    for chosen in sets:
        rows = [(system, figures.get(f"{chosen.name}/{system.name}", {})) for system in systems]
        if not any(folds for _, folds in rows):
            continue
        chance = mean(fold["chance_mAP"] for _, folds in rows for fold in folds.values())
        parts += [
            f"### {chosen.title} (chance mAP {chance:.3f})",
            "",
            "| system | folds | mAP | P@10 | P@1 | accuracy |",
        ]
        parts.append("|---|---|---|---|---|---|")
        parts += [
            f"| {system.title} | {', '.join(folds)} | "
            + " | ".join(spread([fold[name] for fold in folds.values()]) for name in ("mAP", "P@10", "P@1", "accuracy"))
            + " |"
            for system, folds in rows
            if folds
        ]
        parts.append("")
    return "\n".join(parts)


def spread(values: list[float | None]) -> str:
    """Return the mean and, of several folds, the range."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    return f"{mean(known):.3f}" + (f" ({min(known):.3f} to {max(known):.3f})" if len(known) > 1 else "")


def run(options: argparse.Namespace) -> None:
    """Measure what is not measured yet, keep it, print the table."""
    sets, systems = plan(PLAN.read_text(encoding="utf-8"))
    places = dict(entry.split("=", 1) for entry in options.data)
    figures: dict[str, dict[str, Any]] = json.loads(options.out.read_text()) if options.out.exists() else {}
    for chosen in (chosen for chosen in sets if chosen.origin in places):
        for system in systems:
            key = f"{chosen.name}/{system.name}"
            for fold in (fold for fold in chosen.folds if fold not in figures.get(key, {})):
                line = wishes(chosen, system, fold, places[chosen.origin], options)
                if line is None:
                    continue
                print(f"{chosen.title}: {system.title}, fold {fold}", file=sys.stderr, flush=True)
                figures.setdefault(key, {})[fold] = measured(line)
                options.out.write_text(json.dumps(figures, indent=1, allow_nan=False) + "\n", encoding="utf-8")
            for fold, found in figures.get(key, {}).items():
                found["minutes"] = found.get("minutes") or minutes(_training(chosen, system, fold, options))
    options.out.write_text(json.dumps(figures, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(summary(sets, systems, figures))
    print(markdown(sets, systems, figures))


def main() -> None:
    """Run, or say in one sentence why not."""
    try:
        run(arguments(None))
    except (TableError, CbmirError, OSError, ValueError) as error:
        sys.exit(f"benchmark.py: {error}")


if __name__ == "__main__":
    main()
