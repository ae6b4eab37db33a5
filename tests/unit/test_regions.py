"""Regions and heat maps: what the cells of an embedding say about parts of a slice."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cbmir import regions
from cbmir.errors import BadRequest
from cbmir.pixels import Slice, place, prepare

RNG = np.random.default_rng(5)
AXIAL_TURNS = [
    (*row, *column)
    for row, column in itertools.product(
        [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)], [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)]
    )
    if np.dot(row, column) == 0
]


def cells(dim: int = 8, side: int = 14) -> np.ndarray:
    """Return cells whose sum is of unit length, as the network's are."""
    raw = RNG.standard_normal((dim, side, side)).astype(np.float32)
    return raw / np.linalg.norm(raw.sum(axis=(1, 2)))


def test_the_heat_of_all_places_adds_up_to_the_similarity() -> None:
    here, there = cells(), cells().sum(axis=(1, 2))
    assert regions.heat(here, there).sum() == pytest.approx(here.sum(axis=(1, 2)) @ there, abs=1e-5)


def test_the_whole_picture_covers_every_place() -> None:
    where = place(Slice(np.zeros((224, 224))))
    covered = regions.coverage(where, regions.Region(0, 0, 224, 224), (14, 14))
    np.testing.assert_allclose(covered, 1)


def test_half_a_cell_is_covered_by_half() -> None:
    where = place(Slice(np.zeros((224, 224))))
    covered = regions.coverage(where, regions.Region(16, 16, 8, 16), (14, 14))
    assert covered[1, 1] == pytest.approx(0.5)
    assert covered.sum() == pytest.approx(0.5)


def test_a_region_beyond_the_edge_is_cut_off_there() -> None:
    where = place(Slice(np.zeros((224, 224))))
    whole = regions.coverage(where, regions.Region(-50, -50, 500, 500), (14, 14))
    assert whole.max() == pytest.approx(1)


@pytest.mark.parametrize("box", [(300, 0, 10, 10), (0, -20, 10, 20), (-9, 0, 9, 9)])
def test_a_region_outside_the_picture_is_refused(box: tuple[float, float, float, float]) -> None:
    where = place(Slice(np.zeros((224, 224))))
    with pytest.raises(BadRequest, match="outside the picture of 224 x 224"):
        regions.coverage(where, regions.Region(*box), (14, 14))


@pytest.mark.parametrize("orientation", AXIAL_TURNS)
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.0, 0.5)])
def test_a_bright_spot_is_covered_where_it_lies_however_the_slice_is_stored(
    orientation: tuple[float, ...], spacing: tuple[float, float]
) -> None:
    stored = np.zeros((100, 160))
    stored[20:30, 100:130] = 1000
    image = Slice(stored, spacing=spacing, orientation=orientation)
    square = prepare(image)[0]
    covered = regions.coverage(place(image), regions.Region(100, 20, 30, 10), (14, 14))
    bright = square.reshape(14, 16, 14, 16).mean(axis=(1, 3))
    np.testing.assert_allclose(covered, bright / bright.max() * covered.max(), atol=0.12)


@pytest.mark.parametrize("orientation", AXIAL_TURNS)
def test_the_overlay_lies_on_the_stored_picture_however_it_was_turned(orientation: tuple[float, ...]) -> None:
    stored = np.zeros((112, 112))
    stored[8:24, 64:80] = 1000
    image = Slice(stored, orientation=orientation)
    places = prepare(image)[0].reshape(14, 16, 14, 16).mean(axis=(1, 3))
    laid = regions.overlay(place(image), places)
    hot = np.argwhere(laid > 0.9 * laid.max()) / regions.OVERLAY_SIDE * 112
    assert hot.min(axis=0) == pytest.approx([8, 64], abs=3)
    assert hot.max(axis=0) == pytest.approx([22, 78], abs=3)
