"""Stage 1: DICOM bytes become slices and header facts. The only file that knows pydicom; it trusts no byte."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import re
import struct
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom import config as pydicom_config
from pydicom import dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, ImplicitVRLittleEndian, RLELossless

from cbmir.errors import CbmirError, NotFound, Unavailable, UnreadableSlice, UnsupportedSlice
from cbmir.pixels import Slice
from cbmir.records import FACTS, Window, one_line
from cbmir.sequences import plane

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

FACT_LENGTH = 256
"""Longest text kept of one attribute; the longest that DICOM allows a description is 64 (LO, PS3.5 6.2)."""

ROOM_TO_DECODE = 4
"""Memory that must be free before a frame is decoded, as a multiple of its pixels."""
LONGEST_SIDE = 16_384
"""Most rows or columns; a picture of one long line would need more memory to be scaled than to be held."""

_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)
_CODE = re.compile(r"[A-Z0-9_ ]{1,16}", re.ASCII)
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")

# Values of a header must never reach a log: pydicom may quote them in what it warns of.
logging.getLogger("pydicom").addHandler(logging.NullHandler())
logging.getLogger("pydicom").propagate = False
logging.getLogger("pylibjpeg").addHandler(logging.NullHandler())
logging.getLogger("pylibjpeg").propagate = False
warnings.filterwarnings("ignore", module=r"pydicom|pylibjpeg")
pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE


@dataclass(frozen=True, slots=True)
class Limits:
    """What is decoded at all: a small file can claim pictures larger than the machine's memory.

    `modalities` of None are all that there are.
    """

    modalities: tuple[str, ...] | None = ("MR",)
    max_pixels_per_frame: int = 4096 * 4096
    max_frames: int = 2000


@dataclass(frozen=True, slots=True)
class Instance:
    """A DICOM image whose header was found sound; its frames are decoded one at a time.

    Attributes
    ----------
    facts
        Values of FACTS that are present, as cleaned text.
    names_patient
        False where PatientID is empty, so that the patient cannot be told from others.
    plane
        Of the first frame: axial, coronal, sagittal, or None.

    """

    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    facts: dict[str, str]
    names_patient: bool
    number_of_frames: int
    dataset: Dataset
    plane: str | None = None

    def frame(self, number: int) -> Slice:
        """Return one frame, counted from 1 as DICOM does.

        Raises
        ------
        NotFound
            There is no such frame.
        UnsupportedSlice
            No decoder for the transfer syntax.
        UnreadableSlice
            The pixel data is damaged, truncated or contradicts the header.
        Unavailable
            There is not enough memory now.

        """
        if not 1 <= number <= self.number_of_frames:
            raise NotFound(f"the instance has frames 1 to {self.number_of_frames}")
        with unreadable("pixel data"):
            return _slice(self.dataset, number - 1, self.number_of_frames)


def read(dicom: bytes, limits: Limits) -> Instance:
    """Return the image in a DICOM file.

    Raises
    ------
    UnsupportedSlice
        No picture that is indexed: other modality, no pixel data, larger than the limits.
    UnreadableSlice
        No sound DICOM file.

    """
    with unreadable("header"):
        dataset = parsed(dicom)
        study, series, sop = (_uid(dataset, f"{level}InstanceUID") for level in ("Study", "Series", "SOP"))
        _require_picture(dataset, limits)
        frames = _number_of_frames(dataset)
        if frames > limits.max_frames:
            raise UnsupportedSlice(f"{frames} frames are more than the setting MaxFrames allows")
        facts = {keyword: text for keyword in FACTS if (text := _text(dataset, keyword))}
        if "PatientAge" not in facts and (age := _age(dataset)):
            facts["PatientAge"] = age
        lies = plane(_orientation(dataset, 0))
        return Instance(sop, series, study, facts, bool(_text(dataset, "PatientID")), frames, dataset, lies)


@contextlib.contextmanager
def unreadable(part: str) -> Iterator[None]:
    """Turn whatever a damaged file makes pydicom raise into UnreadableSlice, without the values it quotes."""
    try:
        yield
    except CbmirError:
        raise
    except (KeyboardInterrupt, SystemExit):
        raise
    except MemoryError:
        raise Unavailable(f"there is not enough memory for the {part}") from None
    except BaseException as error:  # noqa: BLE001 - damaged files raise anything; a decoder in Rust no Exception even
        raise UnreadableSlice(f"the {part} cannot be read ({type(error).__name__})") from None


def parsed(dicom: bytes) -> Dataset:
    """Return the data set of a DICOM file, of the default transfer syntax (PS3.5 10.1) where it names none."""
    dataset = dcmread(io.BytesIO(dicom), force=True)
    if not hasattr(dataset, "file_meta"):
        dataset.file_meta = FileMetaDataset()
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    return dataset


def _uid(dataset: Dataset, keyword: str) -> str:
    uid = str(dataset.get(keyword, ""))
    if not _UID.fullmatch(uid):
        raise UnreadableSlice(f"{keyword} is missing or malformed")
    return uid


def _require_picture(dataset: Dataset, limits: Limits) -> None:
    """Raise unless the header promises pixels of an indexed modality, of a size that is decoded."""
    modality = str(dataset.get("Modality", ""))
    if limits.modalities is not None and modality not in limits.modalities:
        shown = modality if _CODE.fullmatch(modality) else "unknown"
        raise UnsupportedSlice(f"modality {shown} is not indexed (setting Modalities)")
    if not any(keyword in dataset for keyword in _PIXELS):
        raise UnsupportedSlice("the object has no pixel data")
    rows, columns = _positive(dataset, "Rows"), _positive(dataset, "Columns")
    if max(rows, columns) > LONGEST_SIDE:
        raise UnsupportedSlice(f"{rows} x {columns} pixels: a side is longer than {LONGEST_SIDE}")
    if rows * columns > limits.max_pixels_per_frame:
        raise UnsupportedSlice(f"{rows} x {columns} pixels are more than the setting MaxPixelsPerFrame allows")
    if dataset.get("BitsAllocated") not in {8, 16, 32, 64}:
        raise UnsupportedSlice("BitsAllocated is none of 8, 16, 32, 64: no grey picture")
    if dataset.get("SamplesPerPixel", 1) not in {1, 3}:
        raise UnreadableSlice("SamplesPerPixel is neither 1 nor 3")


def _positive(dataset: Dataset, keyword: str) -> int:
    number = dataset.get(keyword)
    if not isinstance(number, int) or number < 1:
        raise UnreadableSlice(f"{keyword} is missing or not positive")
    return number


def _number_of_frames(dataset: Dataset) -> int:
    return max(1, int(dataset.get("NumberOfFrames") or 1))


def _text(dataset: Dataset, keyword: str) -> str:
    """Return a value as one clean line: no control characters, no lone surrogates, limited length."""
    value: Any = dataset.get(keyword)
    if value is None:
        return ""
    whole = "\\".join(map(str, value)) if isinstance(value, (list, tuple)) or hasattr(value, "append") else str(value)
    return one_line(whole, FACT_LENGTH)


def _age(dataset: Dataset) -> str:
    """Return PatientAge in whole years (AS, PS3.5 6.2) from the dates of birth and study, or nothing."""
    birth, study = _text(dataset, "PatientBirthDate"), _text(dataset, "StudyDate")
    if not (re.fullmatch(r"\d{8}", birth, re.ASCII) and re.fullmatch(r"\d{8}", study, re.ASCII)):
        return ""
    years = int(study[:4]) - int(birth[:4]) - (study[4:] < birth[4:])
    return f"{years:03d}Y" if 0 <= years <= 130 else ""


def _slice(dataset: Dataset, index: int, frames: int) -> Slice:
    photometric = str(dataset.get("PhotometricInterpretation", "MONOCHROME2"))
    stored = _decode(dataset, index, frames)
    if photometric == "PALETTE COLOR":
        # a colour table holds 8 or 16 bits an entry; only the ratio matters for grey
        stored = apply_color_lut(stored, dataset)[..., :3]
    slope = _number(_functional(dataset, index, "PixelValueTransformationSequence", "RescaleSlope"), 1.0)
    intercept = _number(_functional(dataset, index, "PixelValueTransformationSequence", "RescaleIntercept"), 0.0)
    return Slice(
        stored,
        slope=slope,
        intercept=intercept,
        inverted=photometric == "MONOCHROME1",
        padding=_padding(dataset) if stored.ndim == 2 else None,
        spacing=_spacing(dataset, index),
        orientation=_orientation(dataset, index),
        window=_window(dataset, index),
    )


def _require_memory(dataset: Dataset) -> None:
    """Raise MemoryError unless there is room to decode a frame: a decoder in Rust that finds none ends the process."""
    pixels = int(dataset.Rows) * int(dataset.Columns) * int(dataset.SamplesPerPixel)
    np.empty(ROOM_TO_DECODE * pixels * (int(dataset.BitsAllocated) + 7) // 8, np.uint8)


def _decode(dataset: Dataset, index: int, frames: int) -> NDArray[np.generic]:
    try:
        get_decoder(dataset.file_meta.TransferSyntaxUID)
        _check_codestream(dataset, index, frames)
        _require_memory(dataset)
        decoded = pixel_array(dataset, index=index)
    except NotImplementedError as error:
        syntax = UID(dataset.file_meta.TransferSyntaxUID)
        raise UnsupportedSlice(f"no decoder for the transfer syntax {_known(syntax)}") from error
    except RuntimeError as error:
        # pydicom says so when each decoder refused, or when none is installed
        if "missing dependencies" in str(error) or "no available" in str(error).lower():
            syntax = UID(dataset.file_meta.TransferSyntaxUID)
            raise UnsupportedSlice(f"no decoder is installed for the transfer syntax {_known(syntax)}") from error
        raise
    if decoded.ndim not in {2, 3} or decoded.shape[:2] != (dataset.Rows, dataset.Columns):
        raise UnreadableSlice("the decoded picture is not of Rows x Columns")
    return decoded


def _known(syntax: UID) -> str:
    return f"{syntax.name} ({syntax})" if syntax.is_transfer_syntax else "unknown"


def _check_codestream(dataset: Dataset, index: int, frames: int) -> None:
    """Raise when a compressed frame's own size is not Rows x Columns: the decoder would believe the frame."""
    if not dataset.file_meta.TransferSyntaxUID.is_compressed or "PixelData" not in dataset:
        return
    if dataset.file_meta.TransferSyntaxUID.is_deflated:
        return
    if dataset.file_meta.TransferSyntaxUID == RLELossless:
        # its decoder takes Rows x Columns from the header
        return
    size = _codestream_size(get_frame(dataset.PixelData, index, number_of_frames=frames))
    if size != (dataset.Rows, dataset.Columns):
        raise UnreadableSlice("the compressed picture is not of Rows x Columns")


