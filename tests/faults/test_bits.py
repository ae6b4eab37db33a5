"""One bit is wrong in catalogue, snapshot or manifest: whichever it is, the plugin starts, and finds what there is."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from orthanc_process import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

FLIPS_AT_A_TIME = 100
SUPPORT = REPOSITORY / "tests" / "support"


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 10))])
def test_whichever_bit_is_wrong_the_plugin_starts_and_finds_what_the_archive_holds(tmp_path: Path, seed: int) -> None:
    """In a process of its own: a damaged file must not end it, as it would end Orthanc."""
    done = subprocess.run(
        [sys.executable, str(SUPPORT / "flipped_bits.py"), str(tmp_path), str(FLIPS_AT_A_TIME), str(seed)],
        env={**os.environ, "PYTHONPATH": f"{SUPPORT}:{REPOSITORY / 'plugin'}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
