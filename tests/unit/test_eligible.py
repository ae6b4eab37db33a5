from __future__ import annotations

import numpy as np
import pytest

from cbmir.answering.eligible import Eligible
from cbmir.cases import SLICES_SHOWN


def grouped(*slices: tuple[float, int]) -> Eligible:
    """Return slices with these similarities and groups, with their places as labels."""
    similarities, keys = zip(*slices, strict=True)
    return Eligible.grouped(np.arange(len(slices)), np.array(similarities, np.float32), np.array(keys))


def test_groups_count_in_the_order_of_their_best_slices() -> None:
    found = grouped((0.9, 70), (0.8, 5), (0.7, 70), (0.6, 9))
    assert found.groups.tolist() == [0, 1, 0, 2]
    assert found.firsts.tolist() == [0, 1, 3]
    assert found.number_of_groups == 3


def test_nothing_has_no_groups() -> None:
    empty = Eligible.grouped(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int64))
    assert empty.number_of_groups == 0
    assert len(empty.best(3).labels) == 0


@pytest.mark.parametrize(("number", "labels"), [(1, [0, 2]), (2, [0, 1, 2]), (9, [0, 1, 2, 3])])
def test_the_best_groups_keep_all_their_slices(number: int, labels: list[int]) -> None:
    found = grouped((0.9, 70), (0.8, 5), (0.7, 70), (0.6, 9)).best(number)
    assert found.labels.tolist() == labels
    assert found.labels[found.firsts].tolist() == [label for label in (0, 1, 3) if label in labels]


def test_groups_as_good_to_the_last_digit_told_are_kept_too() -> None:
    found = grouped((0.9, 1), (0.8000001, 2), (0.8, 3), (0.7, 4)).best(2)
    assert found.labels.tolist() == [0, 1, 2]


def test_no_more_slices_of_a_group_are_kept_than_are_shown_unless_equally_good() -> None:
    many = [(0.9 - place / 1000, 1) for place in range(SLICES_SHOWN + 5)]
    assert grouped(*many, (0.1, 2)).best(5).labels.tolist() == [*range(SLICES_SHOWN), SLICES_SHOWN + 5]
    equal = [(0.5, 1)] * (SLICES_SHOWN + 5)
    assert len(grouped(*equal).best(5).labels) == SLICES_SHOWN + 5


def test_no_similarity_is_above_one() -> None:
    assert grouped((1.0000001, 1)).similarities.tolist() == [1]


def test_the_first_slices_are_found_with_those_as_good() -> None:
    found = grouped((0.9, 1), (0.8000001, 2), (0.8, 3), (0.7, 4))
    assert found.firsts_of_all(1).tolist() == [0]
    assert found.firsts_of_all(2).tolist() == [0, 1, 2]
    assert found.firsts_of_all(99).tolist() == [0, 1, 2, 3]


def test_the_nearest_groups_are_not_always_the_most_similar() -> None:
    found = grouped((0.9, 1), (0.8, 2), (0.7, 3), (0.6, 2))
    chosen = found.nearest(np.array([0.1, 0.5, 0.4], np.float32), 2)
    assert chosen.labels.tolist() == [1, 2, 3]
    assert chosen.groups.tolist() == [1, 2, 1]
    assert chosen.firsts.tolist() == [0, 1]
    assert found.nearest(np.array([0.5, 0.5, 0.5], np.float32), 1).labels.tolist() == [0, 1, 2, 3]
