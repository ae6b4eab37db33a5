"""Bring diagnoses from a table into Orthanc, or out of it, as metadata that the plugin shows with the pictures.

    .venv/bin/python scripts/labels.py import --orthanc http://localhost:8042 labels.csv --dry-run
    .venv/bin/python scripts/labels.py import --orthanc http://localhost:8042 labels.csv
    .venv/bin/python scripts/labels.py export --orthanc http://localhost:8042 --out labels.csv [UID ...]

The table has a column StudyInstanceUID, SeriesInstanceUID or SOPInstanceUID (the narrowest counts where several are
given), label, and provenance: on what ground it is said, such as histology, follow-up, report, teaching file. A label
is added where the same text with the same provenance is not there yet; nothing is changed or removed, unless --replace
makes the labels of whatever the table names those of the table. So the same import twice changes nothing.

Exit status: 0 all done, 1 nothing could be done, 3 done but for the lines that are named.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from sources import connection, label_table
from sources.csv_table import TableError, listed
from sources.labelling import Import, by_resource, gather, put
from sources.orthanc_client import OrthancError

if TYPE_CHECKING:
    from collections.abc import Sequence

NOT_ALL = 3
"""Exit status where some lines could not be carried out."""

MOST_PROBLEMS = 20
"""Lines named one by one; of more, the number is told."""


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ways = parser.add_subparsers(dest="way", required=True)
    into = ways.add_parser("import", help="from a table into Orthanc")
    into.add_argument("table", type=Path)
    into.add_argument("--dry-run", action="store_true", help="only say what would be done")
    into.add_argument("--replace", action="store_true", help="remove labels that the table does not name")
    out = ways.add_parser("export", help="from Orthanc into a table")
    out.add_argument("uids", nargs="*", metavar="UID", help="of these studies, series and instances only")
    out.add_argument("--instances", action="store_true", help="also labels of single instances: a request for each")
    out.add_argument("--out", type=Path, metavar="CSV", help="write the table here (default: the terminal)")
    for way in (into, out):
        way.add_argument("--orthanc", required=True, metavar="URL", help="such as http://localhost:8042")
        connection.add_options(way)
    return parser.parse_args(argv)


def bring_in(options: argparse.Namespace) -> int:
    """Carry out a table; return the exit status."""
    lines = label_table.read(options.table)
    outcome = Import()
    with connection.connect(options.orthanc, options) as orthanc:
        for some in tqdm(by_resource(lines).values(), desc="label", unit="study", disable=None):
            put(orthanc, some, outcome, replace=options.replace, dry=options.dry_run)
    fates = ", ".join(f"{count} {fate}" for fate, count in outcome.counts.items() if count)
    print(f"{'Would be: ' if options.dry_run else ''}{fates}")
    if outcome.several:
        print(f"More than one label: {listed(outcome.several)}")
    for problem in outcome.problems[:MOST_PROBLEMS]:
        print(f"labels.py: {problem}", file=sys.stderr)
    if len(outcome.problems) > MOST_PROBLEMS:
        print(f"labels.py: and {len(outcome.problems) - MOST_PROBLEMS} more of these", file=sys.stderr)
    return NOT_ALL if outcome.problems else 0


def bring_out(options: argparse.Namespace) -> int:
    """Write a table; return the exit status."""
    with connection.connect(options.orthanc, options) as orthanc:
        lines = list(
            tqdm(gather(orthanc, options.uids, instances=options.instances), desc="read", unit="label", disable=None)
        )
    with options.out.open("w", newline="", encoding="utf-8") if options.out else nullcontext(sys.stdout) as file:
        label_table.write(lines, file)
    if options.out:
        print(f"{len(lines)} labels in {options.out}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit status, having said in one sentence why if it is not 0."""
    options = arguments(argv)
    try:
        return bring_in(options) if options.way == "import" else bring_out(options)
    except (TableError, OrthancError, OSError) as error:
        print(f"labels.py: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
