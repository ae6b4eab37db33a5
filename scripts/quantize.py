r"""Write the networks of a model folder anew from the weights in its model.onnx, and add the one in eight-bit numbers.

    .venv/bin/python scripts/quantize.py plugin/cbmir/models/figshare-gem --pictures figshare_ce_mri/index.csv \\
        --check brain15/index.csv --group pseudo_case

For models that were exported without; scripts/export.py --int8 does the same for new ones. Weights are rounded to 16
bits, which halves model.onnx. The eight-bit network is left out where --check finds that it loses. What the card says
of the training stays; its networks have new ids, so the plugin embeds every slice anew.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _library  # noqa: F401 - before cbmir
from cbmir.errors import CbmirError
from cbmir.network import from_onnx
from model_folder import card, eight_bit
from model_folder.files import ExportError, round_weights, write_all
from sources.csv_table import TableError
from sources.tables import TABLE_HELP, Columns, add_columns, columns_of, read

if TYPE_CHECKING:
    from collections.abc import Sequence


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("folder", type=Path, help="the model folder")
    add("--pictures", required=True, metavar="TABLE", help=f"to find the ranges by: {TABLE_HELP}")
    add("--check", metavar="TABLE", help="labelled pictures that must find each other as well (default: the others)")
    add_columns(parser)
    return parser.parse_args(argv)


def quantize(options: argparse.Namespace) -> dict[str, Any]:
    """Write the files and the card, which is returned; what was there before stays until the new ones are checked."""
    told: dict[str, Any] = json.loads((options.folder / "card.json").read_text(encoding="utf-8"))
    network = from_onnx(options.folder / told["file"])
    round_weights(network)
    check = read(options.check, columns_of(options)) if options.check else None
    ranges = read(options.pictures, Columns(options.label, None if check else options.group, options.file))
    with tempfile.TemporaryDirectory(dir=options.folder.parent) as folder:
        made = Path(folder)
        write_all(network, made)
        described = eight_bit.add(made, network.architecture.side, ranges, check)
        told |= card.described(made / card.MODEL)
        told |= {"cells": card.described(made / card.CELLS)} if (made / card.CELLS).exists() else {}
        told["classifier"] |= card.described(made / card.CLASSIFIER)
        told.pop("int8", None)
        told |= {"int8": described} if described else {}
        (options.folder / eight_bit.FILE).unlink(missing_ok=True)
        for file in made.iterdir():
            file.replace(options.folder / file.name)
    card.write(told, options.folder)
    return told


def main() -> None:
    """Run, or say in one sentence why not."""
    try:
        quantize(arguments(None))
    except (CbmirError, ExportError, TableError, OSError, KeyError, ValueError) as error:
        sys.exit(f"quantize.py: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
