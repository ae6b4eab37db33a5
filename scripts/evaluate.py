"""Measure retrieval: rank a gallery for each query picture, through the model and runtime that the plugin ships.

    .venv/bin/python scripts/evaluate.py --gallery DIR/index.csv --queries DIR/index.csv --label label \
        --group patient_fold --exclude-same-group --json out.json --plots DIR
    .venv/bin/python scripts/evaluate.py --gallery DIR/index.csv:patient_fold=1,2,3 \
        --queries DIR/index.csv:patient_fold=4 --group patient_fold --system pixels

Prints a table and writes, if asked, JSON (mAP, P@1, P@5, P@10, mAP@10, chance_mAP, n_queries, n_gallery, per_class,
confidence_intervals, confusion of the 10-nearest-neighbour vote, index_recall, protocol) and plots as PNG.
A picture never finds itself; with --exclude-same-group it finds nothing of its own case either, and only then do the
figures say how other patients' cases are found.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

import _library  # noqa: F401 - before cbmir
from cbmir.embedding import load
from cbmir.errors import CbmirError
from evaluation.ranked import Embedded, evaluate
from evaluation.report import index_recall, summary, table
from sources.tables import TABLE_HELP, Row, TableError, picture, read

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    System = Callable[[NDArray[np.float32]], NDArray[np.float32]]

MODELS = Path(__file__).parents[1] / "plugin" / "cbmir" / "models"

PIXEL_SIDE = 32
"""Side of the grey picture that the system "pixels" correlates."""


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--gallery", action="append", required=True, metavar="TABLE", help=f"find in {TABLE_HELP}; may be repeated")
    add("--queries", action="append", required=True, metavar="TABLE", help="look for these; likewise")
    add("--label", default="label", help="column of the class (default: label)")
    add("--group", default="group", help="column of the case or fold (default: group)")
    add("--labels", default="", help="classes to keep, separated by commas (default: all)")
    add("--exclude-same-group", action="store_true", help="never find a picture of the query's own group")
    add("--system", choices=("model", "pixels"), default="model", help="pixels: correlation of 32x32 greys, the floor")
    add(
        "--model", type=Path, default=MODELS / "figshare-gem", metavar="DIR", help="model folder (default: the shipped)"
    )
    add("--expand", type=int, default=0, metavar="N", help="move each query towards its first N hits (default: 0)")
    add("--runtime", choices=("onnx", "torch"), default="onnx")
    add("--threads", type=int, default=2, help="CPU threads (default: 2)")
    add("--block", type=int, default=13, help="rows that stand for a case where there is one group only (default: 13)")
    add("--json", type=Path, metavar="FILE", help="write the figures there")
    add("--plots", type=Path, metavar="DIR", help="write pictures there")
    return parser.parse_args(argv)


def pixel_correlation(batch: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (n, 1024) unit rows whose inner product is the correlation of the (n, 1, 32, 32) pictures."""
    flat = batch.reshape(len(batch), -1)
    centred = flat - flat.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6), np.float32)


def system_of(options: argparse.Namespace) -> tuple[str, int, System]:
    """Return name, side of the pictures and embedding function of what is measured."""
    if options.system == "pixels":
        return "pixel correlation", PIXEL_SIDE, pixel_correlation
    embedder = load(options.model, runtime=options.runtime, threads=options.threads)
    return embedder.model_id, embedder.size, embedder.embed


def vectors(rows: Sequence[Row], side: int, system: System, name: str, batch: int = 16) -> NDArray[np.float32]:
    """Return (n, dim) float32 unit rows of the pictures."""
    parts = []
    with tqdm(total=len(rows), desc=name, unit="img", disable=None) as progress:
        for start in range(0, len(rows), batch):
            chosen = rows[start : start + batch]
            parts.append(system(np.stack([picture(row.file, side) for row in chosen])))
            progress.update(len(chosen))
    return np.concatenate(parts)


def tables(specs: Sequence[str], options: argparse.Namespace) -> list[Row]:
    """Return the rows of all tables."""
    labels = [label for label in options.labels.split(",") if label]
    return [row for spec in specs for row in read(spec, options.label, options.group, labels)]


def run(options: argparse.Namespace) -> None:
    """Measure what the command line asks for."""
    gallery_rows, query_rows = tables(options.gallery, options), tables(options.queries, options)
    name, side, system = system_of(options)
    gallery = Embedded(gallery_rows, vectors(gallery_rows, side, system, "gallery"))
    places = {row.file: index for index, row in enumerate(gallery_rows)}
    if all(row.file in places for row in query_rows):
        queries = Embedded(query_rows, gallery.vectors[[places[row.file] for row in query_rows]])
    else:
        queries = Embedded(query_rows, vectors(query_rows, side, system, "queries"))
    found = evaluate(queries, gallery, same_group=options.exclude_same_group, expand=options.expand)
    figures = summary(found, options, name, index_recall(found))
    print(table(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if options.plots:
        from evaluation.plots import draw_all  # noqa: PLC0415 - matplotlib takes a second to load

        draw_all(found, figures, options.plots)
        print(f"plots: {options.plots}")


def main() -> None:
    """Run, or say in one sentence why not."""
    try:
        run(arguments(None))
    except (TableError, CbmirError, OSError) as error:
        sys.exit(f"evaluate.py: {error}")


if __name__ == "__main__":
    main()
