"""The table of tests/README.md names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROWS = re.findall(r"^\| (\d+) \| (.*)$", (TESTS / "README.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_every_case_has_its_row() -> None:
    assert [int(number) for number, _ in ROWS] == list(range(1, 96))


def test_every_test_that_is_named_is_there() -> None:
    found = [named for _, row in ROWS for named in re.findall(r"\]\(([\w./-]+)\)::(test_\w+)", row)]
    missing = [(file, name) for file, name in found if f"def {name}(" not in (TESTS / file).read_text(encoding="utf-8")]
    assert not missing
    assert len(found) > 90


def test_every_test_of_the_viewer_that_is_named_is_there() -> None:
    found = [named for _, row in ROWS for named in re.findall(r"\]\(([\w./-]+\.tsx?)\)::(.+?) \|", row)]
    assert not [name for file, name in found if f"('{name}'" not in (TESTS / file).read_text(encoding="utf-8")]
    assert len(found) >= 6
