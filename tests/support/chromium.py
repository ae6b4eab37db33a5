"""Scripts that drive Chromium (tests/browser/*.mjs): what they need, where their screenshots go, how they are run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from orthanc_process import REPOSITORY

EXTENSION = REPOSITORY / "ohif-extension"
ARTEFACTS = EXTENSION / "artefacts"
CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
SECONDS = 600


def what_is_missing() -> str | None:
    """Return why no browser can be driven here."""
    if shutil.which("node") is None:
        return "Node.js is not installed"
    if not CHROMIUM.exists():
        return f"there is no {CHROMIUM}"
    if not (EXTENSION / "node_modules" / "playwright-core").is_dir():
        return "the tools of the viewer are not installed: scripts/viewer does it"
    return None


def drive(script: Path, *arguments: str, artefacts: Path) -> Any:
    """Run a script; return the JSON that it prints. What it asserts must hold."""
    command = ["node", str(script), *arguments, "--artefacts", str(artefacts)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode == 0, f"{done.stderr}\nscreenshots are in {artefacts}"
    return json.loads(done.stdout)
