from __future__ import annotations

import numpy as np
import pytest
from parts import units

from cbmir.answering.expansion import expanded

QUERY = units([[1, 0, 0]])


def test_a_query_moves_towards_its_hits_and_keeps_its_length() -> None:
    hits = units([[[1, 1, 0], [1, 2, 0]]])
    moved = expanded(QUERY, hits, hits[:, :, 0])
    assert np.linalg.norm(moved) == pytest.approx(1)
    assert 0 < moved[0, 1] < hits[0, 0, 1]
    assert moved[0, 2] == 0


def test_the_nearer_hit_counts_more_by_the_third_power() -> None:
    near, far = 0.9, 0.6
    hits = np.array([[[near, np.sqrt(1 - near**2), 0], [far, 0, np.sqrt(1 - far**2)]]], np.float32)
    moved = expanded(QUERY, hits, np.array([[near, far]], np.float32))
    assert moved[0, 1] / moved[0, 2] == pytest.approx((near**3 * hits[0, 0, 1]) / (far**3 * hits[0, 1, 2]), rel=1e-4)


def test_hits_that_are_not_similar_at_all_move_nothing() -> None:
    hits = units([[[-1, 1, 0], [0, 1, 0]]])
    assert expanded(QUERY, hits, hits[:, :, 0]).tolist() == QUERY.tolist()


def test_queries_move_each_towards_its_own() -> None:
    queries = units([[1, 0, 0], [0, 1, 0]])
    hits = units([[[1, 1, 0]], [[0, 1, 1]]])
    similarities = np.einsum("qd,qkd->qk", queries, hits)
    both = expanded(queries, hits, similarities)
    for row in range(2):
        one = expanded(queries[row : row + 1], hits[row : row + 1], similarities[row : row + 1])
        assert both[row] == pytest.approx(one[0])
