"""Damaged DICOM files: each is read, skipped or refused with one error of ours; none costs the process its life."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from mutations import mutated, outcome, seeds
from orthanc_process import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

PORTION = 2000


def read_damaged(first: int, last: int, note: Path) -> None:
    """Read the damaged files with these numbers in a process of its own, which a decoder may bring down."""
    paths = [str(REPOSITORY / folder) for folder in ("plugin", "tests/support")]
    program = [sys.executable, "-X", "faulthandler", "-W", "ignore", REPOSITORY / "tests" / "support" / "mutations.py"]
    done = subprocess.run(
        [*map(str, program), str(first), str(last), str(note)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"damaged file {note.read_text()}:\n{done.stderr[-3000:]}"


def test_the_files_that_are_damaged_can_mostly_be_read() -> None:
    outcomes = [outcome(file) for file in seeds()]
    assert outcomes.count("read") > len(outcomes) / 2
    assert set(outcomes[:9]) == {"read"}


def test_the_same_number_is_always_the_same_file() -> None:
    assert [mutated(number) for number in range(20)] == [mutated(number) for number in range(20)]
    assert len({mutated(number) for number in range(200)}) > 190


def test_a_few_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    read_damaged(0, 400, tmp_path / "number")


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 10_000, PORTION))
def test_ten_thousand_damaged_files_are_read_or_refused(tmp_path: Path, first: int) -> None:
    read_damaged(first, first + PORTION, tmp_path / "number")