def _codestream_size(stream: bytes) -> tuple[int, int] | None:
    """Return (rows, columns) of a JPEG (ISO 10918-1 B.2.2), JPEG-LS or JPEG 2000 (ISO 15444-1 A.5.1) stream."""
    if stream[:4] == b"\xff\x4f\xff\x51":
        right, bottom, left, top = struct.unpack_from(">4I", stream, 8)
        return bottom - top, right - left
    position = 2
    while stream[:2] == b"\xff\xd8" and position + 9 <= len(stream) and stream[position] == 0xFF:
        marker, length = stream[position + 1], int.from_bytes(stream[position + 2 : position + 4], "big")
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}):
            rows, columns = struct.unpack_from(">HH", stream, position + 5)
            return rows, columns
        position += 2 + length
    return None


def _functional(dataset: Dataset, index: int, sequence: str, keyword: str) -> Any:
    """Return an attribute of one frame: of its functional group, of the shared one (PS3.3 C.7.6.16), of the top."""
    groups = []
    if len(per_frame := dataset.get("PerFrameFunctionalGroupsSequence") or []) > index:
        groups.append(per_frame[index])
    groups.extend(dataset.get("SharedFunctionalGroupsSequence") or [])
    for group in groups:
        for item in group.get(sequence) or []:
            if keyword in item:
                return item.get(keyword)
    return dataset.get(keyword)


