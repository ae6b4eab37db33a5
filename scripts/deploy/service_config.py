"""Say where the configuration of an Orthanc service sets a key: one line for each file, with the value as JSON.

PYTHONPATH=scripts python3 -m deploy.service_config /etc/orthanc PythonScript

Orthanc reads every .json file of its folder, and does not start when two of them set the same key.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.write_config import without_comments

if TYPE_CHECKING:
    from collections.abc import Iterator


def settings_of(file: Path) -> dict[str, Any]:
    """Return what the file sets.

    Raises
    ------
    ValueError
        The file is no JSON object, even without its comments.

    """
    settings = json.loads(without_comments(file.read_text(encoding="utf-8")))
    if not isinstance(settings, dict):
        raise ValueError("it holds no object")  # noqa: TRY004 - to the caller a file of any other content is alike
    return settings


def where(folder: Path, key: str) -> Iterator[tuple[Path, Any]]:
    """Yield each file that sets the key, and the value."""
    for file in sorted(folder.glob("*.json")):
        try:
            settings = settings_of(file)
        except (OSError, ValueError) as error:
            raise SystemExit(f"Error: {file} cannot be read: {error}") from error
        if key in settings:
            yield file, settings[key]


def main() -> None:
    """Print what is found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("key")
    options = parser.parse_args()
    for file, value in where(options.folder, options.key):
        print(file, json.dumps(value), sep="\t")


if __name__ == "__main__":
    main()
