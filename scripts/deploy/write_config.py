"""Write a configuration for Orthanc: the repository's orthanc.json, with this machine's paths and ports.

write_config.py orthanc.json var/orthanc.json HttpPort=8043 'StorageDirectory="/srv/dicom"' 'Cbmir.Anonymize=true'

Values are JSON; a dot leads into a section. The comments of the template are left out of the copy.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from pathlib import Path
from typing import Any

STRING_OR_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
"""A comment sign inside a string, as in an address, begins no comment: so strings are matched first."""


def without_comments(text: str) -> str:
    """Return the text as plain JSON: Orthanc's own files may hold comments as in C++."""
    return STRING_OR_COMMENT.sub(lambda match: match[1] or " ", text)


def changed(settings: dict[str, Any], assignments: list[str]) -> dict[str, Any]:
    """Return the settings with each `Section.Key=JSON` carried out.

    Raises
    ------
    ValueError
        An assignment has no "=", or what follows it is no JSON.

    """
    for assignment in assignments:
        path, equals, value = assignment.partition("=")
        if not equals:
            raise ValueError(f"{assignment!r} must be KEY=VALUE")
        *sections, key = path.split(".")
        section = settings
        for name in sections:
            section = section.setdefault(name, {})
        section[key] = json.loads(value)
    return settings


def write(target: Path, settings: dict[str, Any]) -> None:
    """Put the settings where Orthanc reads them; only the owner may, as passwords can be among them."""
    part = target.with_suffix(".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write("// Written at every start of scripts/run: change the orthanc.json of the project instead.\n")
        json.dump(settings, file, indent=2, ensure_ascii=False)
        file.write("\n")
    part.replace(target)


def main() -> None:
    """Read the template, change it, write the copy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("template", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("assignments", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_args()
    try:
        template = json.loads(without_comments(options.template.read_text(encoding="utf-8")))
        write(options.target, changed(template, options.assignments))
    except (OSError, ValueError) as error:
        parser.exit(1, f"Error: {options.template}: {error}\n")


if __name__ == "__main__":
    main()
