"""The measure of region queries, on pictures made here with a network made here."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import evaluate_regions
from cbmir.embedding import Embedder
from sources.csv_table import TableError
from sources.tables import Row

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 14


def sessions() -> Embedder:
    """Return an embedder whose features are the greys of its places, and whose head weighs the region tenfold."""

    def network(outputs: list[str], *, image: np.ndarray) -> list[np.ndarray]:
        grey = image.reshape(len(image), SIDE, 16, SIDE, 16).mean(axis=(2, 4))
        features = np.stack([grey, np.ones_like(grey)], axis=1)
        pooled = features.sum(axis=(2, 3))
        answers = {"features": features, "embedding": pooled / np.linalg.norm(pooled, axis=1, keepdims=True)}
        return [answers[name].astype(np.float32) for name in outputs]

    def head(_outputs: list[str], *, features: np.ndarray, region: np.ndarray) -> list[np.ndarray]:
        cells = features * (0.1 + region if region.any() else 1)
        return [(cells / np.linalg.norm(cells.sum(axis=(2, 3)))).astype(np.float32)]

    return Embedder("made-0", "made", 224, 2, ("a",), {}, network, head, None)


def spot(folder: Path) -> Row:
    """Return a row whose picture is dark but for a bright spot, which is its box."""
    grey = np.full((224, 224), 10, np.uint8)
    grey[32:64, 96:160] = 250
    grey[0, 0] = 0
    path = folder / "spot.png"
    Image.fromarray(grey).save(path)
    return Row(path, "a", "1", (128 / 224, 48 / 224, 64 / 224, 32 / 224))


def test_the_box_covers_the_spot_it_names(tmp_path: Path) -> None:
    boxed = evaluate_regions.Boxed(spot(tmp_path), sessions())
    assert np.argwhere(boxed.covered > 0.5).tolist() == [[y, x] for y in (2, 3) for x in (6, 7, 8, 9)]
    assert boxed.covered.sum() == pytest.approx(8, rel=0.01)


def test_a_bright_region_is_embedded_brighter_than_its_dark_picture(tmp_path: Path) -> None:
    boxed = evaluate_regions.Boxed(spot(tmp_path), sessions())
    assert boxed.region[0] / boxed.region[1] > 2 * boxed.whole[0] / boxed.whole[1]


def test_heat_for_what_is_bright_lies_in_the_bright_box(tmp_path: Path) -> None:
    boxed = evaluate_regions.Boxed(spot(tmp_path), sessions())
    assert boxed.heat_in_box(np.array([1, 0], np.float32)) > 0.6
    assert boxed.heat_in_box(np.array([0, 1], np.float32)) == pytest.approx(8 / SIDE**2, rel=0.01)


def test_a_picture_without_a_box_is_refused(tmp_path: Path) -> None:
    row = spot(tmp_path)
    with pytest.raises(TableError, match="has no box"):
        evaluate_regions.Boxed(Row(row.file, "a", "1"), sessions())


def test_a_table_without_boxes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = spot(tmp_path)
    table = tmp_path / "index.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([("file", "label", "group"), (row.file.name, "a", "1")])
    monkeypatch.setattr(evaluate_regions, "load", lambda *_, **__: sessions())
    options = evaluate_regions.arguments(["--gallery", str(table), "--queries", str(table)])
    with pytest.raises(TableError, match="no query has a box"):
        evaluate_regions.run(options)
