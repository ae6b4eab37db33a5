"""Let a model that was trained on site take over, if it is no worse on patients whom neither model was trained on.

    .venv/bin/python scripts/train.py --orthanc http://localhost:8042 --labels labels.csv --hold-out-share 0.2 \
        --out runs/own --candidate own
    .venv/bin/python scripts/promote.py own --configuration /etc/orthanc --dry-run
    .venv/bin/python scripts/promote.py own --configuration /etc/orthanc
    .venv/bin/python scripts/promote.py --back --configuration /etc/orthanc

Slices of the patients held out look for their like among all labelled slices of other patients, with the candidate
and with the model that answers now. The candidate takes over where, over patients, mAP and P@10 are no worse on
average, and it is sure (paired bootstrap, 95 %) that neither is worse by more than --margin. "Model" in the
configuration is set; where that cannot be, you are told what to set. After the next start of Orthanc every slice is
embedded anew in the background, and the model before answers until that is done. --back names the model before again,
in the same way. Each decision is a line of promotions.jsonl beside the models.

Exit status: 0 done, 1 not possible, 3 refused: the candidate stays one, 4 "Model" must be set by hand.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import _library  # noqa: F401 - before cbmir
from cbmir.embedding import card_id
from cbmir.errors import CbmirError
from evaluation import systems
from evaluation.embedded import embedded
from evaluation.ranked import evaluate
from evaluation.report import summary
from model_folder import card
from promotion import comparison, configuration, history
from promotion.candidates import CANDIDATES, MODELS, PromotionError, note_of, promoted
from sources.csv_table import TableError
from sources.tables import Columns, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evaluation.ranked import Evaluation
    from evaluation.systems import System
    from promotion.configuration import Configuration
    from sources.tables import Row

REFUSED, BY_HAND = 3, 4
TITLE = "patients of this site, held out"
"""What the card of a promoted model calls the figures by which it was promoted."""


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("candidate", nargs="?", metavar="NAME", help="the candidate, as train.py --candidate named it")
    add("--back", action="store_true", help="take the last promotion back")
    add(
        "--configuration",
        type=Path,
        required=True,
        metavar="PATH",
        help="the configuration of Orthanc: a file such as orthanc.json, or a folder such as /etc/orthanc",
    )
    add(
        "--models", type=Path, default=MODELS, metavar="DIR", help="where train.py put it (default: beside the shipped)"
    )
    add(
        "--margin",
        type=float,
        default=0.02,
        help="by how much it may be worse where that is not sure (default: 0.02; -0.02: it must be better by 0.02)",
    )
    add("--dry-run", action="store_true", help="compare, and change nothing")
    add("--threads", type=int, default=2, help="CPU threads (default: 2)")
    options = parser.parse_args(argv)
    if (options.candidate is None) != options.back:
        parser.error("name a candidate, or say --back")
    if not -1 < options.margin < 1:
        parser.error("--margin is between -1 and 1")
    return options


def held_out(candidate: Path, current: Path) -> tuple[list[Row], list[Row]]:
    """Return the slices that ask, of patients whom neither model was trained on, and those that are looked among.

    Raises
    ------
    PromotionError
        The candidate was not trained on site, or nobody is left.

    """
    own, other = note_of(candidate), note_of(current)
    if own is None:
        raise PromotionError(f"{candidate} does not say what it was trained on: make it with train.py --candidate")
    seen = {*own.trained_on, *(other.trained_on if other else ())}
    gallery = read(own.table, Columns())
    queries = [row for row in gallery if row.columns["held_out"] == "yes" and row.group not in seen]
    if not queries:
        raise PromotionError(f"of the patients held out in {own.table}, each was learnt from by one of the models")
    return queries, gallery


def measured(model: System, queries: Sequence[Row], gallery: Sequence[Row]) -> Evaluation:
    """Return how a model fares."""
    return evaluate(*embedded(gallery, queries, model), same_group=True)


def promote(options: argparse.Namespace) -> int:
    """Compare, and let the candidate take over or not; return the exit status."""
    found = configuration.find(options.configuration)
    candidate = options.models / CANDIDATES / options.candidate
    folders = found.model_folder, candidate
    ids = [card_id(folder, found.precision) for folder in folders]
    for folder, model_id in zip(folders, ids, strict=True):
        if model_id is None:
            raise PromotionError(f"there is no model in {folder}")
    if ids[0] == ids[1]:
        raise PromotionError(f"{ids[0]} answers already")
    queries, gallery = held_out(candidate, found.model_folder)
    # through the runtime that the plugin has, and as precisely
    models = [systems.model(folder, "onnx", options.threads, found.precision) for folder in folders]
    both = [measured(model, queries, gallery) for model in models]
    compared = comparison.compare(*both)
    print(comparison.table(compared, [str(model_id) for model_id in ids]))
    reason = compared.reason_against(options.margin)
    if options.dry_run:
        print(f"It would {'be refused: ' + reason if reason else 'take over'}.")
        return REFUSED if reason else 0
    figures = {"margin": options.margin, **compared.as_json()}
    if reason:
        history.note(options.models, "refused", found.model, str(options.candidate), reason=reason, figures=figures)
        print(f"Refused: {reason}. {found.model} goes on answering.")
        return REFUSED
    folder = promoted(options.models, options.candidate).resolve()
    tell_card(folder, both[1])
    history.note(options.models, "promoted", found.model, str(folder), figures=figures)
    return switch(found, str(folder))


def tell_card(folder: Path, found: Evaluation) -> None:
    """Have the card of a model say how it fared."""
    described = {"protocol": "Cosine similarity, each patient held out looks among all labelled slices of others."}
    figures = {TITLE: card.figure_of(summary(found, folder.name, 1, described))}
    told = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card.write({**told, "figures": {**told["figures"], **figures}}, folder)


def go_back(options: argparse.Namespace) -> int:
    """Name the model before the last promotion again; return the exit status."""
    found = configuration.find(options.configuration)
    model = history.before(options.models)
    before = found.model_folder.parent / model
    if card_id(before) is None:
        raise PromotionError(f"the model before, {before}, is no longer there")
    if options.dry_run:
        print(f"{model} would answer instead of {found.model}.")
        return 0
    history.note(options.models, "back", found.model, model)
    return switch(found, model)


def switch(found: Configuration, model: str) -> int:
    """Have the configuration name a model, or say how; return the exit status."""
    status = 0
    try:
        configuration.name_model(found, model)
        print(f'"Model" in {found.file} is now {json.dumps(model)}.')
    except (OSError, PromotionError) as error:
        print(f'{found.file} cannot be changed ({error}). Set there: "Cbmir": {{ "Model": {json.dumps(model)} }}')
        status = BY_HAND
    print("Restart Orthanc: every slice is embedded anew in the background, until then the model before answers.")
    print("How far it is, the page /cbmir/ tells. Keep both model folders until it is done.")
    return status


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit status, having said in one sentence why if nothing could be done."""
    options = arguments(argv)
    try:
        return go_back(options) if options.back else promote(options)
    except (PromotionError, TableError, CbmirError, OSError, ValueError) as error:
        print(f"promote.py: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
