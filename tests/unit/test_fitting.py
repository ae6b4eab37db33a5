import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from recipes import FITTED

torch = pytest.importorskip("torch", reason="fitting needs torch")
pytest.importorskip("torchvision")
pytest.importorskip("pytorch_metric_learning")

import evaluate  # noqa: E402
import train  # noqa: E402
from cbmir.network import Architecture, Network  # noqa: E402


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint of a network that learnt nothing."""
    torch.manual_seed(0)
    file: Path = tmp_path_factory.mktemp("trunk") / "checkpoint.pt"
    torch.save({"averaged": Network(Architecture(("a", "b"), 8, guided=False)).state_dict()}, file)
    return file


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a table of stripes: lying, standing, slanting."""
    folder = tmp_path_factory.mktemp("stripes")
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:64, :64]
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label", "group"])
        for number in range(36):
            phase = (rows, columns, rows + columns)[number % 3] + random.integers(0, 16)
            picture = 100 + 60 * np.sin(phase / 2) + random.normal(0, 30, (64, 64))
            Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
            writer.writerow([f"{number}.png", ("lying", "standing", "slanting")[number % 3], number // 6])
    return str(folder / "index.csv")


def run(table: str, trunk: Path, folder: Path, *more: str) -> dict[str, object]:
    (folder / "fitted.toml").write_text(FITTED)
    wishes = ["--recipe", folder / "fitted.toml", "--init", trunk, "--cache", folder / "cache" / "pictures"]
    tables = ["--data", f"{table}:group=0,1,2,3", "--hold-out", f"{table}:group=4,5"]
    train.train(train.arguments([*map(str, wishes), *tables, "--out", str(folder), *more]))
    state: dict[str, object] = torch.load(folder / "checkpoint.pt", weights_only=True)
    return state


def test_a_fit_tells_classes_that_the_trunk_never_learnt(table: str, trunk: Path, tmp_path: Path) -> None:
    state = run(table, trunk, tmp_path)
    assert state["recipe"].keys() == {"network", "schedule"}  # type: ignore[attr-defined]
    (epoch,) = json.loads((tmp_path / "history.json").read_text())
    assert epoch["held_out_accuracy"] == 1
    assert epoch["mAP"] > 0.95
    asked = ["--gallery", f"{table}:group=0,1,2,3", "--queries", f"{table}:group=4,5"]
    wishes = ["--checkpoint", str(tmp_path / "checkpoint.pt"), "--cache", str(tmp_path / "cache" / "layers")]
    _, figures = evaluate.measure(evaluate.arguments([*asked, *wishes]))
    assert figures["mAP"] == pytest.approx(epoch["mAP"], abs=0.01)
    # there is nothing left to do
    again = run(table, trunk, tmp_path, "--resume")
    assert again["epoch"] == state["epoch"] == 1


def test_what_cannot_be_fitted_is_said(table: str, trunk: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="three classes or more, here are 2"):
        run(table, trunk, tmp_path, "--classes", "lying,standing")
    # one fit is all there is: a second epoch would never come, and the run never end
    with pytest.raises(ValueError, match="64:1"):
        run(table, trunk, tmp_path, "--stages", "64:2")
    state = run(table, trunk, tmp_path)
    torch.save({**state, "labels": ["x", "y", "z"]}, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="other classes"):
        run(table, trunk, tmp_path, "--resume")