def _number(value: Any, default: float) -> float:
    return default if value is None or value == "" else float(value)


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """Return that many finite numbers, or None."""
    with contextlib.suppress(TypeError, ValueError):
        numbers = tuple(float(item) for item in value)
        if len(numbers) == count and all(map(math.isfinite, numbers)):
            return numbers
    return None


def _padding(dataset: Dataset) -> tuple[float, float] | None:
    """Return the range of stored values that stand for no data (PS3.3 C.7.5.1.1.2)."""
    first = dataset.get("PixelPaddingValue")
    if not isinstance(first, int):
        return None
    last = dataset.get("PixelPaddingRangeLimit")
    ends = [_as_stored(dataset, end) for end in (first, last if isinstance(last, int) else first)]
    return min(ends), max(ends)


def _as_stored(dataset: Dataset, value: int) -> int:
    """Return a padding value signed as the pixels are, where the file wrote it as unsigned."""
    bits = int(dataset.BitsAllocated)
    signed = dataset.get("PixelRepresentation") == 1
    return value - 2**bits if signed and value >= 2 ** (bits - 1) else value


def _spacing(dataset: Dataset, index: int) -> tuple[float, float]:
    """Return the distance between rows and between columns; believable values only."""
    for value in (
        _functional(dataset, index, "PixelMeasuresSequence", "PixelSpacing"),
        dataset.get("PixelAspectRatio"),
    ):
        pair = _numbers(value, 2)
        if pair and min(pair) > 0 and max(pair) / min(pair) <= 100:
            return pair[0], pair[1]
    return 1.0, 1.0


def _window(dataset: Dataset, index: int) -> Window | None:
    """Return the first window of a frame; believable values only."""
    values = [_functional(dataset, index, "FrameVOILUTSequence", f"Window{part}") for part in ("Center", "Width")]
    numbers = _numbers([value[0] if hasattr(value, "append") and value else value for value in values], 2)
    return Window(*numbers) if numbers and numbers[1] > 0 else None


def _orientation(dataset: Dataset, index: int) -> tuple[float, ...] | None:
    """Return the two direction cosines of ImageOrientationPatient if they are unit vectors at a right angle."""
    cosines = _numbers(_functional(dataset, index, "PlaneOrientationSequence", "ImageOrientationPatient"), 6)
    if cosines is None:
        return None
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    sound = abs(row @ row - 1) < 0.1 and abs(column @ column - 1) < 0.1 and abs(row @ column) < 0.1
    return cosines if sound else None
