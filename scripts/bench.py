"""Measure the plugin, and keep the figures with the machine they came from and what it was doing besides.

    .venv/bin/python scripts/bench.py all           # those that follow, up to scale: within an hour, on two idle cores
    .venv/bin/python scripts/bench.py all --quick   # the same with next to nothing, to see that it runs
    .venv/bin/python scripts/bench.py embed         # a slice in the network, by every runtime that is installed
    .venv/bin/python scripts/bench.py ingest        # slices a second from C-STORE to searchable
    .venv/bin/python scripts/bench.py cstore        # images per second by C-STORE, with and without the plugin
    .venv/bin/python scripts/bench.py burst         # the same, of images sent as fast as Orthanc takes them
    .venv/bin/python scripts/bench.py latency       # Orthanc's own answers, with and without the plugin
    .venv/bin/python scripts/bench.py index         # to link, save and read an index, and what it finds
    .venv/bin/python scripts/bench.py compressed    # the same of "CompressedIndex": true
    .venv/bin/python scripts/bench.py query         # a whole search: ten patients, with and without filters
    .venv/bin/python scripts/bench.py answer        # GET /cbmir/similar in a real Orthanc, also while it saves
    .venv/bin/python scripts/bench.py scale         # how all of that, and a start, grow with the archive

    .venv/bin/python scripts/bench.py backfill      # memory while an archive that was there before is taken in
    .venv/bin/python scripts/bench.py startup       # what a start takes, step by step
    .venv/bin/python scripts/bench.py click         # from the click in OHIF to the cards, among 10,000 slices
    .venv/bin/python scripts/bench.py expansion     # what query expansion adds to the time of a search
    .venv/bin/python scripts/bench.py volumes       # a query by a whole series
    .venv/bin/python scripts/bench.py postgresql    # catalogue and index in PostgreSQL beside those in files
    .venv/bin/python scripts/bench.py soak --minutes 30
                                                    # memory, threads and descriptors while images come, are asked
                                                    # about and go; ends with 1 if any of them grows

Each writes docs/performance/<name>.json (--out names another folder) and, of most, a plot; docs/performance.md shows
what is there. `all` goes on where one fails, tells at the end how long each took and which failed, and then ends with
1; the archive of a million slices that several look at is built once, or taken from --keep. All traffic stays on this
machine. What is compared takes turns within one run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
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
_RUNS: dict[str, tuple[str, float, float]] = {
    "images": ("images of 256 x 256 pixels in each run", 2000, 40),
    "associations": ("associations at the same time", 8, 4),
    "runs": ("runs with and without the plugin", 5, 1),
}
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
    "cstore": Measurement("cstore", _RUNS),
    "burst": Measurement("cstore:at_once", _RUNS),
    "latency": Measurement("latency", {"requests": ("requests to each Orthanc in each state", 300, 6)}),
    "backfill": Measurement("backfill", {"slices": ("slices that are there before the plugin", 100_000, 40)}),
    "index": Measurement("finding", {"slices": (_SLICES, 1_000_000, 2000), "queries": (_QUERIES, 400, 20)}),
    "compressed": Measurement(
        "finding:compressed", {"slices": (_SLICES, 1_000_000, 2000), "queries": (_QUERIES, 400, 20)}
    ),
    "query": Measurement("indexes:query", {"slices": (_SLICES, 1_000_000, 2000), "queries": (_QUERIES, 300, 20)}),
    "answer": Measurement(
        "answers",
        {
            "slices": (_SLICES, 1_000_000, 1000),
            "queries": (_QUERIES, 300, 5),
            "saves": ("times that the index is saved beside requests, a minute each", 1, 0),
        },
    ),
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
ALL = ("embed", "ingest", "cstore", "burst", "latency", "index", "compressed", "query", "answer", "scale")
"""What needs idle cores, and fits into an hour."""

LONGEST_SECONDS = 1200
"""After which a measurement of `all` is ended, so that one that hangs costs no other."""

ENDING_SECONDS = 60
"""For what it started to be ended, and its folders to be removed."""


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
    if given.what == "all":
        return every(given)
    good = run(given.what, given)
    if given.out == REPOSITORY / "docs" / "performance":
        report.write(given.out, REPOSITORY / "docs" / "performance.md")
    return 0 if good else 1


def every(given: argparse.Namespace) -> int:
    """Measure everything, each in a process of its own: what one leaves in memory, or dies of, is no other's."""
    # the background of a shell ignores it, and what is started there would with it: such could not be ended
    signal.signal(signal.SIGINT, signal.default_int_handler)
    lines, failed = [], []
    with contextlib.ExitStack() as ends:
        keep = given.keep or ends.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        options = ["--out", str(given.out), "--keep", str(keep)]
        for name in ALL:
            start = time.monotonic()
            is_good = _ended_well([*options, name, *(["--quick"] if given.quick else [])])
            lines.append(f"{name:12} {time.monotonic() - start:6.0f} s{'' if is_good else '   FAILED'}")
            failed += [] if is_good else [name]
            print(lines[-1], flush=True)
    print("\n".join(["", *lines]))
    return 1 if failed else 0


def _ended_well(arguments: list[str]) -> bool:
    """Run this script with these arguments; return whether it came to a good end."""
    with subprocess.Popen([sys.executable, __file__, *arguments], start_new_session=True) as process:
        try:
            return process.wait(LONGEST_SECONDS) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Have a process remove what it made, if it is still at work, and leave none that it started."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(ENDING_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def run(name: str, given: argparse.Namespace) -> bool:
    """Measure one thing, and write what was found. Return whether that is good."""
    measurement = MEASUREMENTS[name]
    options = argparse.Namespace(out=given.out, keep=given.keep)
    for option, (_, usual, quick) in measurement.options.items():
        chosen = getattr(given, option, None)
        setattr(options, option, chosen if chosen is not None else quick if given.quick else usual)
    before, start = circumstances(), time.monotonic()
    found = {"circumstances": before, **measurement.measure(options), "loadAfter": load()}
    found["tookSeconds"] = round(time.monotonic() - start)
    file = given.out / f"{name}.json"
    file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print("\n".join(report.section(name, found)))
    plots.draw(name, found, file.with_suffix(".png"))
    print(file)
    return bool(found.get("good", True))


if __name__ == "__main__":
    sys.exit(main())
