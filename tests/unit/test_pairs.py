from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from recipes import still

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("pytorch_metric_learning")

from sources.csv_table import TableError  # noqa: E402
from sources.tables import Row, pictures  # noqa: E402
from sources.verdicts import COLUMNS, HeldOut, Pair, read_pairs  # noqa: E402
from training.pairs import APART, Pairs, pair_loss  # noqa: E402
from training.recipe import parse  # noqa: E402
from training.trainer import Trainer, embed  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TINY = still(32, 20, "[loss]\nmetric_weight = 0.0\npair_weight = 5.0", batch=8)
"""Without a metric loss: what moves the pair is the pair's own part."""


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """Return pictures of two classes, bright on the left and on the right."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    found = []
    for number in range(16):
        grey = random.integers(0, 120, (32, 32), np.uint8)
        grey[:, 16 * (number % 2) : 16 * (number % 2) + 16] += 120
        grey[number : number + 8, 12:20] = 255
        Image.fromarray(grey).save(folder / f"{number}.png")
        found.append(Row(folder / f"{number}.png", "ab"[number % 2], str(number)))
    return found


def trained(rows: Sequence[Row], *pairs: Pair) -> Trainer:
    """Return a training that has learnt from these pairs too."""
    trainer = Trainer(parse(TINY), rows, pairs=pairs, precision="fp32")
    for _ in range(20):
        told = trainer.run_epoch()
    assert ("pairs" in told) == bool(pairs)
    return trainer


def cosine(trainer: Trainer, asked: tuple[Row, Row]) -> float:
    """Return how alike two pictures are to it."""
    vectors, _ = embed(trainer.averaged, pictures(asked, 32), torch.device("cpu"))
    return float(vectors[0] @ vectors[1])


def test_a_pair_called_different_moves_apart_and_one_called_similar_together(rows: list[Row]) -> None:
    of_one_class, of_two = (rows[0], rows[2]), (rows[0], rows[1])
    without = trained(rows)
    assert cosine(trained(rows, Pair(*of_one_class, similar=False)), of_one_class) < cosine(without, of_one_class) - 0.2
    assert cosine(trained(rows, Pair(*of_two, similar=True)), of_two) > cosine(without, of_two) + 0.2


def test_the_loss_is_what_is_amiss() -> None:
    one, other = torch.eye(2)
    near = torch.nn.functional.normalize(one + 0.5 * other, dim=0)
    cosine = float(one @ near)
    both = torch.stack([one, near])
    assert pair_loss(both, torch.tensor([1.0])).item() == pytest.approx(1 - cosine)
    assert pair_loss(both, torch.tensor([-1.0])).item() == pytest.approx(cosine - APART)
    assert pair_loss(torch.stack([one, other]), torch.tensor([-1.0])).item() == 0


def test_both_pictures_of_a_pair_are_drawn_together(rows: list[Row]) -> None:
    pairs = [Pair(rows[n], rows[n + 1], similar=n % 4 == 0) for n in range(0, 16, 2)]
    drawn, signs = Pairs(pairs, None).draw(32, torch.Generator().manual_seed(0))
    known = {picture.tobytes(): place for place, picture in enumerate(pictures(rows, 32))}
    places = [known[picture.numpy().tobytes()] for picture in drawn]
    assert sorted(places) == list(range(16))
    assert all(other == one + 1 for one, other in zip(places[::2], places[1::2], strict=True))
    assert [sign == 1 for sign in signs] == [place % 4 == 0 for place in places[::2]]


def test_who_is_held_out_is_held_out_for_verdicts_too() -> None:
    held_out = HeldOut({"A"}, {"B"}, 1.0)
    assert held_out.has("A")
    # of those nobody labelled, the share that would be held out were they labelled
    assert held_out.has("unknown")
    assert not held_out.has("B")
    assert not HeldOut({"A"}, {"B"}, 0.0).has("unknown")


def test_a_table_of_pairs_names_pictures_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "1.png").touch()
    (tmp_path / "2.png").touch()
    table = tmp_path / "pairs.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, ("1.png", "2.png", "different", "A", "B")])
    (pair,) = read_pairs(table)
    assert (pair.one.file, pair.other.group, pair.similar) == (tmp_path / "1.png", "B", False)
    (tmp_path / "2.png").unlink()
    with pytest.raises(TableError, match="1 files are not there"):
        read_pairs(table)
