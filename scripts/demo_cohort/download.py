"""Download a large file with a progress bar; what is there already is not fetched again."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import httpx
from tqdm import tqdm

from demo_cohort.errors import DemoError


def cache_file(url: str) -> Path:
    """Return where the download of a URL is kept."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "orthanc-cbmir" / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.zip"


def download(url: str, target: Path) -> Path:
    """Return `target` after fetching the URL into it; an interrupted download goes on where it stopped.

    Raises
    ------
    DemoError
        The server cannot be reached or refuses.

    """
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    try:
        _fetch(url, part)
    except httpx.HTTPError as error:
        raise DemoError(f"{url} cannot be downloaded ({error}); run the same command again to go on") from error
    # only a complete file ever has the final name
    part.rename(target)
    return target


def _fetch(url: str, part: Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=60) as answer:
        if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            # nothing lies beyond what is there
            return
        answer.raise_for_status()
        if answer.status_code != httpx.codes.PARTIAL_CONTENT:
            have = 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        with (
            part.open("ab" if have else "wb") as file,
            tqdm(desc="download", total=total, initial=have, unit="B", unit_scale=True) as bar,
        ):
            for chunk in answer.iter_raw():
                bar.update(file.write(chunk))
