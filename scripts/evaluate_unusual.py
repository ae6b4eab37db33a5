"""Measure what the plugin calls unusual: slices of one archive, and others, seen from afar and by the network.

    .venv/bin/python scripts/evaluate_unusual.py --archive ../shared/data/brain15/index.csv --group pseudo_case \
        --queries ../shared/data/multi24/index.csv --label label --queries ../shared/data/dicom/series

A table names pictures (column `file`); a folder is searched for DICOM files, each folder in it a class of its own. Half
of the archive's patients, chosen by chance, stand for the archive; the others ask, to tell how often slices of the same
kind are called unusual (1 in 100 is meant to be). Prints, for each class of queries, the share called unusual: from
afar by fields of 4, 8 and 16 a side (the plugin has 8), and by the network's similarities alone.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

import _library  # noqa: F401 - before cbmir
from cbmir.embedding import load
from cbmir.errors import CbmirError
from cbmir.pixels import prepare, sketch
from cbmir.watching.calibration import UNUSUAL_PERCENT, scaled
from sources.csv_table import TableError
from sources.slice_files import slice_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from cbmir.embedding import Embedder

MODEL = Path(__file__).parents[1] / "plugin" / "cbmir" / "models" / "figshare-gem"
SIDES = (4, 8, 16)


@dataclass(frozen=True, slots=True)
class Picture:
    """A file, the class that it is counted under, and whose it is."""

    file: Path
    kind: str
    group: str


@dataclass(frozen=True, slots=True)
class Seen:
    """Pictures by way of looking ("4", "8", "16", "network"): (n, d) unit vectors; and what they are."""

    vectors: dict[str, NDArray[np.float32]]
    pictures: list[Picture]


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--archive", type=Path, required=True, metavar="TABLE", help="what is usual")
    add("--group", required=True, metavar="COLUMN", help="of the archive's table: whose a picture is")
    add("--queries", type=Path, action="append", default=[], metavar="TABLE|DIR", help="what else asks")
    add("--label", default="label", metavar="COLUMN", help="of the queries' tables: the class (default: label)")
    add("--model", type=Path, default=MODEL, metavar="DIR", help="model folder (default: the shipped)")
    add("--most", type=int, default=1000, metavar="N", help="pictures of each table, by chance (default: 1000)")
    add("--seed", type=int, default=0)
    return parser.parse_args(argv)


def table(path: Path, kind: str | None, group: str | None, most: int, seed: int) -> list[Picture]:
    """Return some pictures of a table; a class or group that no column tells is the table's name."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    chosen = np.random.default_rng(seed).permutation(len(rows))[:most]
    name = path.parent.name
    return [
        Picture(path.parent / row["file"], row[kind] if kind else name, row[group] if group else row["file"])
        for row in (rows[place] for place in sorted(chosen.tolist()))
    ]


def folder(path: Path) -> list[Picture]:
    """Return the files below a folder, each of its folders a class."""
    return [Picture(file, file.parent.name, str(file)) for file in sorted(path.rglob("*")) if file.is_file()]


def looked_at(pictures: Iterable[Picture], embedder: Embedder) -> Seen:
    """Return what pictures look like; those that the plugin would not take are left out."""
    found: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
    there = []
    for picture in tqdm(list(pictures), desc="look", unit="picture", disable=None):
        try:
            square = prepare(slice_of(picture.file), embedder.size)
        except (TableError, CbmirError):
            continue
        there.append(picture)
        for side in SIDES:
            found[str(side)].append(scaled(sketch(square, side)))
        found["network"].append(embedder.embed(square[np.newaxis])[0])
    return Seen({way: np.stack(rows) for way, rows in found.items()}, there)


def nearest(queries: NDArray[np.float32], archive: NDArray[np.float32], same: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the similarity of each query to its nearest in the archive, but for what is the same patient's."""
    return np.asarray(np.where(same, -1, queries @ archive.T).max(axis=1), np.float32)


def measured(archive: Seen, asking: Seen, others: Sequence[Seen]) -> Iterator[tuple[str, int, dict[str, float]]]:
    """Yield each class of queries, their number, and by each way the share that is called unusual."""
    whose = np.array([picture.group for picture in archive.pictures])
    usual = {
        way: float(np.quantile(nearest(rows, rows, whose[:, None] == whose), UNUSUAL_PERCENT / 100))
        for way, rows in archive.vectors.items()
    }
    for seen in (asking, *others):
        kinds = np.array([picture.kind for picture in seen.pictures])
        for kind in dict.fromkeys(kinds.tolist()):
            chosen = kinds == kind
            none = np.zeros((int(chosen.sum()), len(whose)), np.bool_)
            shares = {
                way: float((nearest(rows[chosen], archive.vectors[way], none) < usual[way]).mean())
                for way, rows in seen.vectors.items()
            }
            yield kind, int(chosen.sum()), shares


def main(argv: Sequence[str] | None = None) -> int:
    """Print the shares; return the exit status."""
    options = arguments(argv)
    embedder = load(options.model, runtime="onnx", threads=1)
    whole = table(options.archive, None, options.group, options.most, options.seed)
    groups = sorted({picture.group for picture in whole})
    half = set(np.random.default_rng(options.seed).permutation(groups)[: len(groups) // 2].tolist())
    archive = looked_at((one for one in whole if one.group in half), embedder)
    asking = looked_at((one for one in whole if one.group not in half), embedder)
    others = [
        looked_at(
            folder(path) if path.is_dir() else table(path, options.label, None, options.most, options.seed), embedder
        )
        for path in options.queries
    ]
    print(f"archive: {len(archive.pictures)} pictures of {len(half)} patients of {options.archive.parent.name}")
    print(f"{'queries':32} {'n':>5} " + " ".join(f"{way:>8}" for way in archive.vectors))
    for kind, number, shares in measured(archive, asking, others):
        print(f"{kind[:32]:32} {number:5} " + " ".join(f"{share:8.2f}" for share in shares.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
