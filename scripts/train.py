"""Train a retrieval network on labelled pictures.

    .venv/bin/python scripts/train.py --recipe ours --data DIR/index.csv:patient_fold=1,2,3 \
        --hold-out DIR/index.csv:patient_fold=4 --label label --group patient_fold --out runs/fold4
    .venv/bin/python scripts/train.py ... --out runs/fold4 --resume     # goes on where it stopped, exactly
    .venv/bin/python scripts/train.py --orthanc http://localhost:8042 --labels labels.csv --hold-out-share 0.2 \
        --out runs/own --candidate own

The third line trains on the studies and series of a running Orthanc that a table labels, as scripts/labels.py takes it;
without --labels, on the labels that Orthanc itself holds. What was fetched is listed in the run's orthanc.csv, which
scripts/evaluate.py and scripts/export.py read: patients held out are orthanc.csv:held_out=yes. --candidate exports the
model at the end, as a candidate that scripts/promote.py compares with the one that answers. --feedback also learns from
what readers said of hits, --init MODELFOLDER begins with the network of a model.

RECIPE is the name of a file in scripts/training/recipes or a path. The run's folder then holds checkpoint.pt (every
epoch), history.json (losses, and on the hold-out mAP, P@10 and accuracy) and curves.png. Next: scripts/export.py.

    .venv/bin/python scripts/train.py --recipe fitted --orthanc http://localhost:8042 --hold-out-share 0.2 \
        --out runs/own --candidate own      # in minutes
    .venv/bin/python scripts/train.py --recipe fitted-lite --init imagenet ...

These train no network: they fit what tells the classes apart to the layers of the shipped model, or of networks that
learnt from photographs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from evaluation.metrics import average_precision, precision_at, rank
from promotion import candidate
from promotion.candidates import PromotionError
from sources.csv_table import TableError
from sources.orthanc_client import OrthancError
from training import data
from training.fitting import Fitter
from training.learning_curves import draw
from training.recipe import RecipeError, load, stages, with_stages
from training.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sources.tables import Row

RECIPES = Path(__file__).parent / "training" / "recipes"


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--recipe", default="ours", help="name of a file in scripts/training/recipes, or a path (default: ours)")
    data.add_options(parser)
    add("--out", type=Path, required=True, metavar="DIR", help="folder of this run")
    add("--init", metavar="WEIGHTS", help="start the trunk from 'imagenet', a checkpoint.pt or a model folder")
    add("--stages", metavar="SIDE:N,...", help="epochs at each side instead of the recipe's: with --init fewer may do")
    add("--resume", action="store_true", help="go on from the checkpoint in --out")
    add("--stop-after", type=int, metavar="N", help="stop when N epochs are done; the schedule stays the recipe's")
    add("--seed", type=int, default=0)
    add("--threads", type=int, default=1, help="CPU threads (default: 1)")
    add("--device", default="cpu", help="cpu or cuda (default: cpu)")
    add("--precision", choices=("bf16", "fp32"), default="bf16", help="of activations; weights are always fp32")
    add("--every", type=int, default=4, metavar="N", help="measure on the hold-out every N epochs and at the end")
    add("--cache", type=Path, default=Path(".cache/pictures"), help="folder of prepared pictures")
    candidate.add_options(parser)
    options = parser.parse_args(argv)
    data.check(parser, options)
    candidate.check(parser, options)
    return options


def measure(trainer: Trainer | Fitter, held_out: Sequence[Row]) -> dict[str, float]:
    """Return mAP, P@10 and accuracy of the averaged weights: queries held out, gallery what was trained on."""
    gallery, _ = trainer.embedded(trainer.rows)
    queries, logits = trainer.embedded(held_out)
    truth = np.array([row.label for row in held_out])
    ranking = rank(queries @ gallery.T, truth, np.array([row.label for row in trainer.rows]))
    guess = np.array(trainer.labels)[logits.argmax(axis=1)]
    return {
        "mAP": float(np.nanmean(average_precision(ranking))),
        "P@10": float(precision_at(ranking, 10).mean()),
        "held_out_accuracy": float((guess == truth).mean()),
    }


def save(trainer: Trainer | Fitter, history: list[dict[str, float]], options: argparse.Namespace) -> None:
    """Write checkpoint, history and curves; a checkpoint is whole or is not there."""
    origin = {"data": options.data, "hold_out": options.hold_out, "recipe_name": Path(options.recipe).stem}
    state = {**trainer.state(), "history": history, "recipe": trainer.recipe.sections(), "origin": origin}
    part = options.out / "checkpoint.part"
    torch.save(state, part)
    part.replace(options.out / "checkpoint.pt")
    (options.out / "history.json").write_text(json.dumps(history, indent=1))
    draw(history, options.out / "curves.png")


def resumed(trainer: Trainer | Fitter, checkpoint: Path, device: str) -> list[dict[str, float]]:
    """Take up the training of a checkpoint; return its history."""
    state: dict[str, Any] = torch.load(checkpoint, map_location=device, weights_only=True)
    trainer.restore(state)
    history: list[dict[str, float]] = state["history"]
    return history


def train(options: argparse.Namespace) -> None:
    """Train from the command line's wishes to the last epoch."""
    torch.set_num_threads(options.threads)
    path = Path(options.recipe)
    recipe = load(path if path.suffix else RECIPES / f"{path}.toml")
    if options.stages:
        recipe = with_stages(recipe, stages(options.stages))
    options.out.mkdir(parents=True, exist_ok=True)
    rows, held_out = data.load(options)
    kind = Fitter if recipe.network.fitted else Trainer
    trainer = kind(
        recipe,
        rows,
        seed=options.seed,
        device=options.device,
        precision=options.precision,
        cache=options.cache,
        init=options.init,
        pairs=data.load_pairs(options),
    )
    history = resumed(trainer, options.out / "checkpoint.pt", options.device) if options.resume else []
    print(f"{len(rows)} pictures, {len(held_out)} held out, classes: {', '.join(trainer.labels)}", flush=True)
    end = min(recipe.schedule.epochs, options.stop_after or recipe.schedule.epochs)
    while trainer.epoch < end:
        begin = time.monotonic()
        entry = {**trainer.run_epoch(), "epoch": float(trainer.epoch), "seconds": time.monotonic() - begin}
        if held_out and (trainer.epoch % options.every == 0 or trainer.epoch == end):
            entry |= measure(trainer, held_out)
        history.append(entry)
        save(trainer, history, options)
        print("  ".join(f"{name} {value:.4g}" for name, value in entry.items()), flush=True)
    if options.candidate and trainer.epoch == recipe.schedule.epochs:
        candidate.make(options)


def main() -> None:
    """Run, or say in one sentence why not."""
    try:
        train(arguments(None))
    except (TableError, OrthancError, RecipeError, PromotionError, ValueError, OSError) as error:
        sys.exit(f"train.py: {error}")


if __name__ == "__main__":
    main()
