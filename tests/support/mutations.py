"""Real DICOM files with damage: the n-th one is always the same. As a program it reads them as the plugin does.

python tests/support/mutations.py FIRST LAST FILE    writes the number of each file to FILE before it reads it
"""

from __future__ import annotations

import io
import random
import resource
import signal
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from dicom_files import AXIAL, mr_slice, picture, to_bytes
from pydicom.uid import JPEG2000Lossless, RLELossless

from cbmir.errors import UnreadableSlice, UnsupportedSlice
from cbmir.instance import Limits, read
from cbmir.pixels import SIZE, prepare

if TYPE_CHECKING:
    from collections.abc import Callable

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"
LONGEST = 100_000
"""Larger files of pydicom's are left out: their mutations take long and meet nothing else."""

MEMORY = 6 * 2**30
SECONDS = 60
"""What reading one file may take at the very most; a machine under load is slow."""

FRAMES = 3
LIMITS = Limits(("MR", "CT", "OT", "US", "XA", "NM", "RF", "SC", "PT", "CR", "DX", ""))

_PICTURE = (0x20, 0x28, 0x5200, 0x7FE0)
"""Groups of the attributes that say how pixels are to be read."""

_MAGNITUDES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
_VALUES: tuple[Any, ...] = (
    0,
    1,
    3,
    7,
    12,
    16,
    33,
    64,
    255,
    65535,
    -1,
    "",
    "nan",
    "1e400",
    "-0",
    "\\\\",
    "1\\2\\3",
    None,
)


@cache
def seeds() -> list[bytes]:
    """Return the files that are damaged: of every kind that the tests make, and those that come with pydicom."""
    plain = picture(1, size=32)
    datasets = [
        mr_slice(pixels=plain),
        mr_slice(pixels=plain.astype(np.int16) - 2000, RescaleSlope=2, RescaleIntercept=-1000, PixelPaddingValue=-2000),
        mr_slice(pixels=plain, PhotometricInterpretation="MONOCHROME1", WindowCenter=[100, 200], WindowWidth=[50, 60]),
        mr_slice(pixels=np.stack([plain] * 4), ImageOrientationPatient=AXIAL),
        mr_slice(pixels=(plain // 16).astype(np.uint8)),
    ]
    for syntax in (RLELossless, JPEG2000Lossless):
        for pixels in (plain, np.stack([plain] * 3)):
            packed = mr_slice(pixels=pixels)
            packed.compress(syntax)
            datasets.append(packed)
    shipped = [path.read_bytes() for path in sorted(SHIPPED.rglob("*.dcm")) if path.stat().st_size < LONGEST]
    return [to_bytes(dataset) for dataset in datasets] + shipped


def mutated(number: int) -> bytes:
    """Return the n-th damaged file."""
    chance = random.Random(number)
    every = seeds()
    # files of the tests' own are pictures throughout; of those shipped many are none
    file = every[chance.randrange(9) if chance.random() < 0.5 else chance.randrange(len(every))]
    for _ in range(chance.choice((1, 1, 1, 1, 2, 3, 10))):
        file = chance.choice(_DAMAGES)(bytearray(file), chance)
    return file


def _flip(file: bytearray, chance: random.Random) -> bytes:
    if file:
        file[_place(file, chance)] ^= 1 << chance.randrange(8)
    return bytes(file)


def _overwrite(file: bytearray, chance: random.Random) -> bytes:
    start = _place(file, chance)
    file[start : start + chance.randrange(1, 9)] = chance.randbytes(chance.randrange(1, 9))
    return bytes(file)


def _magnitude(file: bytearray, chance: random.Random) -> bytes:
    """Put an extreme number where a length or a count may stand."""
    start, width = _place(file, chance), chance.choice((2, 4))
    file[start : start + width] = (chance.choice(_MAGNITUDES) % 256**width).to_bytes(width, "little")
    return bytes(file)


def _truncate(file: bytearray, chance: random.Random) -> bytes:
    return bytes(file[: _place(file, chance)])


def _cut(file: bytearray, chance: random.Random) -> bytes:
    start = _place(file, chance)
    del file[start : start + chance.randrange(1, 200)]
    return bytes(file)


def _repeat(file: bytearray, chance: random.Random) -> bytes:
    start, length = _place(file, chance), chance.randrange(1, 400)
    return bytes(file[:start] + file[start : start + length] * chance.randrange(2, 5) + file[start + length :])


def _swap(file: bytearray, chance: random.Random) -> bytes:
    """Put a part of another file in place of a part of this one."""
    other = chance.choice(seeds())
    start, length = _place(file, chance), chance.randrange(1, 2000)
    file[start : start + length] = other[start : start + length]
    return bytes(file)


def _element(file: bytearray, chance: random.Random) -> bytes:
    """Give an attribute of a sound file a value that it should not have."""
    try:
        dataset = pydicom.dcmread(io.BytesIO(bytes(file)), force=True)
        elements = list(dataset)
        if chance.random() < 0.7:
            elements = [element for element in elements if element.tag.group in _PICTURE] or elements
        element = chance.choice(elements)
        if chance.random() < 0.2:
            del dataset[element.tag]
        elif element.VR in {"OB", "OW"}:
            element.value = element.value[: chance.randrange(len(element.value) + 1)]
        else:
            element.value = chance.choice(_VALUES)
        out = io.BytesIO()
        dataset.save_as(out)
        return out.getvalue()
    except Exception:  # noqa: BLE001 - whatever cannot be written is damaged in another way
        return _magnitude(file, chance)


_DAMAGES: tuple[Callable[[bytearray, random.Random], bytes], ...] = (
    *(_flip, _overwrite, _magnitude, _truncate, _cut, _repeat, _swap),
    *(_element,) * 6,
)


def _place(file: bytearray, chance: random.Random) -> int:
    """Return a place in the file: mostly in its header, which says what the rest means."""
    end = max(1, len(file))
    return chance.randrange(min(end, 1200)) if chance.random() < 0.7 else chance.randrange(end)


def outcome(file: bytes) -> str:
    """Read a file as the plugin does; return what came of it. Raises what the plugin must never meet."""
    try:
        instance = read(file, LIMITS)
        for number in range(1, min(instance.number_of_frames, FRAMES) + 1):
            square = prepare(instance.frame(number), SIZE)
            assert square.shape == (1, SIZE, SIZE)
            assert square.dtype == np.float32
            assert np.isfinite(square).all()
    except (UnsupportedSlice, UnreadableSlice) as error:
        return type(error).__name__
    return "read"


def main() -> None:
    """Read the files with these numbers; the first that goes wrong ends the program."""
    first, last, note = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    counts: dict[str, int] = {}
    for number in range(first, last):
        note.write_text(str(number))
        signal.alarm(SECONDS)
        found = outcome(mutated(number))
        counts[found] = counts.get(found, 0) + 1
    print(counts)


if __name__ == "__main__":
    main()
