"""What a training learns from and is measured on: tables of pictures, a running Orthanc, or both."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sources import connection, label_table
from sources.archive import Wanted, fetch
from sources.csv_table import TableError
from sources.labelling import gather
from sources.tables import TABLE_HELP, Columns, Row, add_columns, columns_of, listed_classes, read
from sources.verdicts import HeldOut, Pair, fetch_pairs, read_pairs

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

FEWEST_CLASSES = 2

ARCHIVE_TABLE = "orthanc.csv"
PAIRS_TABLE = "pairs.csv"
"""Files in the folder of a run that list what was fetched."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give a command line the options that say what to learn from."""
    add = parser.add_argument
    add("--data", action="append", default=[], metavar="TABLE", help=f"train on {TABLE_HELP}; may be repeated")
    add("--hold-out", action="append", default=[], metavar="TABLE", help="measure on this; never trained on")
    add_columns(parser)
    add("--classes", default="", help="classes to keep, separated by commas (default: all)")
    add("--orthanc", metavar="URL", help="train on this archive")
    add("--labels", type=Path, metavar="CSV", help="what its studies and series show (default: what Orthanc says)")
    add("--modalities", default="MR", help="of its series, separated by commas (default: MR)")
    add(
        "--feedback",
        type=Path,
        metavar="CSV",
        help="also learn from what readers said of its hits (scripts/feedback.py)",
    )
    add("--hold-out-share", type=float, default=0.0, metavar="SHARE", help="of its patients to measure on (default: 0)")
    connection.add_options(parser)


def check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End with a hint where options do not go together."""
    if not options.data and not options.orthanc:
        parser.error("what shall it learn from? --data TABLE or --orthanc URL")
    if options.labels and not options.orthanc:
        parser.error("--labels says what an Orthanc holds: --orthanc URL is missing (--classes chooses classes)")
    if options.feedback and not options.orthanc:
        parser.error("--feedback names slices of an Orthanc: --orthanc URL is missing")
    if not 0 <= options.hold_out_share < 1:
        parser.error("--hold-out-share is from 0 to less than 1")


def load(options: argparse.Namespace) -> tuple[list[Row], list[Row]]:
    """Return what to learn from and what to measure on.

    Raises
    ------
    TableError
        A table or what an Orthanc holds cannot be used, or there is one class only.
    OrthancError
        Orthanc does not answer, or wants another password.

    """
    rows, held_out = (_rows(specs, columns_of(options), options) for specs in (options.data, options.hold_out))
    if options.orthanc:
        table = options.out / ARCHIVE_TABLE
        # a training that goes on sees what it began with, whatever came in meanwhile
        if not (options.resume and table.exists()):
            _fetch(table, options)
        rows += _rows([f"{table}:held_out=no"], Columns(), options)
        if options.hold_out_share:
            held_out += _rows([f"{table}:held_out=yes"], Columns(), options)
    if len({row.label for row in rows}) < FEWEST_CLASSES:
        raise TableError(f"all pictures are of the class {rows[0].label!r}: there is nothing to tell apart")
    return rows, held_out


def load_pairs(options: argparse.Namespace) -> list[Pair]:
    """Return what readers said, after `load`; nothing without --feedback.

    Raises
    ------
    TableError
        The table of verdicts cannot be used, or no pair is left without those held out.
    OrthancError
        Orthanc does not answer.

    """
    if not options.feedback:
        return []
    table = options.out / PAIRS_TABLE
    if not (options.resume and table.exists()):
        sides = {side: set[str]() for side in ("yes", "no")}
        for row in _rows([str(options.out / ARCHIVE_TABLE)], Columns(), options):
            sides[row.columns["held_out"]].add(row.group)
        held_out = HeldOut(sides["yes"], sides["no"], options.hold_out_share)
        with connection.connect(options.orthanc, options) as orthanc:
            fetch_pairs(orthanc, options.feedback, _folder(options), table, held_out)
    return read_pairs(table)


def _rows(specs: Sequence[str], columns: Columns, options: argparse.Namespace) -> list[Row]:
    classes = listed_classes(options.classes)
    return [row for spec in specs for row in read(spec, columns, classes)]


def _fetch(table: Path, options: argparse.Namespace) -> None:
    wanted = Wanted(tuple(options.modalities.split(",")), options.hold_out_share)
    with connection.connect(options.orthanc, options) as orthanc:
        said = label_table.read(options.labels) if options.labels else gather(orthanc)
        fetch(orthanc, said, _folder(options), table, wanted)


def _folder(options: argparse.Namespace) -> Path:
    """Return where slices of an archive are kept."""
    folder: Path = options.cache.resolve() / "orthanc"
    return folder
