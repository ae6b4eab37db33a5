"""Measure how cases of many slices are found: as a query by a series or study does it, and in simpler ways.

    .venv/bin/python scripts/evaluate_cases.py --gallery DIR/index.csv --queries DIR/index.csv --group pseudo_case \
        --sequence sequence --json out.json
    .venv/bin/python scripts/evaluate_cases.py --gallery DIR/index.csv:patient_fold=2,3,4 \
        --queries DIR/index.csv:patient_fold=1 --group patient_fold --block 13 --checkpoint runs/x/checkpoint.pt

A case is a group of the table, or where the groups are folds, a run of --block rows of one class and group. A query is
a whole case; it never finds its own group. Every way ranks all cases of the gallery, so that the figures are those of
the comparison alone, without the choice of candidates that the plugin makes by its index. Prints mAP, P@1 and P@10 with
95 % intervals (cases resampled), and the gain over voting by slices in mAP, resampled in pairs.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

import _library  # noqa: F401 - before cbmir
from cbmir.errors import CbmirError
from evaluate import system_of
from evaluation import cases, metrics
from evaluation.embedded import embedded
from evaluation.options import add_run, add_system, add_tables
from evaluation.ranked import measured
from sources.csv_table import TableError
from sources.tables import columns_of, listed_classes, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

VOTES = "votes of the slices' 10 nearest"
MEASURES = ("mAP", "P@1", "P@10")


def methods(options: argparse.Namespace) -> dict[str, cases.Method]:
    """Return what is compared, by name."""
    found = {
        VOTES: cases.votes(sequences=False),
        "mean vectors": cases.means,
        "best slices, the query's only": cases.one_way,
        "best slices, both ways": cases.interaction(power=0, sequences=False),
        "the same, alike slices share a vote": cases.interaction(sequences=False),
    }
    if options.sequence:
        found["votes, sequence with sequence"] = cases.votes(sequences=True)
        found["best slices, both ways, alike ones share, sequence with sequence"] = cases.interaction()
    return found


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add_tables(parser)
    add("--labels", default="", help="classes to keep, separated by commas (default: all)")
    add("--sequence", metavar="COLUMN", help="column of the sequence, such as T1C; its values are a case's series")
    add("--block", type=int, metavar="N", help="runs of N rows of one class and group are the cases")
    add("--fewest-slices", type=int, default=1, metavar="N", help="queries with fewer are left out (default: 1)")
    add_system(parser)
    add_run(parser)
    return parser.parse_args(argv)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures that the command line asks for. Raises TableError."""
    tables = [
        read(spec, columns_of(options), listed_classes(options.labels)) for spec in (options.gallery, options.queries)
    ]
    system = system_of(options, "onnx")
    sides = reversed(embedded(tables[0], tables[1], system))
    gallery, queries = (cases.stacked(one.rows, one.vectors, options.block, options.sequence) for one in sides)
    values = {name: _values(method(queries, gallery), queries, gallery) for name, method in methods(options).items()}
    wanted = np.bincount(queries.owners) >= options.fewest_slices
    if not wanted.any():
        raise TableError(f"no query has so many slices: {options.fewest_slices}")
    values = {
        name: {key: np.where(wanted, some, np.nan) for key, some in each.items()} for name, each in values.items()
    }
    voted = values[VOTES]
    return {
        "system": system.name,
        "cases": {"queries": int((~np.isnan(voted["mAP"])).sum()), "gallery": len(gallery.labels)},
        "chance_mAP": float(np.nanmean(voted["chance_mAP"])),
        "methods": {
            name: {key: _figure(each[key]) for key in MEASURES} | {"gain": _figure(each["mAP"] - voted["mAP"])}
            for name, each in values.items()
        },
    }


def _values(
    similarity: NDArray[np.float32], queries: cases.Stacked, gallery: cases.Stacked
) -> dict[str, NDArray[np.float64]]:
    own = queries.groups[:, np.newaxis] == gallery.groups
    return measured(metrics.rank(similarity, queries.labels, gallery.labels, own))


def _figure(values: NDArray[np.float64]) -> list[float]:
    """Return the mean and its interval."""
    return [float(np.nanmean(values)), *metrics.interval(values, np.arange(len(values)).astype(str))]


def table(figures: dict[str, Any]) -> str:
    """Return the figures as a table in Markdown."""
    counts, chance = figures["cases"], figures["chance_mAP"]
    lines = [
        "| way to compare | mAP | P@1 | P@10 | mAP over voting |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {' | '.join(_shown(row[key]) for key in MEASURES)} | {_shown(row['gain'], sign='+')} |"
            for name, row in figures["methods"].items()
        ),
        "",
        f"{figures['system']}, {counts['queries']} queries, {counts['gallery']} cases, chance mAP {chance:.3f}",
    ]
    return "\n".join(lines)


def _shown(figure: list[float], sign: str = "") -> str:
    mean, low, high = figure
    return f"{mean:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


def main() -> None:
    """Run, or say in one sentence why not."""
    options = arguments(None)
    try:
        figures = measure(options)
    except (TableError, CbmirError, OSError, ValueError) as error:
        sys.exit(f"evaluate_cases.py: {error}")
    print(table(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
