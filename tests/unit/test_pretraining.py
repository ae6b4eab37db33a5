import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("torchvision")
pytest.importorskip("pytorch_metric_learning")

import pretrain  # noqa: E402
from training import pretraining  # noqa: E402
from training.initial_weights import start_from  # noqa: E402
from training.recipe import Recipe  # noqa: E402
from training.trainer import build  # noqa: E402


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("unlabelled")
    random = np.random.default_rng(0)
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "source"])
        for number in range(12):
            Image.fromarray(random.integers(0, 255, (40, 50), np.uint8)).save(folder / f"{number}.png")
            writer.writerow([f"{number}.png", "small" if number < 3 else "large"])
    return str(folder / "index.csv")


def run(table: str, folder: Path, *more: str) -> dict[str, object]:
    wishes = ["--data", table, "--group", "source", "--side", "32", "--batch", "6", "--out", str(folder)]
    pretrain.pretrain(pretrain.arguments([*wishes, "--cache", str(folder / "cache"), *more]))
    return torch.load(folder / "checkpoint.pt", weights_only=True)


def test_a_pretraining_taken_up_again_ends_as_if_it_had_never_stopped(
    table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(table, tmp_path / "whole", "--epochs", "2")
    once = pretraining.Pretrainer.run_epoch

    def stopped_after_one(self: pretraining.Pretrainer) -> dict[str, float]:
        if self.epoch == 1:
            raise KeyboardInterrupt
        return once(self)

    with monkeypatch.context() as patch:
        patch.setattr(pretraining.Pretrainer, "run_epoch", stopped_after_one)
        with pytest.raises(KeyboardInterrupt):
            run(table, tmp_path / "halves", "--epochs", "2")
    halves = run(table, tmp_path / "halves", "--epochs", "2", "--resume")
    assert [entry["epoch"] for entry in halves["history"]] == [1, 2]
    for name, weight in whole["averaged"].items():
        assert torch.equal(weight, halves["averaged"][name]), name


def test_a_training_can_start_from_what_was_learnt_without_labels(table: str, tmp_path: Path) -> None:
    learnt = run(table, tmp_path, "--epochs", "1")
    network = build(Recipe(), ("x", "y"))
    start_from(network, str(tmp_path / "checkpoint.pt"))
    filled = network.trunk.state_dict()
    assert all(torch.equal(filled[name], learnt["averaged"][f"trunk.{name}"]) for name in filled)


def test_a_small_origin_is_seen_more_often_than_its_share() -> None:
    chances = pretraining._chances(["small"] * 4 + ["large"] * 16)
    assert chances.sum() == pytest.approx(1)
    # 4 : 16 pictures weigh as 2 : 4
    assert chances[:4].sum() == pytest.approx(1 / 3)
