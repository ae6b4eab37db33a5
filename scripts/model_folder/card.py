"""What a model folder says about its model: card.json for programs, MODEL_CARD.md for people, from one dictionary."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import _library  # noqa: F401 - before cbmir

if TYPE_CHECKING:
    from pathlib import Path

MODEL, CELLS, CLASSIFIER = "model.onnx", "cells.onnx", "classifier.npy"
"""Files of a model folder, beside its card."""

PER_CLASS = ("n_queries", "mAP", "P@10", "chance_mAP")
"""What the card tells of each class."""


def figure(path: Path) -> dict[str, Any]:
    """Return what the card keeps of an evaluation's JSON."""
    return figure_of(json.loads(path.read_text(encoding="utf-8")))


def figure_of(found: dict[str, Any]) -> dict[str, Any]:
    """Return what the card keeps of an evaluation's figures: values, intervals, protocol."""
    names = ("mAP", "P@1", "P@5", "P@10", "mAP@10", "chance_mAP")
    return {
        "protocol": found["protocol"],
        "values": {name: found[name] for name in names},
        "intervals": {name: low_high for name, low_high in found["confidence_intervals"].items() if name in names},
        "perClass": {label: {name: row[name] for name in PER_CLASS} for label, row in found["per_class"].items()},
        "queries": found["n_queries"],
        "gallery": found["n_gallery"],
    }


def described(file: Path) -> dict[str, str]:
    """Return the name of a file and its SHA-256, by which the plugin knows it."""
    return {"file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


def contents(
    state: dict[str, Any], about: dict[str, Any], folder: Path, scale: float, calibration: tuple[float, float]
) -> dict[str, Any]:
    """Return what a card says but for name and figures.

    Parameters
    ----------
    state
        The checkpoint.
    about
        What no program can know: licence, summary, intended use, limits, data.
    folder
        Where the files lie.
    scale, calibration
        What cosines are multiplied by in the training; temperature, and cosine below which a slice is of no class.

    """
    chosen = state["recipe"]["network"]
    temperature, far_below = calibration
    return {
        **described(folder / MODEL),
        **({"cells": described(folder / CELLS)} if (folder / CELLS).exists() else {}),
        "classifier": {**described(folder / CLASSIFIER), "scale": scale / temperature, "farBelow": far_below},
        "network": chosen["name"],
        "size": chosen["side"],
        "dim": chosen["dim"],
        "labels": list(state["labels"]),
        "temperature": temperature,
        **{key: about[key] for key in ("licence", "summary", "intendedUse", "limits", "data")},
        "recipe": {
            "name": state["origin"]["recipe_name"],
            "seed": state["seed"],
            "epochsDone": state["epoch"],
            "settings": state["recipe"],
        },
    }


def write(card: dict[str, Any], directory: Path) -> None:
    """Write card.json and MODEL_CARD.md into a folder."""
    text = json.dumps(card, indent=2, ensure_ascii=False)
    (directory / "card.json").write_text(text + "\n", encoding="utf-8")
    # from what was written, so that the page can be made again from the file
    (directory / "MODEL_CARD.md").write_text(markdown(json.loads(text)), encoding="utf-8")


def markdown(card: dict[str, Any]) -> str:
    """Return the card as a page to read."""
    parts = [
        f"# Model card: {card['name']}",
        card["summary"],
        "## Intended use",
        card["intendedUse"],
        "## Limits",
        "\n".join(f"- {limit}" for limit in card["limits"]),
        "## Data",
        "\n".join(_source(source) for source in card["data"]),
        "## Figures",
        *(_figure(title, figure) for title, figure in card["figures"].items()),
        "## How it was trained",
        f"Recipe `{card['recipe']['name']}`, seed {card['recipe']['seed']}, {card['recipe']['epochsDone']} epochs:",
        _settings(card["recipe"]["settings"]),
        "## Files",
        _files(card),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _source(source: dict[str, str]) -> str:
    where = f" <{source['url']}>" if "url" in source else ""
    return f"- **{source['name']}** ({source['licence']}). {source['attribution']} {source['use']}{where}"


def _figure(title: str, figure: dict[str, Any]) -> str:
    rows = ["| measure | value | 95 % interval |", "|---|---|---|"]
    for name, value in figure["values"].items():
        low_high = figure.get("intervals", {}).get(name)
        between = f"{low_high[0]:.3f} to {low_high[1]:.3f}" if low_high else ""
        rows.append(f"| {name} | {value:.3f} | {between} |")
    classes = ["| class | queries | mAP | P@10 | chance mAP |", "|---|---|---|---|---|"]
    for label, row in figure["perClass"].items():
        shares = " | ".join(_cell(row[name]) for name in ("mAP", "P@10", "chance_mAP"))
        classes.append(f"| {label} | {row['n_queries']} | {shares} |")
    size = f"{figure['queries']} queries, {figure['gallery']} pictures in the gallery."
    return "\n\n".join([f"### {title}", f"{size} {figure['protocol']}", "\n".join(rows), "\n".join(classes)])


def _cell(value: float | None) -> str:
    """Return a figure, or nothing for a class of which nothing could be found."""
    return "" if value is None else f"{value:.3f}"


def _settings(settings: dict[str, dict[str, Any]]) -> str:
    rows = ["| part | settings |", "|---|---|"]
    for section, values in settings.items():
        rows.append(f"| {section} | {', '.join(f'{key} = {value}' for key, value in values.items())} |")
    return "\n".join(rows)


def _files(card: dict[str, Any]) -> str:
    side, classes = card["size"], ", ".join(card["labels"])
    text = (
        f"`{card['file']}`: ONNX, float32 (weights that 16 bits hold are stored so), network `{card['network']}`.\n\n"
        f"- input `image`: (n, 1, {side}, {side}) in 0..1\n"
        f"- output `embedding`: (n, {card['dim']}), rows of unit length\n"
        f"- output `features`: the last feature map before pooling\n"
        f"- output `logits`: (n, {len(card['labels'])}) for {classes}; "
        f"divide by the temperature {card['temperature']:.3f} before the softmax\n\n"
        f"SHA-256 `{card['sha256']}`.\n\n"
        f"{_eight_bit(card['int8']) if 'int8' in card else ''}"
    )
    if cells := card.get("cells"):
        text += (
            f"`{cells['file']}`: the head once more, unsummed: from `features` to what each place gives to the "
            f"embedding (output `cells`). SHA-256 `{cells['sha256']}`.\n\n"
        )
    return text + f"Licence of the weights: {card['licence']}."


def _eight_bit(described: dict[str, Any]) -> str:
    found = described["comparison"]
    return (
        f"`{described['file']}`: the same inputs and outputs, convolutions in eight-bit numbers, ranges from "
        f"{described['calibrationPictures']} pictures; what a CPU runs. {found['pictures']} pictures that look for "
        f"their like: mAP {found['mAP']:.4f}, with the exact network {found['exactMAP']:.4f}; cosine between the two "
        f"embeddings of a picture {found['meanCosine']:.4f} on average, {found['leastCosine']:.4f} at least. "
        f"SHA-256 `{described['sha256']}`.\n\n"
    )
