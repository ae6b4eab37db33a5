"""Measure what a region adds: rank a gallery by whole slices, and by the lesion boxes that a table names.

    .venv/bin/python scripts/evaluate_regions.py --gallery DIR/index.csv:patient_fold=1,2,3 \
        --queries DIR/index.csv:patient_fold=4 --group patient_fold --model MODEL --json out.json

The tables name boxes in the columns bbox_cx, bbox_cy, bbox_w, bbox_h, as shares of the picture; queries without a box
are left out. Both rankings are of the same queries, through the network and the head that the plugin ships. Also says
how much of the heat map between a query and its nearest hit lies in the box, beside the box's share of the picture.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

import _library  # noqa: F401 - before cbmir
from cbmir import regions
from cbmir.embedding import Embedder, load
from cbmir.errors import CbmirError
from cbmir.pixels import place, prepare
from evaluation.embedded import vectors
from evaluation.options import add_model, add_run, add_tables
from evaluation.ranked import MEASURES, Embedded, evaluate
from sources.csv_table import TableError
from sources.slice_files import slice_of
from sources.tables import Row, columns_of, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add_tables(parser)
    add("--exclude-same-group", action="store_true", help="never find a picture of the query's own group")
    add_model(parser)
    add_run(parser)
    return parser.parse_args(argv)


class Boxed:
    """A query with its box: the embeddings of the whole and of the region, and the places that each rests on."""

    def __init__(self, row: Row, embedder: Embedder) -> None:
        """Embed a picture whose row has a box."""
        if row.box is None:
            raise TableError(f"{row.file} has no box")
        image = slice_of(row.file)
        where = place(image, embedder.size)
        features = embedder.features(prepare(image, embedder.size))
        x, y, width, height = (
            share * side for share, side in zip(row.box, (where.columns, where.rows) * 2, strict=True)
        )
        box = regions.Region(x - width / 2, y - height / 2, width, height)
        self.covered = regions.coverage(where, box, features.shape[1:])
        self.cells = embedder.cells(features)
        self.whole = self.cells.sum(axis=(1, 2))
        self.region = embedder.cells(features, self.covered).sum(axis=(1, 2))

    def heat_in_box(self, hit: NDArray[np.float32]) -> float:
        """Return the share of the heat map's positive part, against a hit's vector, that lies in the box."""
        heat = np.clip(regions.heat(self.cells, hit), 0, None)
        return float((heat * self.covered).sum() / heat.sum())


def run(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return the figures that the command line asks for."""
    embedder = load(options.model, threads=options.threads)
    gallery_rows = read(options.gallery, columns_of(options))
    query_rows = [row for row in read(options.queries, columns_of(options)) if row.box]
    if not query_rows:
        raise TableError("no query has a box: the table needs the columns bbox_cx, bbox_cy, bbox_w, bbox_h")
    gallery = Embedded(gallery_rows, vectors(gallery_rows, embedder.size, embedder.embed, "gallery"))
    boxed = [Boxed(row, embedder) for row in tqdm(query_rows, desc="queries", unit="img", disable=None)]
    figures: dict[str, dict[str, float]] = {}
    for name in ("whole", "region"):
        queries = Embedded(query_rows, np.stack([getattr(one, name) for one in boxed]))
        found = evaluate(queries, gallery, same_group=options.exclude_same_group)
        figures[name] = {measure: float(np.nanmean(found.values[measure])) for measure in MEASURES}
        if name == "whole":
            nearest = gallery.vectors[found.top[:, 0]]
    figures["heat"] = {
        "in_box": float(np.mean([one.heat_in_box(hit) for one, hit in zip(boxed, nearest, strict=True)])),
        "box_share": float(np.mean([one.covered.mean() for one in boxed])),
    }
    return figures


def main() -> None:
    """Run, or say in one sentence why not."""
    options = arguments(None)
    try:
        figures = run(options)
    except (TableError, CbmirError, OSError) as error:
        sys.exit(f"evaluate_regions.py: {error}")
    for name in ("whole", "region"):
        print(name.ljust(8), "  ".join(f"{measure} {figures[name][measure]:.4f}" for measure in MEASURES))
    heat = figures["heat"]
    print(f"heat in the box {heat['in_box']:.3f}, where the box is {heat['box_share']:.3f} of the picture")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
