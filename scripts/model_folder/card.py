"""What a model folder says about its model: card.json for programs, MODEL_CARD.md for people, from one dictionary."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


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
    return f"- **{source['name']}** ({source['licence']}). {source['attribution']} {source['use']} <{source['url']}>"


def _figure(title: str, figure: dict[str, Any]) -> str:
    rows = ["| measure | value | 95 % interval |", "|---|---|---|"]
    for name, value in figure["values"].items():
        low_high = figure.get("intervals", {}).get(name)
        between = f"{low_high[0]:.3f} to {low_high[1]:.3f}" if low_high else ""
        rows.append(f"| {name} | {value:.3f} | {between} |")
    classes = ["| class | queries | mAP | P@10 | chance mAP |", "|---|---|---|---|---|"]
    for label, row in figure["perClass"].items():
        classes.append(
            f"| {label} | {row['n_queries']} | {row['mAP']:.3f} | {row['P@10']:.3f} | {row['chance_mAP']:.3f} |"
        )
    size = f"{figure['queries']} queries, {figure['gallery']} pictures in the gallery."
    return "\n\n".join([f"### {title}", f"{size} {figure['protocol']}", "\n".join(rows), "\n".join(classes)])


def _settings(settings: dict[str, dict[str, Any]]) -> str:
    rows = ["| part | settings |", "|---|---|"]
    for section, values in settings.items():
        rows.append(f"| {section} | {', '.join(f'{key} = {value}' for key, value in values.items())} |")
    return "\n".join(rows)


def _files(card: dict[str, Any]) -> str:
    side, classes = card["size"], ", ".join(card["labels"])
    cells = card["cells"]
    return (
        f"`{card['file']}`: ONNX, float32, network `{card['network']}`.\n\n"
        f"- input `image`: (n, 1, {side}, {side}) in 0..1\n"
        f"- output `embedding`: (n, {card['dim']}), rows of unit length\n"
        f"- output `features`: the last feature map before pooling\n"
        f"- output `logits`: (n, {len(card['labels'])}) for {classes}; "
        f"divide by the temperature {card['temperature']:.3f} before the softmax\n\n"
        f"SHA-256 `{card['sha256']}`.\n\n"
        f"`{cells['file']}`: the head once more, unsummed: from `features` to what each place gives to the embedding "
        f"(output `cells`). SHA-256 `{cells['sha256']}`.\n\nLicence of the weights: {card['licence']}."
    )
