"""Teach a network's trunk what pictures have in common, without labels: where scripts/train.py may start from.

    .venv/bin/python scripts/pretrain.py --data DIR/index.csv [--data ...] --group source --out runs/pretrained
    .venv/bin/python scripts/pretrain.py ... --out runs/pretrained --resume    # goes on where it stopped, exactly
    .venv/bin/python scripts/train.py --init runs/pretrained/checkpoint.pt ...

SimCLR (Chen et al., ICML 2020): two random changes of one picture shall lie closer than those of others. The run's
folder then holds checkpoint.pt (every epoch) and history.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from sources.csv_table import TableError
from sources.tables import TABLE_HELP, Columns, read
from training.pretraining import Pretrainer, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    default = Settings()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", action="append", required=True, metavar="TABLE", help=f"{TABLE_HELP}; may be repeated")
    add("--group", default="group", help="column of the origin: small origins are drawn more often than their share")
    add("--out", type=Path, required=True, metavar="DIR", help="folder of this run")
    add("--resume", action="store_true", help="go on from the checkpoint in --out")
    add(
        "--epochs",
        type=int,
        default=default.epochs,
        help=f"rounds over as many pictures as there are ({default.epochs})",
    )
    add("--side", type=int, default=default.side, help=f"side of the pictures in pixels ({default.side})")
    add("--batch", type=int, default=default.batch, help=f"pictures of a step, each seen twice ({default.batch})")
    add("--seed", type=int, default=0)
    add("--threads", type=int, default=1, help="CPU threads (default: 1)")
    add("--device", default="cpu", help="cpu or cuda (default: cpu)")
    add("--cache", type=Path, default=Path(".cache/pictures"), help="folder of prepared pictures")
    return parser.parse_args(argv)


def pretrain(options: argparse.Namespace) -> None:
    """Pre-train from the command line's wishes to the last epoch."""
    torch.set_num_threads(options.threads)
    # no label is looked at: the group's column stands in
    columns = Columns(label=options.group, group=options.group)
    rows = [row for spec in options.data for row in read(spec, columns)]
    settings = Settings(epochs=options.epochs, side=options.side, batch=options.batch)
    trainer = Pretrainer(settings, rows, seed=options.seed, device=options.device, cache=options.cache)
    options.out.mkdir(parents=True, exist_ok=True)
    checkpoint, history = options.out / "checkpoint.pt", []
    if options.resume:
        state = torch.load(checkpoint, map_location=options.device, weights_only=True)
        trainer.restore(state)
        history = state["history"]
    print(f"{len(rows)} pictures from {len({row.group for row in rows})} origins", flush=True)
    while trainer.epoch < settings.epochs:
        begin = time.monotonic()
        history.append({**trainer.run_epoch(), "epoch": trainer.epoch, "seconds": time.monotonic() - begin})
        part = checkpoint.with_suffix(".part")
        torch.save({**trainer.state(), "history": history, "origin": {"data": options.data}}, part)
        part.replace(checkpoint)
        (options.out / "history.json").write_text(json.dumps(history, indent=1))
        print("  ".join(f"{name} {value:.4g}" for name, value in history[-1].items()), flush=True)


def main() -> None:
    """Run, or say in one sentence why not."""
    try:
        pretrain(arguments(None))
    except (TableError, ValueError, FileNotFoundError) as error:
        sys.exit(f"pretrain.py: {error}")


if __name__ == "__main__":
    main()
