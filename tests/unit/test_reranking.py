from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from parts import units

import rerank
from cbmir.classifier import Classifier
from evaluation.reranking import agreement, k_reciprocal, towards_hits, with_neighbours
from sources.tables import Row

if TYPE_CHECKING:
    from numpy.typing import NDArray


def clouds(n: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return n pictures of each of three kinds, scattered around three directions, and their kinds."""
    random = np.random.default_rng(seed)
    kinds = np.repeat(np.arange(3), n)
    return units(np.eye(8)[kinds] + 0.35 * random.standard_normal((3 * n, 8))), kinds


def first_ten_right(nearness: NDArray[np.float32], asked: NDArray[np.int64], there: NDArray[np.int64]) -> float:
    order = np.argsort(-nearness, axis=1)[:, :10]
    return float((there[order] == asked[:, np.newaxis]).mean())


@pytest.mark.parametrize("way", [lambda q, g: towards_hits(q, g, 5), lambda q, g: k_reciprocal(q, g, 10, 4, 0.3)])
def test_neighbourhoods_bring_together_what_is_of_a_kind(way: object) -> None:
    (queries, asked), (gallery, there) = clouds(5, 1), clouds(20, 2)
    plain = first_ten_right(queries @ gallery.T, asked, there)
    assert callable(way)
    assert plain < 1
    assert first_ten_right(way(queries, gallery), asked, there) > plain


def test_only_the_first_hits_change_their_order() -> None:
    (queries, _), (gallery, _) = clouds(5, 1), clouds(20, 2)
    plain = np.argsort(-(queries @ gallery.T), axis=1, kind="stable")
    anew = np.argsort(-towards_hits(queries, gallery, 5, 12), axis=1, kind="stable")
    assert (anew[:, 12:] == plain[:, 12:]).all()
    assert (np.sort(anew[:, :12]) == np.sort(plain[:, :12])).all()
    assert (anew[:, :12] != plain[:, :12]).any()


def test_what_is_surely_of_one_class_agrees_and_of_two_does_not() -> None:
    classifier = Classifier(("a", "b"), np.eye(2, dtype=np.float32), 50.0, -1.0)
    found = agreement(classifier, np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32))
    assert found == pytest.approx(np.eye(2), abs=1e-6)


def test_pictures_are_averaged_with_their_neighbours_only() -> None:
    gallery = units(np.eye(4))
    averaged = with_neighbours(gallery, np.array([10, 11, 1000, 12]), 1)
    assert averaged[0] == pytest.approx(units([1, 1, 0, 0]))
    assert averaged[1] == pytest.approx(units([1, 1, 0, 1]))
    assert averaged[2] == pytest.approx(gallery[2])


def test_places_follow_the_names_of_the_files_and_jump_between_folders_and_groups() -> None:
    named = [("a/2.png", "1"), ("a/1.png", "1"), ("b/1.png", "1"), ("a/3.png", "2")]
    found = rerank.places([Row(Path(file), "label", group) for file, group in named])
    assert found[0] - found[1] == 1
    assert min(abs(found[2] - found[0]), abs(found[3] - found[0])) >= rerank.APART
