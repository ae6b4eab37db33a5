"""Tables of labels: the UID of a study, series or instance, label, provenance; one line for each thing said."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, NamedTuple, TextIO

import _library  # noqa: F401 - before cbmir
from cbmir.archive import LABEL_LENGTH
from cbmir.records import one_line
from sources.csv_table import TableError, listed, records

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

UIDS = {"instances": "SOPInstanceUID", "series": "SeriesInstanceUID", "studies": "StudyInstanceUID"}
"""Columns that name what is labelled, by Orthanc's word for the level; the narrowest one decides where several do."""

COLUMNS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "label", "provenance")


class Labelled(NamedTuple):
    """One thing that is said of a study, series or instance.

    `level` is "studies", "series" or "instances". `provenance` tells on what ground it is said (histology, follow-up,
    report, teaching file, …) and may be empty. `where` tells where that was read, for messages.
    """

    level: str
    uid: str
    label: str
    provenance: str
    where: str = ""


def read(path: Path) -> list[Labelled]:
    """Return the lines of a table; the columns label and one of UIDS are needed, provenance is optional.

    Raises
    ------
    TableError
        The table cannot be used, or a line names nothing or a label that the plugin would not show as it is.

    """
    columns, lines = records(path, ["label"])
    if not set(UIDS.values()) & set(columns):
        raise TableError(f"{path} has no column {', '.join(reversed(UIDS.values()))}")
    found, wrong = [], []
    for line, values in lines:
        level = next((level for level, column in UIDS.items() if values.get(column)), "")
        label, provenance = values["label"], values.get("provenance", "")
        # the plugin would shorten longer ones, and two of them might become one
        if not level or not label or any(text != one_line(text, LABEL_LENGTH) for text in (label, provenance)):
            wrong.append(line)
            continue
        found.append(Labelled(level, values[UIDS[level]], label, provenance, f"line {line}"))
    if wrong:
        raise TableError(
            f"{path}, line {listed(wrong)}: needed are a UID and a label of at most {LABEL_LENGTH} printable characters"
        )
    return found


def write(lines: Iterable[Labelled], file: TextIO) -> None:
    """Write a table, its heading first."""
    table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows({UIDS[one.level]: one.uid, "label": one.label, "provenance": one.provenance} for one in lines)
