"""Measure the plugin, and keep the figures with the machine they came from and what it was doing besides.

    .venv/bin/python scripts/bench.py all           # those that follow, up to scale
    .venv/bin/python scripts/bench.py all --quick   # the same with next to nothing, to see that it runs
    .venv/bin/python scripts/bench.py embed         # a slice in the network, by every runtime that is installed
    .venv/bin/python scripts/bench.py ingest        # slices a second from C-STORE to searchable
    .venv/bin/python scripts/bench.py cstore        # images per second by C-STORE, with and without the plugin
    .venv/bin/python scripts/bench.py latency       # Orthanc's own answers, with and without the plugin
    .venv/bin/python scripts/bench.py backfill      # memory while an archive that was there before is taken in
    .venv/bin/python scripts/bench.py index         # to link, save and read an index, and what it finds
    .venv/bin/python scripts/bench.py compressed    # what an index of shorter vectors would save and find: a trial
    .venv/bin/python scripts/bench.py query         # a whole search: ten patients, with and without filters
    .venv/bin/python scripts/bench.py answer        # GET /cbmir/similar in a real Orthanc
    .venv/bin/python scripts/bench.py startup       # what a start takes, step by step
    .venv/bin/python scripts/bench.py scale         # how all of that grows with the archive
    .venv/bin/python scripts/bench.py click         # from the click in OHIF to the cards, among 10,000 slices
    .venv/bin/python scripts/bench.py expansion     # what query expansion adds to the time of a search
    .venv/bin/python scripts/bench.py volumes       # a query by a whole series
    .venv/bin/python scripts/bench.py postgresql    # catalogue and index in PostgreSQL beside those in files
    .venv/bin/python scripts/bench.py soak --minutes 30
                                                    # memory, threads and descriptors while images come, are asked
                                                    # about and go; ends with 1 if any of them grows

Each writes docs/performance/<name>.json (--out names another folder) and, of most, a plot; docs/performance.md shows
what is there. All traffic stays on this machine. What is compared takes turns within one run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _library  # noqa: F401 - before cbmir
from measuring import plots, report
from measuring.machine import REPOSITORY, circumstances, load

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Measurement:
    """What measures, with its options: name → what it says, by itself and with --quick."""

    function: str
    options: dict[str, tuple[str, float, float]] = field(default_factory=dict)

    def measure(self, options: argparse.Namespace) -> dict[str, Any]:
        """Return what was found. Some need packages that others do not."""
        module, _, name = self.function.partition(":")
        found: dict[str, Any] = getattr(import_module(f"measuring.{module}"), name or "measure")(options)
        return found


_SLICES = "slices in the archive"
_QUERIES = "queries of each kind"
MEASUREMENTS = {
    "embed": Measurement(
        "embed",
        {
            "rounds": ("times that every runtime has its turn", 20, 2),
            "pictures": ("pictures of ../shared/data/brain15 that find each other by each runtime", 1500, 0),
        },
    ),
    "ingest": Measurement(
        "ingest",
        {"images": ("images sent", 2000, 16), "associations": ("associations at the same time", 8, 4)},
    ),
    "cstore": Measurement(
        "cstore",
        {
            "images": ("images of 256 x 256 pixels in each run", 2000, 40),
            "associations": ("associations at the same time", 8, 4),
            "runs": ("runs with and without the plugin", 5, 1),
        },
    ),
    "latency": Measurement("latency", {"requests": ("requests to each Orthanc in each state", 300, 6)}),
    "backfill": Measurement("backfill", {"images": ("images that are there before the plugin", 10_000, 40)}),
    "index": Measurement("finding", {"slices": (_SLICES, 1_000_000, 2000), "queries": (_QUERIES, 400, 20)}),
    "compressed": Measurement("compressed", {"slices": (_SLICES, 100_000, 2000), "queries": (_QUERIES, 300, 20)}),
    "query": Measurement("indexes:query", {"slices": (_SLICES, 1_000_000, 2000), "queries": (_QUERIES, 300, 20)}),
    "answer": Measurement("answers", {"slices": (_SLICES, 100_000, 1000), "queries": (_QUERIES, 300, 5)}),
    "startup": Measurement("indexes:startup", {"slices": (_SLICES, 100_000, 2000)}),
    "scale": Measurement("indexes:scale", {"slices": (_SLICES, 1_000_000, 5000), "queries": (_QUERIES, 300, 20)}),
    "click": Measurement(
        "click",
        {
            "clicks": ("clicks, each for another slice", 21, 3),
            "slices": (_SLICES, 10_000, 1000),
            "patients": ("patients of the demo, which the cards show", 12, 4),
        },
    ),
    "expansion": Measurement("expansion", {"slices": (_SLICES, 10_000, 1000), "queries": (_QUERIES, 100, 5)}),
    "volumes": Measurement(
        "volumes",
        {
            "slices": (_SLICES, 1_000_000, 2000),
            "queries": (_QUERIES, 50, 3),
        },
    ),
    "postgresql": Measurement(
        "postgresql",
        {
            "vectors": ("slices in both stores", 100_000, 2000),
            "live": ("slices that come one by one", 1000, 50),
            "queries": ("queries to both", 500, 20),
        },
    ),
    "soak": Measurement("soak", {"minutes": ("minutes", 30, 1)}),
}
ALL = ("embed", "ingest", "cstore", "latency", "backfill", "index", "answer", "startup", "scale")


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep archives there, and use what is kept")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "performance", metavar="DIR")
    what = parser.add_subparsers(dest="what", required=True)
    for name, measurement in MEASUREMENTS.items():
        one = what.add_parser(name)
        one.add_argument("--quick", action="store_true", help="with next to nothing")
        for option, (meaning, usual, _) in measurement.options.items():
            kind = float if option == "minutes" else int
            one.add_argument(f"--{option}", type=kind, help=f"{meaning} (default: {usual:,})")
    every = what.add_parser("all")
    every.add_argument("--quick", action="store_true", help="with next to nothing")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and write what was found."""
    given = arguments(argv)
    given.out.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as ends:
        if given.what == "all" and given.keep is None:
            # several look at the same archive
            given.keep = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        good = [run(name, given) for name in (ALL if given.what == "all" else (given.what,))]
    if given.out == REPOSITORY / "docs" / "performance":
        report.write(given.out, REPOSITORY / "docs" / "performance.md")
    return 0 if all(good) else 1


def run(name: str, given: argparse.Namespace) -> bool:
    """Measure one thing, and write what was found. Return whether that is good."""
    measurement = MEASUREMENTS[name]
    options = argparse.Namespace(out=given.out, keep=given.keep)
    for option, (_, usual, quick) in measurement.options.items():
        chosen = getattr(given, option, None)
        setattr(options, option, chosen if chosen is not None else quick if given.quick else usual)
    before = circumstances()
    found = {"circumstances": before, **measurement.measure(options), "loadAfter": load()}
    file = given.out / f"{name}.json"
    file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print("\n".join(report.section(name, found)))
    plots.draw(name, found, file.with_suffix(".png"))
    print(file)
    return bool(found.get("good", True))


if __name__ == "__main__":
    sys.exit(main())
