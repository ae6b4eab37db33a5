"""Give a table a column of folds: every case whole in one fold, every class spread evenly over them.

.venv/bin/python scripts/folds.py DIR/index.csv --group case_id --folds 3 --out folds.csv
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from sources.csv_table import TableError
from sources.tables import Columns, Row, read

if TYPE_CHECKING:
    from collections.abc import Sequence


def arguments() -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("table", metavar="TABLE", help="a table with the columns file, label and group")
    add("--label", default="label", help="column of the class (default: label)")
    add("--group", default="group", help="column of the case (default: group); blank: a case of its own")
    add("--folds", type=int, default=5, metavar="N", help="how many (default: 5)")
    add("--out", type=Path, required=True, metavar="FILE", help="the table with absolute paths and the column fold")
    return parser.parse_args()


def folds(rows: Sequence[Row], count: int) -> list[int]:
    """Return the fold of each row, counted from 1.

    Cases are dealt out from the largest to the smallest, those of one size in the table's order, each to the fold with
    least of its classes.
    """
    cases = defaultdict(list)
    for row in rows:
        cases[row.group].append(row.label)
    filled: dict[str, list[int]] = defaultdict(lambda: [0] * count)
    chosen: dict[str, int] = {}
    for case in sorted(cases, key=lambda case: -len(cases[case])):
        labels = Counter(cases[case])
        chosen[case] = min(
            range(count),
            key=lambda fold: (
                sum(filled[label][fold] * number for label, number in labels.items()),
                sum(of_class[fold] for of_class in filled.values()),
            ),
        )
        for label, number in labels.items():
            filled[label][chosen[case]] += number
    return [chosen[row.group] + 1 for row in rows]


def main() -> None:
    """Run, or say in one sentence why not."""
    options = arguments()
    try:
        rows = read(options.table, Columns(options.label, options.group))
        with options.out.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            names = [name for name in rows[0].columns if name != "file"]
            writer.writerow(["file", *names, "fold"])
            for row, fold in zip(rows, folds(rows, options.folds), strict=True):
                writer.writerow([row.file, *(row.columns[name] for name in names), fold])
    except (TableError, OSError) as error:
        sys.exit(f"folds.py: {error}")


if __name__ == "__main__":
    main()
