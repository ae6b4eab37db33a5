from __future__ import annotations

import numpy as np
import pytest
from parts import units

from cbmir.volumes.interaction import both_ways, evenly, redundancy_weights, score, spread


def test_sixty_alike_slices_have_one_vote_together() -> None:
    random = np.random.default_rng(0)
    air = np.eye(1, 16) + 0.02 * random.standard_normal((60, 16))
    lesion = np.eye(16)[5:8]
    weights = redundancy_weights(units(np.concatenate([air, lesion])))
    assert weights.sum() == pytest.approx(1)
    assert weights[:60].sum() == pytest.approx(0.25, abs=0.05)
    assert weights[60] > 15 * weights[0]


def test_without_a_power_all_slices_count_alike() -> None:
    assert redundancy_weights(units(np.eye(4)), 0).tolist() == [0.25] * 4


def test_a_slice_alone_has_all_the_weight() -> None:
    assert redundancy_weights(units(np.eye(1, 8))).tolist() == [1]


@pytest.mark.parametrize(
    ("lengths", "most", "counts"),
    [
        ([10], 20, [10]),
        ([100], 10, [10]),
        ([100, 100], 10, [5, 5]),
        ([2, 100], 10, [2, 8]),
        ([100, 3, 100], 11, [4, 3, 4]),
        ([5, 5, 5], 2, [1, 1, 0]),
        ([], 5, []),
        ([0, 4], 3, [0, 3]),
    ],
)
def test_slices_are_shared_out_fairly(lengths: list[int], most: int, counts: list[int]) -> None:
    taken = evenly(lengths, most)
    assert [len(places) for places in taken] == counts
    for places, length in zip(taken, lengths, strict=True):
        assert len(set(places.tolist())) == len(places)
        assert all(0 <= place < length for place in places)


def test_thinned_slices_reach_from_the_first_to_the_last() -> None:
    (places,) = evenly([100], 10)
    assert (places[0], places[-1]) == (0, 99)
    assert set(np.diff(places).tolist()) == {11}


def test_spread_takes_one_of_each_kind_before_a_second() -> None:
    vectors = units(np.repeat(np.eye(4), 5, axis=0) + 0.01 * np.random.default_rng(0).standard_normal((20, 4)))
    assert sorted(place // 5 for place in spread(vectors, 4)) == [0, 1, 2, 3]
    assert len(set(spread(vectors, 20))) == 20


def test_both_sides_look_at_each_other() -> None:
    similarities = np.array([[0.9, 0.1, 0.2], [0.3, 0.8, 0.4]], np.float32)
    found = both_ways(
        similarities, np.array([0.5, 0.5], np.float32), np.array([0, 2]), np.array([0.25, 0.75, 1.0], np.float32)
    )
    first = ((0.9 + 0.8) / 2 + 0.25 * 0.9 + 0.75 * 0.8) / 2
    second = ((0.2 + 0.4) / 2 + 0.4) / 2
    assert found.tolist() == pytest.approx([first, second])


def test_a_case_of_many_slices_has_no_advantage_by_their_number() -> None:
    """Whoever has a slice for everybody won while only the query looked: one-way, these two were equal."""
    random = np.random.default_rng(0)
    query = units(np.eye(2, 16))
    alike, crowd = query, np.concatenate([query, units(random.standard_normal((50, 16)))])
    both = np.concatenate([alike, crowd])
    weights = np.concatenate([np.full(2, 1 / 2), np.full(52, 1 / 52)]).astype(np.float32)
    found = both_ways(query @ both.T, np.full(2, 0.5, np.float32), np.array([0, 2]), weights)
    assert found[0] > found[1]


def test_each_series_is_compared_with_the_one_it_agrees_with() -> None:
    pairs = np.array([[0.9, 0.8], [0.7, 0.6]], np.float32)
    agreement = np.array([[0.5, 1.0], [1.0, 0.5]], np.float32)
    total, chosen = score(pairs, agreement)
    assert chosen.tolist() == [1, 0]
    assert total == pytest.approx((0.8 + 0.7) / 2)


def test_a_missing_sequence_costs_but_does_not_exclude() -> None:
    agreement = np.array([[1.0], [0.5]], np.float32)
    total, _ = score(np.array([[0.8], [0.8]], np.float32), agreement)
    assert total == pytest.approx(0.6)


def test_a_doubtful_match_is_no_escape_from_a_negative_one() -> None:
    _, chosen = score(np.array([[-0.2, -0.2]], np.float32), np.array([[1.0, 0.5]], np.float32))
    assert chosen.tolist() == [0]
