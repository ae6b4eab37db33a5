"""The end of a training on site: its network as a candidate, with a note of whom it learnt from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import export
from promotion.candidates import MODELS, candidate_folder, write_note
from sources.tables import Columns, read
from training.data import ARCHIVE_TABLE, PAIRS_TABLE

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

WORDS = Path(__file__).parents[1] / "model_folder" / "site.toml"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give a command line the options of a candidate."""
    add = parser.add_argument
    add("--candidate", metavar="NAME", help="at the end, put the model there for scripts/promote.py under this name")
    add("--models", type=Path, default=MODELS, metavar="DIR", help="where (default: beside the shipped model)")
    add("--about", type=Path, default=WORDS, metavar="TOML", help=f"the words of its card (default: {WORDS.name})")


def check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End with a hint where options do not go together. Raises PromotionError where the name cannot be had."""
    if not options.candidate:
        return
    if not options.orthanc or not options.hold_out_share:
        parser.error("a candidate is compared on patients of an Orthanc held out: --orthanc, --hold-out-share 0.2")
    candidate_folder(options.models, options.candidate)


def make(options: argparse.Namespace) -> Path:
    """Export the finished training; return the candidate's folder. One of the same name is replaced."""
    folder = candidate_folder(options.models, options.candidate)
    folder.parent.mkdir(parents=True, exist_ok=True)
    table = options.out / ARCHIVE_TABLE
    wishes = {
        "--checkpoint": options.out / "checkpoint.pt",
        "--about": options.about,
        "--out": folder,
        "--calibrate": f"{table}:held_out=yes",
        "--int8": f"{table}:held_out=no",
        "--int8-check": f"{table}:held_out=yes",
    }
    export.export(export.arguments([str(part) for wish in wishes.items() for part in wish]))
    write_note(folder, table, _learnt_from(options.out))
    print(f"Next: scripts/promote.py {options.candidate} --configuration PATH, which compares it with what answers now")
    return folder


def _learnt_from(run: Path) -> Iterator[str]:
    """Yield the groups whose pictures were learnt from: those labelled, and those readers spoke of."""
    yield from (row.group for row in read(f"{run / ARCHIVE_TABLE}:held_out=no", Columns()))
    if (run / PAIRS_TABLE).exists():
        for row in read(str(run / PAIRS_TABLE), Columns(label="verdict")):
            yield from (row.group, row.columns["other_group"])
