"""Write a trained network as a model folder that the plugin can load: model.onnx, card.json, MODEL_CARD.md.

    .venv/bin/python scripts/export.py --checkpoint runs/all/checkpoint.pt \
        --about scripts/model_folder/figshare-gem.toml --out plugin/cbmir/models/figshare-gem \
        --figures "figshare, fold 4" fold4.json --temperature 1.1
    .venv/bin/python scripts/export.py ... --calibrate DIR/index.csv:patient_fold=4 --group patient_fold

--about holds what no program can know: licence, data with attribution, intended use, limits. --figures takes what
scripts/evaluate.py wrote. --calibrate fits the temperature on pictures that the checkpoint was not trained on. --int8
adds the network in eight-bit numbers, which CPUs run three times as fast; see scripts/quantize.py.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import _library  # noqa: F401 - before cbmir
from model_folder import card, eight_bit
from model_folder.calibration import calibrated
from model_folder.files import ExportError, round_weights, write_all
from sources.csv_table import TableError
from sources.tables import TABLE_HELP, add_columns, columns_of, read
from training.baselines import Qayyum
from training.recipe import RecipeError, of_sections
from training.trainer import build

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cbmir.fitted import Fitted
    from cbmir.network import Network


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--checkpoint", type=Path, required=True, help="checkpoint.pt of a run of scripts/train.py")
    add("--about", type=Path, required=True, metavar="TOML", help="the words of the card")
    add("--out", type=Path, required=True, metavar="DIR", help="the model folder; its name becomes the model's")
    add("--figures", nargs=2, action="append", default=[], metavar=("TITLE", "JSON"), help="from scripts/evaluate.py")
    add("--temperature", type=float, default=1.0, help="what logits are divided by (default: 1)")
    add("--far-below", type=float, default=-1.0, help="cosine below which a slice is none of the classes (default: -1)")
    add("--calibrate", metavar="TABLE", help=f"fit the temperature on {TABLE_HELP}")
    add("--int8", metavar="TABLE", help="pictures to find the ranges of eight-bit numbers by")
    add("--int8-check", metavar="TABLE", help="that must find each other by them (default: others of --int8)")
    add_columns(parser)
    return parser.parse_args(argv)


def network_of(state: dict[str, Any]) -> Network | Fitted:
    """Return the averaged network of a checkpoint, in evaluation mode."""
    recipe = of_sections({name: state["recipe"][name] for name in ("network", "schedule")})
    network = build(recipe, tuple(state["labels"]))
    if isinstance(network, Qayyum):
        raise ExportError(f"{recipe.network.name} is measured by scripts/train.py only, never exported")
    network.load_state_dict(state["averaged"])
    return network.eval()


def export(options: argparse.Namespace) -> None:
    """Write the model folder; what was there before stays until the new file has passed its checks."""
    state = torch.load(options.checkpoint, map_location="cpu", weights_only=True)
    network = network_of(state)
    round_weights(network)
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.out.parent) as folder:
        made = Path(folder)
        for name, difference in write_all(network, made).items():
            print(f"{name}: largest difference from torch {difference:.2g}")
        calibration = (options.temperature, options.far_below)
        if options.calibrate:
            calibration = calibrated(network, read(options.calibrate, columns_of(options), network.architecture.labels))
        print(f"temperature {calibration[0]:.3f}, far from all classes below a cosine of {calibration[1]:.3f}")
        about = tomllib.loads(options.about.read_text(encoding="utf-8"))
        scale = network.classifier.log_scale.exp().item()
        written = {
            "name": options.out.name,
            **card.contents(state, about, made, scale, calibration),
            "figures": {title: card.figure(Path(path)) for title, path in options.figures},
        }
        if options.int8:
            side, columns = network.architecture.side, columns_of(options)
            check = read(options.int8_check, columns) if options.int8_check else None
            if described := eight_bit.add(made, side, read(options.int8, columns), check):
                written["int8"] = described
        for name in (card.CELLS, eight_bit.FILE):
            (options.out / name).unlink(missing_ok=True)
        for file in made.iterdir():
            file.replace(options.out / file.name)
    card.write(written, options.out)
    print(f"{options.out}: {written['sha256'][:12]}, {(options.out / card.MODEL).stat().st_size / 1e6:.1f} MB")


def main() -> None:
    """Run, or say in one sentence why not."""
    try:
        export(arguments(None))
    except (ExportError, RecipeError, TableError, OSError, KeyError, ValueError) as error:
        sys.exit(f"export.py: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
