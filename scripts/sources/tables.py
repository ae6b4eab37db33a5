"""Labelled images as training and evaluation read them: index.csv tables, and pictures through the plugin's stage 2."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

import _library  # noqa: F401 - before cbmir
from cbmir.errors import CbmirError
from cbmir.pixels import SIZE, Slice, prepare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TABLE_HELP = (
    "a table with the columns file, label and group, its files beside it; DIR/index.csv:COLUMN=A,B takes only the rows "
    "whose COLUMN is A or B (several conditions: join them with '&')"
)

BOX_COLUMNS = ("bbox_cx", "bbox_cy", "bbox_w", "bbox_h")
"""Centre and size of the lesion as shares of the picture's width and height; optional."""


class TableError(Exception):
    """A table or one of its pictures cannot be used; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled picture.

    Attributes
    ----------
    file
        The picture, any format that Pillow reads.
    label
        Its class.
    group
        The case, or the fold where cases are not known: what may never be on both sides of a comparison.
    box
        Lesion box (centre x, centre y, width, height) as shares of the picture, or None.

    """

    file: Path
    label: str
    group: str
    box: tuple[float, float, float, float] | None = None


def read(spec: str, label: str, group: str, labels: Sequence[str] = ()) -> list[Row]:
    """Return the rows of a table.

    Parameters
    ----------
    spec
        Path of the table, optionally with conditions: `DIR/index.csv:fold=1,2&sequence=T1C`.
    label, group
        Names of the columns with class and group.
    labels
        Classes to keep; all where empty.

    Raises
    ------
    TableError
        No such table, no such column, or no row that fits.

    """
    path, conditions = _parsed(spec)
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            reader = csv.DictReader(lines)
            records, columns = list(reader), set(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"{path} cannot be read: {error}") from error
    for column in ("file", label, group, *conditions):
        if column not in columns:
            raise TableError(f"{path} has no column {column!r}; it has {', '.join(sorted(columns))}")
    rows = [
        Row(path.parent.resolve() / record["file"], record[label], record[group], _box(record))
        for record in records
        if all(record[column] in values for column, values in conditions.items())
        and (not labels or record[label] in labels)
    ]
    if not rows:
        raise TableError(f"{spec}: no row fits the conditions and classes asked for")
    return rows


def _parsed(spec: str) -> tuple[Path, dict[str, list[str]]]:
    path, colon, text = spec.rpartition(":")
    if not colon or "=" not in text:
        return Path(spec), {}
    conditions = (condition.partition("=") for condition in text.split("&"))
    return Path(path), {column: values.split(",") for column, _, values in conditions}


def _box(record: dict[str, str]) -> tuple[float, float, float, float] | None:
    try:
        x, y, width, height = (float(record[column]) for column in BOX_COLUMNS)
    except (KeyError, TypeError, ValueError):
        return None
    return x, y, width, height


def picture(file: Path, size: int = SIZE) -> NDArray[np.float32]:
    """Return (1, size, size) float32 in 0..1, prepared as the plugin prepares a slice. Raises TableError."""
    try:
        return prepare(slice_of(file), size)
    except CbmirError as error:
        raise TableError(f"{file}: {error}") from error


def slice_of(file: Path) -> Slice:
    """Return a picture as the plugin sees a slice of unknown geometry. Raises TableError."""
    try:
        with Image.open(file) as image:
            grey = image.mode in ("L", "I", "I;16", "F")
            return Slice(stored=np.asarray(image if grey else image.convert("RGB")))
    except (OSError, UnidentifiedImageError) as error:
        raise TableError(f"{file} cannot be read as a picture") from error


def pictures(rows: Sequence[Row], size: int = SIZE, cache: Path | None = None) -> NDArray[np.uint8]:
    """Return (n, size, size) uint8, each row's prepared picture in 256 greys, kept in the folder `cache`.

    256 greys are what the files hold; the plugin itself never rounds.
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
        digest.update(f"{row.file.resolve()}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
