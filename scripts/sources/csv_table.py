"""Tables as people hand them over: CSV with commas, semicolons or tabs, with or without a byte order mark."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from _csv import Reader
    from collections.abc import Iterable
    from pathlib import Path

SEPARATORS = ",;\t"


class TableError(Exception):
    """A table or one of its pictures cannot be used; the message says which and why."""


class Record(NamedTuple):
    """A line of a table: its number in the file, from 1, and its values by column."""

    line: int
    values: dict[str, str]


def records(path: Path, needed: Iterable[str]) -> tuple[list[str], list[Record]]:
    """Return the columns of a table and its lines; blank lines are passed over.

    Raises
    ------
    TableError
        It cannot be read, is empty, lacks one of the needed columns, or has a line of another length than its heading.

    """
    try:
        # Excel begins its UTF-8 with a mark
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise TableError(f"{path} cannot be read: it is not in UTF-8") from None
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror}") from error
    heading = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(SEPARATORS, key=heading.count))
    try:
        return _read(path, reader, needed)
    except csv.Error as error:
        raise TableError(f"{path}, line {reader.line_num}: {error}") from None


def _read(path: Path, reader: Reader, needed: Iterable[str]) -> tuple[list[str], list[Record]]:
    columns = [name.strip() for name in next(reader, [])]
    for column in needed:
        if column not in columns:
            raise TableError(f"{path} has no column {column!r}; it has {', '.join(columns) or 'none'}")
    found = []
    for values in reader:
        if not any(values):
            continue
        if len(values) != len(columns):
            raise TableError(
                f"{path}, line {reader.line_num}: {len(values)} values under a heading of {len(columns)} columns"
            )
        found.append(Record(reader.line_num, dict(zip(columns, map(str.strip, values), strict=True))))
    if not found:
        raise TableError(f"{path} has no line below its heading")
    return columns, found


def listed(items: Iterable[object], most: int = 5) -> str:
    """Return some items of a list as text, and how many more there are."""
    texts = [str(item) for item in items]
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more
