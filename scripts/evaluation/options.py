"""Options that several scripts of measurement have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sources.tables import TABLE_HELP, add_columns

if TYPE_CHECKING:
    import argparse

SHIPPED = Path(__file__).parents[2] / "plugin" / "cbmir" / "models" / "figshare-gem"


def add_tables(parser: argparse.ArgumentParser) -> None:
    """Give a command line one table to find in, one to look for, and the names of their columns."""
    add = parser.add_argument
    add("--gallery", required=True, metavar="TABLE", help=f"find in {TABLE_HELP}")
    add("--queries", required=True, metavar="TABLE", help="look for these; likewise")
    add_columns(parser)


def add_system(parser: argparse.ArgumentParser) -> None:
    """Give a command line the choice of what is measured."""
    add = parser.add_argument
    add(
        "--system",
        choices=("model", "pixels"),
        default="model",
        help="pixels: correlation of 32x32 greys, the floor",
    )
    add_model(parser)
    add(
        "--checkpoint",
        type=Path,
        action="append",
        metavar="PT",
        help="measure a checkpoint of scripts/train.py instead, in torch; of several, all together",
    )
    add("--cache", type=Path, default=Path(".cache/layers"), metavar="DIR", help="what its layers say is kept there")
    add("--mirrored", action="store_true", help="average embeddings with the mirrored picture's (with --checkpoint)")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Give a command line the choice of a model folder."""
    parser.add_argument(
        "--model", type=Path, default=SHIPPED, metavar="DIR", help="model folder (default: the shipped)"
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    """Give a command line how to run and where figures go."""
    add = parser.add_argument
    add("--threads", type=int, default=2, help="CPU threads (default: 2)")
    add("--json", type=Path, metavar="FILE", help="write the figures there")
