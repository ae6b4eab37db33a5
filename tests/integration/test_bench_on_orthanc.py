from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import bench

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["ingest", "burst", "latency", "backfill", "answer"])
def test_a_quick_measurement_on_orthanc_writes_its_figures_and_its_table(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(["--out", str(tmp_path), name, "--quick"]) == 0
    assert json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))["circumstances"]["cores"] > 0
    assert f"### {name}" in capsys.readouterr().out
