"""Files that hold one picture, as the plugin sees a slice: DICOM, what Pillow reads, and slices kept without header."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

import _library  # noqa: F401 - before cbmir
from cbmir.errors import CbmirError
from cbmir.instance import Limits, read
from cbmir.pixels import SIZE, Slice, prepare
from sources.csv_table import TableError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cbmir.instance import Instance

KEPT = ".npz"
"""Ending of a file that `keep` wrote."""

DICOM_MARK = (128, b"DICM")
"""Where and what says that a file is DICOM (PS3.10 7.1)."""

GREY_MODES = ("L", "I", "F", "I;16", "I;16L", "I;16B")
"""Pillow's names of pictures with one value a pixel; 16 bits are kept as they are."""


def picture(file: Path, size: int = SIZE) -> NDArray[np.float32]:
    """Return (1, size, size) float32 in 0..1, prepared as the plugin prepares a slice. Raises TableError."""
    image = slice_of(file)
    try:
        return prepare(image, size)
    except CbmirError as error:
        raise TableError(f"{file}: {error}") from error


def slice_of(file: Path) -> Slice:
    """Return a picture as the plugin sees a slice; the geometry is unknown but for DICOM. Raises TableError."""
    try:
        if file.suffix == KEPT:
            return _kept(file)
        if is_dicom(file):
            instance = read_dicom(file)
            # of a volume, the slice in the middle: where a lesion is likely
            return instance.frame(1 + instance.number_of_frames // 2)
        return Slice(stored=_pixels(file))
    except CbmirError as error:
        raise TableError(f"{file}: {error}") from error
    except Exception as error:  # whatever a decoder raises for a damaged file
        raise TableError(f"{file} cannot be read as a picture ({type(error).__name__})") from error


def is_dicom(file: Path) -> bool:
    """Return whether the file says so, or is named so: files of old software do not say it."""
    offset, mark = DICOM_MARK
    with file.open("rb") as opened:
        return opened.read(offset + len(mark))[offset:] == mark or file.suffix.lower() == ".dcm"


def read_dicom(file: Path) -> Instance:
    """Return the instance in a DICOM file of any modality. Raises CbmirError."""
    return read(file.read_bytes(), Limits(modalities=None))


@cache
def facts(file: Path) -> dict[str, str]:
    """Return what the plugin would keep of a DICOM file's header, by keyword; nothing of any other file."""
    try:
        return read_dicom(file).facts if is_dicom(file) else {}
    except (CbmirError, OSError):
        return {}


def _pixels(file: Path) -> NDArray[Any]:
    with Image.open(file) as image:
        return np.asarray(image if image.mode in GREY_MODES else image.convert("RGB"))


def keep(image: Slice, file: Path) -> None:
    """Write a slice: its stored pixels and how they are to be shown, nothing of the header besides. Never in part."""
    values: dict[str, Any] = {
        "stored": image.stored,
        "lut": (image.slope, image.intercept),
        "inverted": image.inverted,
        "padding": () if image.padding is None else image.padding,
        "spacing": image.spacing,
        "orientation": () if image.orientation is None else image.orientation,
    }
    part = file.with_suffix(".part")
    with part.open("wb") as opened:
        np.savez_compressed(opened, **values)
    part.replace(file)


def _kept(file: Path) -> Slice:
    with np.load(file, allow_pickle=False) as values:
        slope, intercept = values["lut"].tolist()
        across, down = values["spacing"].tolist()
        padding, orientation = values["padding"].tolist(), values["orientation"].tolist()
        return Slice(
            values["stored"],
            slope=slope,
            intercept=intercept,
            inverted=bool(values["inverted"]),
            padding=tuple(padding) if padding else None,
            spacing=(across, down),
            orientation=tuple(orientation) if orientation else None,
        )
