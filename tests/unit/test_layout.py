from __future__ import annotations

import numpy as np
import pytest
from parts import units

from cbmir.watching.layout import FEWEST, STEPS, layout, principal


def clusters(count: int = 8, each: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors around some centres in 64 dimensions, and which centre each is of."""
    random = np.random.default_rng(0)
    owner = np.repeat(np.arange(count), each)
    return units(random.standard_normal((count, 64))[owner] + random.standard_normal((count * each, 64))), owner


def share_of_own(places: np.ndarray, owner: np.ndarray) -> float:
    """Return the share of each place's five nearest that are of its own cluster."""
    apart = np.square(places[:, None] - places[None]).sum(axis=2)
    np.fill_diagonal(apart, np.inf)
    return float((owner[np.argsort(apart, axis=1)[:, :5]] == owner[:, None]).mean())


def last(vectors: np.ndarray) -> np.ndarray:
    return list(layout(vectors))[-1]


def test_what_lies_together_in_many_dimensions_lies_together_on_the_plane() -> None:
    vectors, owner = clusters()
    assert share_of_own(last(vectors), owner) > 0.98
    # two straight directions cannot show that
    assert share_of_own(principal(vectors), owner) < 0.8


def test_the_same_vectors_give_the_same_picture_step_by_step() -> None:
    vectors, _ = clusters(3, 20)
    steps = list(layout(vectors))
    assert len(steps) == STEPS
    assert np.array_equal(steps[-1], last(vectors))


@pytest.mark.parametrize("count", [1, 2, 3, FEWEST - 1, FEWEST, FEWEST + 1])
def test_few_vectors_have_places_too(count: int) -> None:
    places = last(clusters(8, 40)[0][:count])
    assert places.shape == (count, 2)
    assert np.isfinite(places).all()


def test_copies_of_one_vector_have_places() -> None:
    assert np.isfinite(last(np.repeat(clusters()[0][:1], 50, axis=0))).all()


def test_the_principal_directions_are_those_of_largest_variance() -> None:
    vectors = np.random.default_rng(1).standard_normal((200, 5)).astype(np.float32) * [1, 9, 1, 3, 1]
    places = principal(vectors.astype(np.float32))
    assert abs(np.corrcoef(places[:, 0], vectors[:, 1])[0, 1]) > 0.99
    assert abs(np.corrcoef(places[:, 1], vectors[:, 3])[0, 1]) > 0.99
