"""Which model took over from which, when and by what figures: a file beside the models, one line for each decision."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from promotion.candidates import PromotionError

if TYPE_CHECKING:
    from pathlib import Path

FILE = "promotions.jsonl"

Action = Literal["promoted", "refused", "back"]


def note(models: Path, action: Action, before: str, after: str, **more: Any) -> None:
    """Add a decision: `after` took over from `before`, or was refused."""
    line = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "action": action, "from": before, "to": after}
    with (models / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps({**line, **more}, ensure_ascii=False) + "\n")


def decisions(models: Path) -> list[dict[str, Any]]:
    """Return all decisions, the oldest first. Raises PromotionError."""
    try:
        lines = (models / FILE).read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise PromotionError(f"{models / FILE} cannot be read: {error}") from None


def before(models: Path) -> str:
    """Return the model that answered before the last promotion that was not taken back. Raises PromotionError."""
    former: list[str] = []
    for one in decisions(models):
        if one["action"] == "promoted":
            former.append(one["from"])
        elif one["action"] == "back" and former:
            former.pop()
    if not former:
        raise PromotionError(f"{models / FILE} tells of no promotion that could be taken back")
    return former[-1]
