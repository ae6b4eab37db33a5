"""Models for tests that need several: the shipped one under other names, and so with other ids."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from orthanc_process import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

SHIPPED = REPOSITORY / "plugin" / "cbmir" / "models" / "figshare-gem"


def install(models: Path, *names: str) -> Path:
    """Copy the shipped model into a folder of models, once for each name; return the folder."""
    for name in names:
        shutil.copytree(SHIPPED, models / name)
        card = models / name / "card.json"
        card.write_text(json.dumps({**json.loads(card.read_text()), "name": name}))
    return models
