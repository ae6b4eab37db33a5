from __future__ import annotations

import itertools
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from dicom_files import picture

from cbmir.errors import UnreadableSlice, UnsupportedSlice
from cbmir.pixels import SIZE, Slice, prepare, shown_window, sketch
from cbmir.records import Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# direction cosines of x (left), y (back) and z (head)
LEFT, BACK, HEAD = np.eye(3)


def body() -> NDArray[np.float32]:
    """Return a volume (z, y, x) without any symmetry, of another length along each axis."""
    z, y, x = np.mgrid[:40, :48, :56].astype(np.float32)
    volume = 100 + 3 * z + 5 * y + 2 * x + 200 * (((x - 20) / 15) ** 2 + ((y - 30) / 12) ** 2 + ((z - 12) / 8) ** 2 < 1)
    volume[30:35, 5:9, 40:50] = 900
    found: NDArray[np.float32] = volume
    return found


def cuts() -> dict[str, tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64], tuple[float, float]]]:
    """Return one slice of each plane as stored in some way: pixels, direction of a row, of a column, spacing."""
    volume = body()
    return {
        "axial": (volume[12], LEFT, BACK, (1.5, 1.0)),
        "coronal": (volume[:, 30, :], LEFT, HEAD, (2.0, 1.0)),
        "sagittal": (volume[:, :, 20], BACK, HEAD, (2.0, 1.5)),
    }


def stored_forms(plane: str) -> Iterator[Slice]:
    """Yield the eight ways in which one picture can be flipped and transposed, with the header that says so."""
    for swap, left_right, up_down in itertools.product((False, True), repeat=3):
        pixels, row, column, spacing = cuts()[plane]
        if swap:
            pixels, row, column, spacing = pixels.T, column, row, spacing[::-1]
        if left_right:
            pixels, row = pixels[:, ::-1], -row
        if up_down:
            pixels, column = pixels[::-1], -column
        yield Slice(pixels, spacing=spacing, orientation=(*row, *column))


def ramp(rows: int = 64, columns: int = 64) -> NDArray[np.uint16]:
    return np.arange(rows * columns, dtype=np.uint16).reshape(rows, columns)


def occupied(square: NDArray[np.float32]) -> tuple[int, int]:
    """Return how many rows and columns of a square are not black."""
    return int(square[0].any(axis=1).sum()), int(square[0].any(axis=0).sum())


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_equal_anatomy_gives_equal_squares_in_all_eight_ways_of_storing_it(plane: str) -> None:
    first, *others = (prepare(form) for form in stored_forms(plane))
    for other in others:
        np.testing.assert_allclose(other, first, atol=1e-5)


def test_without_an_orientation_a_flipped_picture_stays_flipped() -> None:
    picture = cuts()["axial"][0]
    assert not np.allclose(prepare(Slice(picture)), prepare(Slice(picture[:, ::-1])), atol=0.1)


@pytest.mark.parametrize(
    ("plane", "row", "column"),
    [("axial", LEFT, BACK), ("coronal", LEFT, -HEAD), ("sagittal", BACK, -HEAD)],
)
def test_the_customary_view_is_left_as_it_is(plane: str, row: Any, column: Any) -> None:
    picture = {"axial": body()[12], "coronal": body()[::-1, 30, :], "sagittal": body()[::-1, :, 20]}[plane]
    np.testing.assert_array_equal(prepare(Slice(picture, orientation=(*row, *column))), prepare(Slice(picture)))


@pytest.mark.parametrize("degrees", [-40, -10, 10, 40])
def test_a_tilted_slice_is_turned_like_the_nearest_plane(degrees: float) -> None:
    tilted = np.cos(np.radians(degrees)) * BACK + np.sin(np.radians(degrees)) * HEAD
    picture = body()[12]
    upside_down = Slice(picture[::-1], orientation=(*LEFT, *-tilted))
    np.testing.assert_array_equal(prepare(upside_down), prepare(Slice(picture)))


def test_a_square_is_finite_and_goes_from_black_to_white() -> None:
    square = prepare(Slice(ramp()))
    assert square.shape == (1, SIZE, SIZE)
    assert square.dtype == np.float32
    assert square.min() == 0
    assert square.max() == pytest.approx(1)


def test_another_side_of_the_square_can_be_asked_for() -> None:
    assert prepare(Slice(ramp()), 96).shape == (1, 96, 96)


