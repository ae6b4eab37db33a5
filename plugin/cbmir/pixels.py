"""Stage 2: a slice as it is stored becomes the grey square that the network sees. numpy only; training uses it too."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from cbmir.errors import UnreadableSlice, UnsupportedSlice
from cbmir.records import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE = 224
"""Side of the square in pixels, as GoogLeNet was designed for."""

SKETCH_SIDE = 8
"""Fields across a sketch: enough to tell a fruit or a knee from a head, and far too few to know anybody by. Of 4, 8 and
16, 8 found most of what was no head, and called fewest heads of another scanner unusual (docs/benchmark.md)."""

WINDOW_PERCENTILES = (0.5, 99.5)
"""Grey values at these percentiles of the slice become black and white: MR has no absolute scale."""

HISTOGRAM_BINS = 4096
"""Resolution of the percentile search; 12 bits, as most scanners store."""

LARGEST_VALUE = 1e30
SMALLEST_RANGE = 1e-30
"""Beyond these the arithmetic in float32 would overflow; no scanner comes near."""


@dataclass(frozen=True, slots=True)
class Slice:
    """One frame as stored, with what is needed to show it rightly.

    Attributes
    ----------
    stored
        (rows, columns) stored values, or (rows, columns, 3) RGB.
    slope, intercept
        Modality LUT (DICOM PS3.3 C.11.1): value = stored * slope + intercept.
    inverted
        True for MONOCHROME1, where the lowest value is white (PS3.3 C.7.6.3.1.2).
    padding
        Inclusive range of stored values that stand for "no data" (PS3.3 C.7.5.1.1.2), or None.
    spacing
        Distance between rows and between columns, in mm or as a ratio; (1, 1) where unknown.
    orientation
        ImageOrientationPatient (PS3.3 C.7.6.2.1.1): direction of a row, then of a column; None where unknown.
    window
        The first of the header's own (PS3.3 C.11.2), or None.

    """

    stored: NDArray[Any]
    slope: float = 1.0
    intercept: float = 0.0
    inverted: bool = False
    padding: tuple[float, float] | None = None
    spacing: tuple[float, float] = (1.0, 1.0)
    orientation: tuple[float, ...] | None = None
    window: Window | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a stored picture lies in the square: first transposed, then mirrored, then scaled into a box.

    Attributes
    ----------
    rows, columns
        Size of the stored picture in pixels.
    transposed, mirrored, flipped
        Whether rows and columns change places; then left and right; then top and bottom.
    top, left, height, width, size
        The box in the square, and the square's side, in its pixels.

    """

    rows: int
    columns: int
    transposed: bool
    mirrored: bool
    flipped: bool
    top: int
    left: int
    height: int
    width: int
    size: int

    def turn(self, picture: NDArray[Any]) -> NDArray[Any]:
        """Return a picture of the stored size as it lies in the box, not yet scaled."""
        picture = picture.T if self.transposed else picture
        return picture[:: -1 if self.flipped else 1, :: -1 if self.mirrored else 1]

    def to_square(self, x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where points of the stored picture lie in the square; (0, 0) is each one's upper left corner."""
        across, down = np.asarray(x, float) / self.columns, np.asarray(y, float) / self.rows
        if self.transposed:
            across, down = down, across
        across = 1 - across if self.mirrored else across
        down = 1 - down if self.flipped else down
        return self.left + across * self.width, self.top + down * self.height


def prepare(image: Slice, size: int = SIZE) -> NDArray[np.float32]:
    """Return the slice upright, windowed and letterboxed: (1, size, size) float32 in 0..1.

    Raises
    ------
    UnsupportedSlice
        The slice holds one grey only.
    UnreadableSlice
        Values are not finite, or absurdly large, after the modality LUT.

    """
    where = place(image, size)
    grey = where.turn(_windowed(image))
    small = _resampling(grey.shape[0], where.height) @ grey @ _resampling(grey.shape[1], where.width).T
    square = np.zeros((1, size, size), np.float32)
    square[0, where.top : where.top + where.height, where.left : where.left + where.width] = small
    return square


def sketch(square: NDArray[np.float32], side: int = SKETCH_SIDE) -> NDArray[np.uint8]:
    """Return (side * side,) greys, 0..255: the means of so many fields of a prepared slice.

    The slice is (1, size, size) float32 in 0..1.

    What a slice looks like from afar, whatever a network makes of it.
    """
    edges = np.linspace(0, square.shape[-1], side + 1).astype(int)
    sums = np.add.reduceat(np.add.reduceat(square[0], edges[:-1], axis=0), edges[:-1], axis=1)
    fields = np.diff(edges)[:, np.newaxis] * np.diff(edges)
    greys: NDArray[np.uint8] = np.rint(255 * (sums / fields)).astype(np.uint8).ravel()
    return greys


def shown_window(image: Slice) -> Window | None:
    """Return the window that a viewer first shows a slice with: the header's, or else all of its values.

    None for colour, which is shown as it is.
    """
    if image.stored.ndim == 3:
        return None
    if image.window is not None:
        return image.window
    low, high = sorted(float(end) * image.slope + image.intercept for end in (image.stored.min(), image.stored.max()))
    return Window((low + high) / 2, high - low)


def place(image: Slice, size: int = SIZE) -> Placement:
    """Return where the slice lies in the square: turned to the customary view, its longer physical side filling it.

    Equal anatomy thus looks equal however it was stored. Axial: patient's left to the right, back down. Coronal: left
    to the right, feet down. Sagittal: back to the right, feet down. In the patient coordinate system of PS3.3
    C.7.6.2.1.1, +x is left, +y back, +z head.
    """
    rows, columns = image.stored.shape[:2]
    transposed, mirrored, flipped = _turns(image.orientation)
    height, width = rows * image.spacing[0], columns * image.spacing[1]
    if transposed:
        height, width = width, height
    scale = size / max(height, width)
    box_height, box_width = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (size - box_height) // 2, (size - box_width) // 2
    return Placement(rows, columns, transposed, mirrored, flipped, top, left, box_height, box_width, size)


def _turns(orientation: tuple[float, ...] | None) -> tuple[bool, bool, bool]:
    """Return whether to transpose, mirror and flip a slice with these direction cosines."""
    if orientation is None:
        return False, False, False
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    normal = int(np.argmax(np.abs(np.cross(row, column))))
    right, down = [
        (np.array([0, 1, 0]), np.array([0, 0, -1])),
        (np.array([1, 0, 0]), np.array([0, 0, -1])),
        (np.array([1, 0, 0]), np.array([0, 1, 0])),
    ][normal]
    transposed = bool(abs(row @ right) < abs(column @ right))
    if transposed:
        row, column = column, row
    return transposed, bool(row @ right < 0), bool(column @ down < 0)


def _windowed(image: Slice) -> NDArray[np.float32]:
    """Return grey values clipped between two percentiles and scaled to 0..1, padding black."""
    stored = image.stored
    if image.slope == 0 or not np.isfinite((image.slope, image.intercept)).all():
        raise UnreadableSlice("RescaleSlope is 0 or not finite")
    if stored.ndim == 3:
        # luminance of RGB, ITU-R BT.601
        stored = stored.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    elif stored.dtype.itemsize <= 2 and stored.dtype.kind in "iu" and stored.size:
        lowest, highest = int(stored.min()), int(stored.max())
        if highest - lowest < stored.size:
            # whole numbers that occur many times each: what becomes of one is worked out once
            places = stored.astype(np.intp)
            places -= lowest
            table = _greys(image, np.arange(lowest, highest + 1), np.bincount(places.ravel()))
            return table[places]
    return _greys(image, stored, None)


def _greys(image: Slice, stored: NDArray[Any], counts: NDArray[np.intp] | None) -> NDArray[np.float32]:
    """Return what becomes of stored values, of each of which there are so many in the slice, or one."""
    with np.errstate(over="ignore", invalid="ignore"):
        values = stored.astype(np.float32) * np.float32(image.slope) + np.float32(image.intercept)
    if not (np.abs(values) < LARGEST_VALUE).all():
        # NaN compares false, so it is caught as well
        raise UnreadableSlice("pixel values are not finite")
    data = np.ones(values.shape, bool)
    if image.padding is not None:
        low, high = image.padding
        data = (stored < low) | (stored > high)
    there = data if counts is None else data & (counts > 0)
    low, high = _percentiles(values[there], None if counts is None else counts[there])
    if not high > low:
        raise UnsupportedSlice("the slice is empty: it holds one grey only")
    grey = np.clip((values - low) / (high - low), 0, 1).astype(np.float32, copy=False)
    if image.inverted:
        grey = 1 - grey
    return np.where(data, grey, np.float32(0))


def _percentiles(values: NDArray[np.float32], counts: NDArray[np.intp] | None) -> tuple[float, float]:
    """Return the two window percentiles, to within one bin of a histogram (much faster than sorting)."""
    if values.size == 0:
        return 0.0, 0.0
    low, high = float(values.min()), float(values.max())
    if high - low < SMALLEST_RANGE:
        return low, low
    scale = (HISTOGRAM_BINS - 1) / (high - low)
    bins = ((values - low) * scale).astype(np.int32)
    cumulated = np.cumsum(np.bincount(bins.ravel(), counts, minlength=HISTOGRAM_BINS))
    first, last = np.searchsorted(cumulated, np.array(WINDOW_PERCENTILES) / 100 * cumulated[-1])
    if first == last:
        # nearly all pixels share one grey: a small bright object on an even ground
        return low, high
    return low + first / scale, low + last / scale


@lru_cache(maxsize=16)
def _resampling(old: int, new: int) -> NDArray[np.float32]:
    """Return the (new, old) matrix of linear interpolation with antialiasing: rows sum to 1."""
    step = old / new
    reach = max(step, 1.0)
    centres = (np.arange(new) + 0.5) * step - 0.5
    weights = np.maximum(0, 1 - np.abs(centres[:, np.newaxis] - np.arange(old)) / reach)
    normalised: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return normalised
