"""Labelled pictures as training and evaluation read them: tables of files, their labels and groups."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

import _library  # noqa: F401 - before cbmir
from cbmir.pixels import SIZE
from sources.csv_table import Record, TableError, listed, records
from sources.slice_files import picture

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

TABLE_HELP = (
    "a table with the columns file, label and group, its files named from its folder; DIR/index.csv:COLUMN=A,B takes "
    "only the rows whose COLUMN is A or B (several conditions: join them with '&')"
)

GROUP = "group"
"""Column of the group where none is named; a table may lack it."""

BOX_COLUMNS = ("bbox_cx", "bbox_cy", "bbox_w", "bbox_h")
"""Centre and size of the lesion as shares of the picture's width and height; optional."""


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled picture.

    Attributes
    ----------
    file
        The picture: DICOM, or any format that Pillow reads.
    label
        Its class.
    group
        The case, or the fold where cases are not known: what may never be on both sides of a comparison.
    box
        Lesion box (centre x, centre y, width, height) as shares of the picture, or None.
    columns
        All values of the table's line.

    """

    file: Path
    label: str
    group: str
    box: tuple[float, float, float, float] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns; a group of None is that of GROUP where the table has it, else each picture is its own."""

    label: str = "label"
    group: str | None = None
    file: str = "file"


def add_columns(parser: argparse.ArgumentParser) -> None:
    """Give a command line the options that name columns."""
    add = parser.add_argument
    add("--label", default="label", help="column of the class (default: label)")
    add("--group", help="column of the case or fold (default: group; a picture without is a case of its own)")
    add("--file", default="file", help="column of the picture's file (default: file)")


def columns_of(options: argparse.Namespace) -> Columns:
    """Return what a command line names."""
    return Columns(options.label, options.group, options.file)


def listed_classes(text: str) -> list[str]:
    """Return the classes of an option: separated by commas, none for all."""
    return [label for label in text.split(",") if label]


def read(spec: str, columns: Columns, labels: Sequence[str] = ()) -> list[Row]:
    """Return the rows of a table.

    Parameters
    ----------
    spec
        Path of the table, optionally with conditions: `DIR/index.csv:fold=1,2&sequence=T1C`.
    columns
        What its columns are named.
    labels
        Classes to keep; all where empty.

    Raises
    ------
    TableError
        No such table or column, no row that fits, a row without file or label, a file that is not there.

    """
    path, conditions = _parsed(spec)
    needed = [columns.file, columns.label, *([columns.group] if columns.group else []), *conditions]
    names, lines = records(path, needed)
    group = columns.group or (GROUP if GROUP in names else columns.file)
    chosen = [
        record
        for record in lines
        if all(record.values[column] in values for column, values in conditions.items())
        and (not labels or record.values[columns.label] in labels)
    ]
    if not chosen:
        raise TableError(f"{spec}: no row fits the conditions and classes asked for")
    for column in (columns.file, columns.label):
        if blank := [record.line for record in chosen if not record.values[column]]:
            raise TableError(f"{path} has no value in the column {column!r} in line {listed(blank)}")
    folder = path.parent.resolve()
    rows = [_row(record, folder, columns, group) for record in chosen]
    if missing := [row.file for row in rows if not row.file.is_file()]:
        raise TableError(f"{path}: {len(missing)} of {len(rows)} files are not there: {listed(missing, 3)}")
    return rows


def _row(record: Record, folder: Path, columns: Columns, group: str) -> Row:
    values = record.values
    # resolved, so that two tables name the same picture alike
    file = (folder / values[columns.file]).resolve()
    # a picture whose case nobody knows is a case of its own
    return Row(file, values[columns.label], values[group] or str(file), _box(values), values)


def _parsed(spec: str) -> tuple[Path, dict[str, list[str]]]:
    path, colon, text = spec.rpartition(":")
    if not colon or "=" not in text:
        return Path(spec), {}
    conditions = (condition.partition("=") for condition in text.split("&"))
    return Path(path), {column: values.split(",") for column, _, values in conditions}


def _box(values: Mapping[str, str]) -> tuple[float, float, float, float] | None:
    try:
        x, y, width, height = (float(values[column]) for column in BOX_COLUMNS)
    except (KeyError, ValueError):
        return None
    return x, y, width, height


def pictures(rows: Sequence[Row], size: int = SIZE, cache: Path | None = None) -> NDArray[np.uint8]:
    """Return (n, size, size) uint8, each row's prepared picture in 256 greys, kept in the folder `cache`.

    256 greys are enough to learn from; the plugin itself never rounds.
    """
    stored = None if cache is None else cache / f"{_fingerprint(rows)}-{size}.npy"
    if stored is not None and stored.exists():
        loaded: NDArray[np.uint8] = np.load(stored)
        return loaded
    result = np.empty((len(rows), size, size), np.uint8)
    for index, row in enumerate(tqdm(rows, desc=f"pictures at {size}", unit="img", leave=False, disable=None)):
        result[index] = np.rint(picture(row.file, size)[0] * 255)
    if stored is not None:
        stored.parent.mkdir(parents=True, exist_ok=True)
        part = stored.with_suffix(".part.npy")
        np.save(part, result)
        part.replace(stored)
    return result


def _fingerprint(rows: Sequence[Row]) -> str:
    """Return a name for these very files in their present state."""
    digest = hashlib.sha256()
    for row in rows:
        state = row.file.stat()
        digest.update(f"{row.file}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
