"""Measure retrieval: rank a gallery for each query picture, through the model and runtime that the plugin ships.

    .venv/bin/python scripts/evaluate.py --gallery DIR/index.csv --queries DIR/index.csv --label label \
        --group patient_fold --exclude-same-group --json out.json --plots DIR
    .venv/bin/python scripts/evaluate.py --gallery DIR/index.csv:patient_fold=1,2,3 \
        --queries DIR/index.csv:patient_fold=4 --group patient_fold --system pixels
    .venv/bin/python scripts/evaluate.py --gallery runs/x/orthanc.csv:held_out=no \
        --queries runs/x/orthanc.csv:held_out=yes --model MODEL --confound Manufacturer

Prints a table and writes, if asked, JSON (mAP, P@1, P@5, P@10, mAP@10, chance_mAP, n_queries, n_gallery, per_class,
confidence_intervals, confusion of the 10-nearest-neighbour vote, classification, confounds, index_recall, protocol) and
plots as PNG. Pictures are DICOM files (of several frames the one in the middle) or what Pillow reads, 16 bits included.
A picture never finds itself; with --exclude-same-group it finds nothing of its own case either, and only then do the
figures say how other patients' cases are found.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import _library  # noqa: F401 - before cbmir
from cbmir.errors import CbmirError
from evaluation import confounds, systems
from evaluation.embedded import embedded, readable
from evaluation.options import add_run, add_system
from evaluation.ranked import Evaluation, Method, evaluate
from evaluation.report import classification, index_recall, protocol, summary, table
from sources.csv_table import TableError, listed
from sources.tables import GROUP, TABLE_HELP, Row, add_columns, columns_of, listed_classes, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evaluation.systems import System

FEWEST_CLASSES = 2


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--gallery", action="append", required=True, metavar="TABLE", help=f"find in {TABLE_HELP}; may be repeated")
    add("--queries", action="append", required=True, metavar="TABLE", help="look for these; likewise")
    add_columns(parser)
    add("--labels", default="", help="classes to keep, separated by commas (default: all)")
    add("--exclude-same-group", action="store_true", help="never find a picture of the query's own group")
    add(
        "--confound",
        action="append",
        default=[],
        metavar="COLUMN",
        help="do hits share its value? (default: the usual)",
    )
    add("--skip-unreadable", action="store_true", help="leave out pictures that cannot be used, and say which")
    add_system(parser)
    add("--class-predicted", action="store_true", help="find only what is predicted to be of the query's class")
    add("--expand", type=int, default=0, metavar="N", help="move each query towards its first N hits (default: 0)")
    add(
        "--runtime",
        choices=("onnx", "torch"),
        default="onnx",
        help="torch: also tell what the shipped runtime, onnx, loses against it",
    )
    add("--block", type=int, default=13, help="rows that stand for a case where there is one group only (default: 13)")
    add_run(parser)
    add("--plots", type=Path, metavar="DIR", help="write pictures there")
    return parser.parse_args(argv)


def system_of(options: argparse.Namespace, runtime: str) -> System:
    """Return what is measured."""
    if options.checkpoint:
        return systems.checkpoints(options.checkpoint, options.threads, mirrored=options.mirrored, cache=options.cache)
    return systems.pixels() if options.system == "pixels" else systems.model(options.model, runtime, options.threads)


def tables(specs: Sequence[str], options: argparse.Namespace) -> list[Row]:
    """Return the rows of all tables. Raises TableError."""
    if options.exclude_same_group and not options.group:
        # without it each picture would be a group of its own, and nothing more excluded
        options.group = GROUP
    return [row for spec in specs for row in read(spec, columns_of(options), listed_classes(options.labels))]


def measure(options: argparse.Namespace) -> tuple[Evaluation, dict[str, Any]]:
    """Return the evaluation that the command line asks for, and its figures.

    Raises
    ------
    TableError
        A table or picture cannot be used, there is one class only, or the system cannot do what is asked.

    """
    gallery, queries = tables(options.gallery, options), tables(options.queries, options)
    unreadable: list[str] = []
    if options.skip_unreadable:
        gallery, queries = readable(gallery, unreadable), readable(queries, unreadable)
    classes = {row.label for row in (*gallery, *queries)}
    if len(classes) < FEWEST_CLASSES:
        raise TableError(f"all pictures are of the class {min(classes)!r}: there is nothing to tell apart")
    for name in options.confound:
        if not any(confounds.value(row, name) for row in gallery):
            raise TableError(f"no picture of the gallery has a value in the column {name!r}")
    system = system_of(options, options.runtime)
    method = Method(options.expand, system.euclidean, options.class_predicted)

    def ranked(system: System) -> Evaluation:
        both = embedded(gallery, queries, system)
        return evaluate(*both, same_group=options.exclude_same_group, method=method)

    found = ranked(system)
    described: dict[str, Any] = {
        "classification": classification(found.queries, system),
        "confounds": {name: confounds.confound(found, name) for name in confounds.columns(found, options.confound)},
        # the index compares by cosine
        "index_recall": None if system.euclidean else index_recall(found),
        "protocol": protocol(options, method),
        "unreadable": sorted(set(unreadable)),
        "tables": {side: [Path(spec).name for spec in getattr(options, side)] for side in ("gallery", "queries")},
    }
    if options.runtime == "torch":
        torch, onnx = (float(np.nanmean(one.values["mAP"])) for one in (found, ranked(system_of(options, "onnx"))))
        described["runtime_loss"] = {"mAP": torch - onnx, "torch": torch, "onnx": onnx}
    return found, summary(found, system.name, options.block, described)


def run(options: argparse.Namespace) -> None:
    """Measure, print, write."""
    found, figures = measure(options)
    print(table(figures))
    if figures["unreadable"]:
        print(f"left out, of all that was named: {listed(figures['unreadable'])}", file=sys.stderr)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    if options.plots:
        from evaluation.plots import draw_all  # noqa: PLC0415 - matplotlib takes a second to load

        draw_all(found, figures, options.plots)
        print(f"plots: {options.plots}")


def main() -> None:
    """Run, or say in one sentence why not."""
    try:
        run(arguments(None))
    except (TableError, CbmirError, OSError, ValueError) as error:
        sys.exit(f"evaluate.py: {error}")


if __name__ == "__main__":
    main()
