import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import benchmark
from folds import folds
from sources.tables import Row

DOCS = Path(__file__).parents[2] / "docs"

PLAN = """
[sets.toy]
title = "a toy"
fold = "fold"
folds = ["1", "2"]
group = "case"

[systems.pixels]
title = "pixel correlation"
options = ["--system", "pixels"]

[systems.ours]
title = "ours"
"""


@pytest.fixture
def table(tmp_path: Path) -> str:
    random = np.random.default_rng(0)
    with (tmp_path / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label", "case", "fold"])
        for number in range(16):
            picture = random.integers(0, 60, (40, 40), np.uint8)
            half = slice(20) if number % 2 else slice(20, 40)
            picture[half] += 150
            Image.fromarray(picture).save(tmp_path / f"{number}.png")
            writer.writerow([f"{number}.png", "ab"[number % 2], number // 4, 1 + number // 8])
    return str(tmp_path / "index.csv")


def run(table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, dict[str, float]]]:
    (tmp_path / "plan.toml").write_text(PLAN)
    monkeypatch.setattr(benchmark, "PLAN", tmp_path / "plan.toml")
    wishes = ["--data", f"toy={table}", "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out.json")]
    benchmark.run(benchmark.arguments(wishes))
    figures: dict[str, dict[str, dict[str, float]]] = json.loads((tmp_path / "out.json").read_text())
    return figures


def test_each_fold_is_looked_for_in_the_others(
    table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = run(table, tmp_path, monkeypatch)
    assert list(figures["toy/pixels"]) == ["1", "2"]
    assert figures["toy/pixels"]["1"]["n_queries"] == figures["toy/pixels"]["1"]["n_gallery"] == 8
    assert figures["toy/pixels"]["2"]["mAP"] == 1
    # no network was trained: its row is left out rather than made up
    assert "toy/ours" not in figures
    printed = capsys.readouterr().out
    assert "| pixel correlation | 1, 2 | 1.000 (1.000 to 1.000) |" in printed
    assert "| ours |" not in printed
    assert "| system | a toy | minutes |" in printed
    assert "| chance, mAP | 0.500 | |" in printed
    assert "| pixel correlation | 1.000 / 0.500 (2) |  |" in printed


def test_the_page_shows_what_was_measured(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    kept = (DOCS / "benchmark.json").read_text()
    (tmp_path / "kept.json").write_text(kept)
    benchmark.run(benchmark.arguments(["--out", str(tmp_path / "kept.json")]))
    assert (tmp_path / "kept.json").read_text() == kept
    page = (DOCS / "benchmark.md").read_text()
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ") and "(" in line]
    assert len(rows) > 20
    assert [row for row in rows if row not in page] == []


def test_a_training_tells_how_long_it_took(tmp_path: Path) -> None:
    assert benchmark.minutes(tmp_path) is None
    (tmp_path / "history.json").write_text(json.dumps([{"seconds": 90.0}, {"seconds": 30.0}]))
    assert benchmark.minutes(tmp_path) == 2


def test_what_was_measured_is_not_measured_again(table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(table, tmp_path, monkeypatch)
    monkeypatch.setattr(benchmark, "measured", lambda _: pytest.fail("measured again"))
    assert run(table, tmp_path, monkeypatch) == first


def test_a_training_that_is_not_finished_is_not_measured(
    table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("pytorch_metric_learning")
    folder = tmp_path / "runs" / "toy-ours-1"
    folder.mkdir(parents=True)
    torch.save({"epoch": 2, "recipe": {"schedule": {"stages": ((32, 1), (48, 2))}}}, folder / "checkpoint.pt")
    assert "toy/ours" not in run(table, tmp_path, monkeypatch)
    assert "its training is not finished" in capsys.readouterr().err


def test_the_plan_that_is_kept_names_sets_and_systems() -> None:
    sets, systems = benchmark.plan(benchmark.PLAN.read_text())
    assert {chosen.origin for chosen in sets} == {"figshare", "brain15", "multi24"}
    assert {"pixels", "qayyum2017", "deepak2020", "gem2026", "ours"} <= {system.name for system in systems}


def test_a_case_is_never_split_and_classes_are_spread_evenly() -> None:
    rows = [Row(Path(f"{n}"), "ab"[n % 2], f"case {n // 4}") for n in range(48)]
    chosen = folds(rows, 3)
    of_case = {
        row.group: {fold for other, fold in zip(rows, chosen, strict=True) if other.group == row.group} for row in rows
    }
    assert all(len(found) == 1 for found in of_case.values())
    for label in "ab":
        counts = [
            sum(f == fold and row.label == label for row, f in zip(rows, chosen, strict=True)) for fold in (1, 2, 3)
        ]
        assert counts == [8, 8, 8]
