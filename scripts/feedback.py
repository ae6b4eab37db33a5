"""Write what readers said of hits as a table to train with: which slice is similar to which, and which is different.

    .venv/bin/python scripts/feedback.py --url http://localhost:8042 --user NAME:PASSWORD --out feedback.csv

One line for each pair that a reader judged: query,queryFrame,hit,hitFrame,verdict,model,time. Slices are named by
Orthanc's instance id and the frame, counted from 1; verdict is "similar" or "different"; model is the one whose answer
was judged; time is UTC. No line says who the reader or the patient is. Without --out the table goes to the terminal.
"""

from __future__ import annotations

import argparse
import csv
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sources import connection
from sources.orthanc_client import Orthanc, OrthancError

if TYPE_CHECKING:
    from typing import TextIO

ROUTE = "/cbmir/feedback"
COLUMNS = ("query", "queryFrame", "hit", "hitFrame", "verdict", "model", "time")


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 1 the plugin did not answer or the table could not be written."""
    options = _parser().parse_args(arguments)
    try:
        rows = fetch(options.url, options.user)
        with options.out.open("w", newline="", encoding="utf-8") if options.out else nullcontext(sys.stdout) as file:
            write(rows, file)
    except (OrthancError, OSError) as error:
        print(f"feedback.py: {error}", file=sys.stderr)
        return 1
    if options.out:
        print(f"{len(rows)} verdicts in {options.out}")
    return 0


def fetch(url: str, login: tuple[str, str] | None = None) -> list[dict[str, Any]]:
    """Return what readers said, the oldest first.

    Raises
    ------
    OrthancError
        Orthanc does not answer, wants another password, or its plugin is not there or does not run.

    """
    try:
        with Orthanc(url, login) as orthanc:
            said = orthanc.get(ROUTE)["feedback"]
        return [{column: one[column] for column in COLUMNS} for one in said]
    except (ValueError, LookupError, TypeError):
        raise OrthancError(f"{url}{ROUTE} did not answer as this version of the plugin does") from None


def write(rows: list[dict[str, Any]], file: TextIO) -> None:
    """Write the table, its heading first."""
    table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)


def _parser() -> argparse.ArgumentParser:
    head, _, examples = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=head, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="http://localhost:8042", help="the Orthanc to ask (default %(default)s)")
    parser.add_argument("--user", type=connection.login, metavar="NAME:PASSWORD", help="how to log in there")
    parser.add_argument("--out", type=Path, metavar="CSV", help="write the table here")
    return parser


if __name__ == "__main__":
    sys.exit(main())
