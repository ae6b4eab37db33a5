"""Measure a real Orthanc with the plugin, and keep the figures with what the machine was doing besides.

    .venv/bin/python scripts/measure.py click       # from the click in OHIF to the cards, among 10,000 slices
    .venv/bin/python scripts/measure.py cstore      # images per second by C-STORE, with and without the plugin
    .venv/bin/python scripts/measure.py index       # seconds to build, save and read an index of 200,000 slices
    .venv/bin/python scripts/measure.py soak --minutes 30
                                                    # memory, threads and descriptors while images come, are asked
                                                    # about and go; ends with 1 if any of them grows
    .venv/bin/python scripts/measure.py expansion   # what query expansion adds to the time of a search
    .venv/bin/python scripts/measure.py volumes     # queries by a series of 200 slices, among 100,000
    .venv/bin/python scripts/measure.py postgresql  # catalogue and index in PostgreSQL beside those in files

Each writes docs/performance/<name>.json (--out names another folder), soak also a plot. All traffic stays on this
machine. Figures depend on what else runs: the file tells.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import _library  # noqa: F401 - before cbmir
from measuring import click, cstore, expansion, large_index, postgresql, soak, volumes
from measuring.machine import REPOSITORY, circumstances

if TYPE_CHECKING:
    from collections.abc import Sequence


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line, with the function that measures as `measure`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "performance", metavar="DIR")
    what = parser.add_subparsers(dest="what", required=True)
    by_click = what.add_parser("click")
    by_click.add_argument("--clicks", type=int, default=21, help="each for another slice (default: 21)")
    by_click.add_argument("--slices", type=int, default=10_000, help="in the index (default: 10000)")
    by_click.add_argument("--patients", type=int, default=12, help="of the demo, which the cards show (default: 12)")
    by_click.set_defaults(measure=click.measure)
    by_cstore = what.add_parser("cstore")
    by_cstore.add_argument("--images", type=int, default=2000, help="of 256 x 256 pixels, in each run (default: 2000)")
    by_cstore.add_argument("--associations", type=int, default=8, help="at the same time (default: 8)")
    by_cstore.add_argument("--runs", type=int, default=5, help="each with and without the plugin (default: 5)")
    by_cstore.set_defaults(measure=cstore.measure)
    index = what.add_parser("index")
    index.add_argument("--vectors", type=int, default=200_000)
    index.set_defaults(measure=large_index.measure)
    soaking = what.add_parser("soak")
    soaking.add_argument("--minutes", type=float, required=True)
    soaking.set_defaults(measure=soak.measure)
    expanding = what.add_parser("expansion")
    expanding.add_argument("--slices", type=int, default=10_000, help="in the index (default: 10000)")
    expanding.add_argument("--queries", type=int, default=100, help="each with and without (default: 100)")
    expanding.set_defaults(measure=expansion.measure)
    by_series = what.add_parser("volumes")
    by_series.add_argument("--slices", type=int, default=100_000, help="in the index (default: 100000)")
    by_series.add_argument("--length", type=int, default=200, help="slices of each series (default: 200)")
    by_series.add_argument("--queries", type=int, default=30, help="each by another series (default: 30)")
    by_series.add_argument("--threads", type=int, default=2, help="that build the index (default: 2)")
    by_series.set_defaults(measure=volumes.measure)
    by_database = what.add_parser("postgresql")
    by_database.add_argument("--vectors", type=int, default=100_000, help="in both stores (default: 100000)")
    by_database.add_argument("--live", type=int, default=1000, help="that come one by one (default: 1000)")
    by_database.add_argument("--queries", type=int, default=500, help="each to both (default: 500)")
    by_database.set_defaults(measure=postgresql.measure)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and write what was found."""
    options = arguments(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    found = {"circumstances": circumstances(), **options.measure(options)}
    file = options.out / f"{options.what}.json"
    file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(file)
    return 0 if found.get("good", True) else 1


if __name__ == "__main__":
    sys.exit(main())