@pytest.mark.parametrize(
    ("rows", "columns", "spacing", "expected"),
    [
        (64, 64, (1.0, 1.0), (224, 224)),
        (64, 32, (1.0, 1.0), (224, 112)),
        (32, 64, (1.0, 1.0), (112, 224)),
        (64, 64, (2.0, 1.0), (224, 112)),
        (64, 64, (1.0, 4.0), (56, 224)),
        (32, 64, (4.0, 2.0), (224, 224)),
    ],
)
def test_millimetres_not_pixels_decide_the_shape(
    rows: int, columns: int, spacing: tuple[float, float], expected: tuple[int, int]
) -> None:
    picture = np.full((rows, columns), 900, np.uint16)
    picture[rows // 2, columns // 2] = 0
    assert occupied(prepare(Slice(picture, spacing=spacing))) == expected


def test_a_circle_stays_a_circle_whatever_the_spacing() -> None:
    y, x = np.mgrid[-1:1:200j, -1:1:100j]
    disc = Slice((x**2 + y**2 < 0.5).astype(np.uint8), spacing=(1.0, 2.0))
    assert abs(np.subtract(*occupied(prepare(disc)))) <= 2


def test_brightness_and_contrast_of_the_scanner_do_not_matter() -> None:
    plain = prepare(Slice(ramp()))
    np.testing.assert_allclose(prepare(Slice(ramp(), slope=3.5, intercept=-1000)), plain, atol=1e-3)


def test_a_negative_slope_inverts() -> None:
    inverted = prepare(Slice(ramp(), slope=-1.0))
    np.testing.assert_allclose(inverted, 1 - prepare(Slice(ramp())), atol=1e-3)


def test_monochrome1_is_the_inverse_of_monochrome2() -> None:
    np.testing.assert_allclose(prepare(Slice(ramp(), inverted=True)), 1 - prepare(Slice(ramp())), atol=1e-6)


def test_monochrome1_stored_inverted_looks_like_monochrome2() -> None:
    stored = ramp().max() - ramp()
    np.testing.assert_allclose(prepare(Slice(stored, inverted=True)), prepare(Slice(ramp())), atol=1e-3)


@pytest.mark.parametrize("inverted", [False, True])
def test_padding_is_black_and_does_not_move_the_window(inverted: bool) -> None:  # noqa: FBT001 - a parameter
    padded = ramp().astype(np.int16)
    padded[:, :20] = -2000
    square = prepare(Slice(padded, padding=(-2000, -2000), inverted=inverted))
    assert not square[0, :, :60].any()
    inside = prepare(Slice(ramp()[:, 20:], inverted=inverted))
    # the same window: the middle of the data has the same grey with and without the padding around it
    assert square[0, 112, 180] == pytest.approx(inside[0, 112, 155], abs=0.02)
    unmarked = prepare(Slice(padded, inverted=inverted))
    assert abs(unmarked[0, 112, 180] - square[0, 112, 180]) > 0.1


def test_all_padding_is_an_empty_slice() -> None:
    with pytest.raises(UnsupportedSlice, match="one grey only"):
        prepare(Slice(ramp(), padding=(0, 65535)))


@pytest.mark.parametrize("value", [0, 7, -3.5])
def test_a_constant_picture_is_an_empty_slice(value: float) -> None:
    with pytest.raises(UnsupportedSlice, match="one grey only"):
        prepare(Slice(np.full((32, 32), value)))


def test_a_single_pixel_is_an_empty_slice() -> None:
    with pytest.raises(UnsupportedSlice, match="one grey only"):
        prepare(Slice(ramp(1, 1)))


@pytest.mark.parametrize("shape", [(1, 4096), (4096, 1), (1, 300), (300, 1), (3, 50)])
def test_a_narrow_picture_is_letterboxed(shape: tuple[int, int]) -> None:
    square = prepare(Slice(ramp(*shape)))
    assert np.isfinite(square).all()
    assert occupied(square)[int(shape[0] < shape[1])] >= SIZE - 2


def test_a_very_long_line_of_pixels_costs_little_memory() -> None:
    tracemalloc.start()
    prepare(Slice(ramp(1, 16384)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100e6


def test_one_bright_pixel_on_an_even_ground_is_still_seen() -> None:
    picture = np.zeros((64, 64), np.uint16)
    picture[10:12, 10:12] = 4000
    assert prepare(Slice(picture)).max() > 0.5


def test_single_outliers_do_not_darken_the_rest() -> None:
    picture = ramp(100, 100).copy()
    picture[50, 50] = 65535
    assert np.median(prepare(Slice(picture))) == pytest.approx(0.5, abs=0.02)


def test_colour_is_reduced_to_its_luminance() -> None:
    grey = (ramp() // 16).astype(np.uint8)
    np.testing.assert_allclose(prepare(Slice(np.stack([grey] * 3, axis=-1))), prepare(Slice(grey)), atol=1e-3)


def test_green_is_brighter_than_blue() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, :30, 1] = picture[:, 30:60, 2] = 200
    square = prepare(Slice(picture))
    assert square[0, 112, 50] > 2 * square[0, 112, 150] > 0


@pytest.mark.parametrize("slope", [0.0, float("nan"), float("inf"), 1e39])
def test_a_slope_without_meaning_is_unreadable(slope: float) -> None:
    with pytest.raises(UnreadableSlice):
        prepare(Slice(ramp(), slope=slope))


@pytest.mark.parametrize("intercept", [float("nan"), float("-inf"), 1e39])
def test_an_intercept_without_meaning_is_unreadable(intercept: float) -> None:
    with pytest.raises(UnreadableSlice):
        prepare(Slice(ramp(), intercept=intercept))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_float_pixels_that_are_not_finite_are_unreadable(value: float) -> None:
    pixels = ramp().astype(np.float64)
    pixels[3, 3] = value
    with pytest.raises(UnreadableSlice):
        prepare(Slice(pixels))


@pytest.mark.parametrize(
    ("low", "high"), [(-3e38, 3e38), (0, 1e-45), (0, 1e-38), (1e30, 1.0001e30), (-1e-40, 1e-40), (16777216, 16777218)]
)
def test_extreme_ranges_give_a_square_or_an_error_but_never_nonsense(low: float, high: float) -> None:
    pixels = np.linspace(low, high, 64 * 64).astype(np.float32).reshape(64, 64)
    try:
        square = prepare(Slice(pixels))
    except (UnsupportedSlice, UnreadableSlice):
        return
    assert np.isfinite(square).all()
    assert square.min() >= 0
    assert square.max() <= 1 + 1e-5


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.float32, np.float64])
def test_every_type_of_pixel_gives_the_same_square(dtype: Any) -> None:
    picture = np.arange(100).reshape(10, 10)
    np.testing.assert_allclose(
        prepare(Slice(picture.astype(dtype))), prepare(Slice(picture.astype(np.uint16))), atol=1e-6
    )


def test_the_stored_pixels_are_left_alone() -> None:
    stored = ramp()
    stored.flags.writeable = False
    prepare(Slice(stored, inverted=True, padding=(0, 3), slope=2.0))


# ---- the window that a viewer shows ----


def test_a_slice_is_shown_with_the_window_of_its_header() -> None:
    assert shown_window(Slice(ramp(), window=Window(40, 400))) == (40, 400)


@pytest.mark.parametrize(("slope", "window"), [(1.0, (2047.5, 4095)), (2.0, (4085, 8190)), (-2.0, (-4105, 8190))])
def test_without_a_window_all_values_are_shown(slope: float, window: tuple[float, float]) -> None:
    intercept = 0.0 if slope == 1 else -10.0
    assert shown_window(Slice(ramp(), slope=slope, intercept=intercept)) == window


def test_colour_has_no_window() -> None:
    assert shown_window(Slice(np.zeros((4, 4, 3), np.uint8), window=Window(1, 2))) is None


# ---- sketches ----


@pytest.mark.parametrize("side", [32, 128, 224, 100])
def test_a_sketch_holds_the_means_of_its_fields(side: int) -> None:
    square = np.zeros((1, side, side), np.float32)
    square[0, : side // 2] = 1
    seen = sketch(square).reshape(8, 8)
    assert (seen.dtype, seen[0, 0], seen[7, 7]) == (np.uint8, 255, 0)
    assert seen.mean() == pytest.approx(255 * square.mean(), abs=1)
    assert (sketch(np.ones_like(square)) == 255).all()


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("padding", [None, (0.0, 0.0), (-5.0, 60.0)])
def test_whole_numbers_become_the_same_greys_as_the_same_values_that_are_not(
    padding: tuple[float, float] | None, *, inverted: bool
) -> None:
    for kind, stored in ((np.int16, picture(3) - 100), (np.uint8, picture(4) // 16), (np.uint16, picture(5, size=40))):
        whole = Slice(stored.astype(kind), slope=0.5, intercept=-7, inverted=inverted, padding=padding)
        other = replace(whole, stored=whole.stored.astype(np.float32))
        np.testing.assert_array_equal(prepare(whole), prepare(other))
