"""Measure ways to rank hits anew, from embeddings that are kept on disk.

    .venv/bin/python scripts/rerank.py --gallery DIR/index.csv:patient_fold=1,2,3 \
        --queries DIR/index.csv:patient_fold=4 --group patient_fold --model MODEL --embeddings FILE.npz

Prints mAP, P@10 and P@1 of each way. Embedding takes minutes, ranking seconds: FILE.npz keeps the embeddings, and is
used again for the same model and pictures. No picture may be in both tables.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import _library  # noqa: F401 - before cbmir
from cbmir.embedding import load
from cbmir.errors import CbmirError
from evaluation import metrics
from evaluation.embedded import vectors
from evaluation.options import add_tables
from evaluation.reranking import agreement, k_reciprocal, towards_hits, with_neighbours
from sources.csv_table import TableError
from sources.tables import columns_of, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cbmir.classifier import Classifier
    from cbmir.embedding import Embedder
    from sources.tables import Row

EXPAND = 10
CANDIDATES = (20, 80, 200)
BONUSES = (0.1, 0.2, 0.5, 1.0)
RECIPROCAL = ((20, 6, 0.3), (20, 6, 0.7), (50, 10, 0.3), (50, 10, 0.7), (100, 10, 0.3))
REACHES = (1, 2, 3)
"""What is tried."""

APART = 1000
"""Places between two folders: their pictures are never neighbours."""


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add_tables(parser)
    add("--model", type=Path, required=True, metavar="DIR", help="model folder")
    add("--embeddings", type=Path, required=True, metavar="FILE", help="where they are kept, as .npz")
    add("--threads", type=int, default=2, help="CPU threads (default: 2)")
    return parser.parse_args(argv)


def embeddings(rows: Sequence[Row], embedder: Embedder, kept: Path) -> NDArray[np.float32]:
    """Return (n, dim), from the file if it holds them, else made and kept there."""
    files = [str(row.file) for row in rows]
    if kept.exists():
        with np.load(kept, allow_pickle=False) as found:
            if str(found["model"]) == embedder.model_id and found["files"].tolist() == files:
                return np.asarray(found["vectors"], np.float32)
    made = vectors(rows, embedder.size, embedder.embed, "pictures")
    np.savez(kept, model=np.array(embedder.model_id), files=np.array(files), vectors=made)
    return made


def places(rows: Sequence[Row]) -> NDArray[np.int64]:
    """Return each picture's place among those of its folder and group, in the order of the files' names."""
    order = sorted(range(len(rows)), key=lambda i: (rows[i].file.parent, rows[i].group, rows[i].file.name))
    found, place, before = np.zeros(len(rows), np.int64), 0, None
    for i in order:
        place += 1 if before == (rows[i].file.parent, rows[i].group) else APART
        before = rows[i].file.parent, rows[i].group
        found[i] = place
    return found


def ways(
    queries: NDArray[np.float32], gallery: NDArray[np.float32], rows: Sequence[Row], classifier: Classifier | None
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield what is tried, and (q, g) by which it ranks."""
    plain, moved = queries @ gallery.T, towards_hits(queries, gallery, EXPAND)
    yield "cosine similarity", plain
    yield f"towards the first {EXPAND} hits", moved
    for candidates in CANDIDATES:
        yield f"the same, among the first {candidates}", towards_hits(queries, gallery, EXPAND, candidates)
    if classifier is not None:
        same = agreement(classifier, queries, gallery)
        for bonus in BONUSES:
            yield f"{bonus:g} x agreement of classes", plain + bonus * same
            yield f"{bonus:g} x agreement of classes, towards hits", moved + bonus * same
    for reach in REACHES:
        yield f"gallery averaged {reach} to either side", queries @ with_neighbours(gallery, places(rows), reach).T
    for k1, k2, own in RECIPROCAL:
        yield f"k-reciprocal {k1}, {k2}, {own:g}", k_reciprocal(queries, gallery, k1, k2, own)


def run(options: argparse.Namespace) -> None:
    """Measure what is tried, and print it."""
    columns = columns_of(options)
    gallery, queries = read(options.gallery, columns), read(options.queries, columns)
    if {row.file for row in gallery} & {row.file for row in queries}:
        raise TableError("a picture is in both tables: it would find itself")
    embedder = load(options.model, threads=options.threads)
    found = embeddings([*gallery, *queries], embedder, options.embeddings)
    of_gallery, of_queries = (np.array([row.label for row in rows]) for rows in (gallery, queries))
    print(f"{'':45} {'mAP':>7} {'P@10':>7} {'P@1':>7}")
    for name, nearness in ways(found[len(gallery) :], found[: len(gallery)], gallery, embedder.classifier):
        ranking = metrics.rank(nearness, of_queries, of_gallery)
        figures = metrics.average_precision(ranking), *(metrics.precision_at(ranking, n) for n in (10, 1))
        print(f"{name:45} " + " ".join(f"{np.mean(one[ranking.judged]):7.4f}" for one in figures), flush=True)


def main() -> None:
    """Run, or say in one sentence why not."""
    try:
        run(arguments(None))
    except (TableError, CbmirError, OSError) as error:
        sys.exit(f"rerank.py: {error}")


if __name__ == "__main__":
    main()
