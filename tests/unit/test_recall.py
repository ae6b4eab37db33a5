from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from parts import DIM, MODEL, units

from cbmir.index import SliceIndex
from cbmir.watching.recall import recall

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LABELS = np.arange(1, 201)
VECTORS = units(np.random.default_rng(0).standard_normal((200, DIM)))


def exact(vector: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    similarities = VECTORS @ vector
    order = np.argsort(-similarities)[:k]
    return LABELS[order], similarities[order]


def test_an_index_that_finds_all_has_a_recall_of_one() -> None:
    assert recall(exact, LABELS, VECTORS, VECTORS[:20]) == 1


def test_a_fresh_graph_of_a_few_hundred_vectors_finds_all(tmp_path: Path) -> None:
    index = SliceIndex(tmp_path, dim=DIM, model=MODEL)
    index.add(LABELS, VECTORS)
    assert recall(index.search, LABELS, VECTORS, VECTORS[:50]) == 1


def test_a_slice_that_the_index_passes_over_lowers_the_recall() -> None:
    def without_the_second(vector: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        labels, similarities = exact(vector, k + 1)
        return np.delete(labels, 1), np.delete(similarities, 1)

    # of the ten that are nearer than the last of the answer, one is missing
    assert recall(without_the_second, LABELS, VECTORS, VECTORS[:20]) == pytest.approx(0.9)


def test_the_missing_slice_is_seen_also_where_only_a_part_is_compared() -> None:
    def without_the_query(vector: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        labels, similarities = exact(vector, k + 1)
        return labels[1:], similarities[1:]

    assert recall(without_the_query, LABELS[:5], VECTORS[:5], VECTORS[:5]) < 0.8


def test_an_index_that_answers_too_few_has_lost_them() -> None:
    assert recall(lambda vector, _: exact(vector, 5), LABELS, VECTORS, VECTORS[:20]) == pytest.approx(0.5)


def test_which_of_many_equal_slices_is_found_does_not_matter() -> None:
    same = np.repeat(VECTORS[:1], 30, axis=0)
    labels = np.arange(30)
    for start in (0, 15):
        found = labels[start : start + 10], np.ones(10, np.float32)
        assert recall(lambda _vector, _k, found=found: found, labels, same, same[:3]) == 1  # type: ignore[misc]


def test_fewer_slices_than_an_answer_holds_are_all_expected() -> None:
    def few(vector: NDArray[np.float32], _k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        similarities = VECTORS[:4] @ vector
        order = np.argsort(-similarities)
        return LABELS[:4][order], similarities[order]

    assert recall(few, LABELS[:4], VECTORS[:4], VECTORS[:4]) == 1
