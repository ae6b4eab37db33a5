from __future__ import annotations

import io
import math
import os
import struct
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from dicom_files import AXIAL, mr_file, mr_slice, picture, to_bytes
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from cbmir.errors import CbmirError, NotFound, UnreadableSlice, UnsupportedSlice
from cbmir.instance import FACT_LENGTH, Limits, read
from cbmir.pixels import prepare

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

DATA = Path(__file__).parents[3] / "shared" / "data" / "dicom"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the test images beside the checkout are absent")
# as in Orthanc, where the module silences what pydicom warns of
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
MUTATIONS = int(os.environ.get("CBMIR_MUTATIONS", "2000"))


def square(file: bytes | Dataset, number: int = 1, limits: Limits = Limits()) -> NDArray[np.float32]:  # noqa: B008
    """Return what the network would see of a file."""
    data = file if isinstance(file, bytes) else to_bytes(file)
    return prepare(read(data, limits).frame(number), 64)


def refused(file: bytes | Dataset, error: type[CbmirError] = CbmirError, match: str | None = None) -> None:
    """Assert that a file is refused with this error, at once and without memory for the picture it claims."""
    data = file if isinstance(file, bytes) else to_bytes(file)
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises(error, match=match):
            square(data)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()
    # what reads the picture after all takes minutes of the processor
    assert time.process_time() - start < 20


# ---- what is read ----


def test_a_plain_mr_image_is_read_with_its_ids_and_facts() -> None:
    dataset = mr_slice("P1", 2, 3, 4, StudyDescription="MR  BRAIN", Manufacturer="Example")
    instance = read(to_bytes(dataset), Limits())
    assert instance.sop_instance_uid == dataset.SOPInstanceUID
    assert instance.series_instance_uid == dataset.SeriesInstanceUID
    assert instance.study_instance_uid == dataset.StudyInstanceUID
    assert instance.number_of_frames == 1
    assert instance.names_patient
    assert instance.facts == {
        "Modality": "MR",
        "StudyDate": "20240131",
        "StudyDescription": "MR BRAIN",
        "SeriesDescription": "T1 TRA +C",
        "PatientSex": "F",
        "PatientAge": "050Y",
        "Manufacturer": "Example",
    }


def test_no_fact_names_the_patient() -> None:
    instance = read(mr_file(PatientName="Doe^Jane", PatientID="SECRET", PatientBirthDate="19700101"), Limits())
    assert not {"Doe", "SECRET", "19700101"} & set(" ".join(instance.facts.values()).replace("^", " ").split())


@pytest.mark.parametrize("patient", ["", " "])
def test_an_empty_patient_id_names_no_patient(patient: str) -> None:
    assert not read(mr_file(PatientID=patient), Limits()).names_patient


@pytest.mark.parametrize(
    ("birth", "study", "age"),
    [
        ("19740131", "20240131", "050Y"),
        ("19740201", "20240131", "049Y"),
        ("20240101", "20240131", "000Y"),
        ("20250101", "20240131", None),
        ("18000101", "20240131", None),
        ("", "20240131", None),
        ("1974", "20240131", None),
    ],
)
def test_a_missing_age_is_reckoned_from_the_dates(birth: str, study: str, age: str | None) -> None:
    dataset = mr_slice(PatientBirthDate=birth, StudyDate=study)
    del dataset.PatientAge
    assert read(to_bytes(dataset), Limits()).facts.get("PatientAge") == age


def test_the_pixels_arrive_as_they_were_stored() -> None:
    pixels = picture(1)
    found = read(mr_file(pixels=pixels, RescaleSlope="2", RescaleIntercept="-5"), Limits()).frame(1)
    np.testing.assert_array_equal(found.stored, pixels)
    assert (found.slope, found.intercept, found.inverted, found.padding) == (2, -5, False, None)
    assert found.spacing == (1, 1)
    assert found.orientation == tuple(AXIAL)


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless, JPEG2000Lossless],
)
def test_one_picture_gives_equal_squares_in_every_transfer_syntax(syntax: Any) -> None:
    dataset = mr_slice(pixels=picture(1))
    plain = square(dataset)
    if syntax.is_compressed and not syntax.is_deflated:
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = syntax
    np.testing.assert_array_equal(square(dataset), plain)


def test_big_endian_files_are_read() -> None:
    dataset = mr_slice(pixels=picture(1))
    plain = square(dataset)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    file = io.BytesIO()
    dataset.save_as(file, implicit_vr=False, little_endian=False, enforce_file_format=True)
    np.testing.assert_array_equal(square(file.getvalue()), plain)


def test_a_file_without_preamble_and_transfer_syntax_is_taken_as_implicit_little_endian() -> None:
    dataset = mr_slice(pixels=picture(1))
    plain = square(dataset)
    del dataset.file_meta
    file = io.BytesIO()
    dataset.save_as(file, implicit_vr=True, little_endian=True)
    np.testing.assert_array_equal(square(file.getvalue()), plain)


@pytest.mark.parametrize("preamble", [b"MZ\x90\0", b"\x7fELF", b"#!/bin/sh\n"])
def test_a_preamble_that_is_a_program_changes_nothing(preamble: bytes) -> None:
    file = mr_file(pixels=picture(1))
    np.testing.assert_array_equal(square(preamble.ljust(128, b"\0") + file[128:]), square(file))


@needs_data
def test_one_image_in_seven_transfer_syntaxes_gives_equal_squares() -> None:
    squares = [
        square(path.read_bytes(), limits=Limits(modalities=("MR", "CT", "US", "OT")))
        for path in sorted((DATA / "odd" / "transfer_syntaxes_same_image").glob("*.dcm"))
    ]
    assert len(squares) == 9
    for other in squares[1:]:
        # two of them are lossy
        assert np.abs(other - squares[0]).mean() < 0.01
        assert np.corrcoef(other.ravel(), squares[0].ravel())[0, 1] > 0.999


@needs_data
def test_every_real_file_gives_squares_or_a_reason_and_most_give_squares() -> None:
    given = 0
    paths = sorted(DATA.rglob("*.dcm"))
    for path in paths:
        try:
            instance = read(path.read_bytes(), Limits())
            last = instance.frame(instance.number_of_frames)
            for image in (instance.frame(1), last):
                assert np.isfinite(prepare(image, 64)).all()
        except CbmirError:
            continue
        given += 1
    assert given > 0.7 * len(paths)


# ---- frames ----


def test_each_frame_is_given_by_its_number() -> None:
    frames = np.stack([picture(seed) for seed in range(3)])
    instance = read(mr_file(pixels=frames), Limits())
    assert instance.number_of_frames == 3
    for number, frame in enumerate(frames, start=1):
        np.testing.assert_array_equal(instance.frame(number).stored, frame)


@pytest.mark.parametrize("number", [0, -1, 4, 10**9])
def test_a_frame_that_is_not_there_is_not_found(number: int) -> None:
    instance = read(mr_file(pixels=np.stack([picture(1)] * 3)), Limits())
    with pytest.raises(NotFound, match="frames 1 to 3"):
        instance.frame(number)


def enhanced(per_frame: list[dict[str, Any]], shared: dict[str, Any] | None = None) -> Dataset:
    """Return a multi-frame image whose frames have functional groups: {sequence: {keyword: value}}."""
    dataset = mr_slice(pixels=np.stack([picture(seed) for seed in range(len(per_frame))]))
    del dataset.PixelSpacing, dataset.ImageOrientationPatient
    dataset.PerFrameFunctionalGroupsSequence = [groups(frame) for frame in per_frame]
    if shared is not None:
        dataset.SharedFunctionalGroupsSequence = [groups(shared)]
    return dataset


def groups(content: dict[str, Any]) -> Dataset:
    found = Dataset()
    for sequence, attributes in content.items():
        item = Dataset()
        for keyword, value in attributes.items():
            setattr(item, keyword, value)
        setattr(found, sequence, [item])
    return found


def test_a_frame_has_the_geometry_of_its_own_functional_group_or_of_the_shared_one() -> None:
    coronal = [1, 0, 0, 0, 0, -1]
    dataset = enhanced(
        [{"PlaneOrientationSequence": {"ImageOrientationPatient": coronal}}, {}],
        {
            "PlaneOrientationSequence": {"ImageOrientationPatient": AXIAL},
            "PixelMeasuresSequence": {"PixelSpacing": [2, 3]},
            "PixelValueTransformationSequence": {"RescaleSlope": "4", "RescaleIntercept": "1"},
        },
    )
    instance = read(to_bytes(dataset), Limits())
    assert [instance.frame(number).orientation for number in (1, 2)] == [tuple(coronal), tuple(AXIAL)]
    assert [instance.frame(number).spacing for number in (1, 2)] == [(2, 3), (2, 3)]
    assert (instance.frame(2).slope, instance.frame(2).intercept) == (4, 1)


def test_a_frame_has_the_window_of_its_own_functional_group() -> None:
    windows = [{"WindowCenter": [50, 9], "WindowWidth": [80, 9]}, {"WindowCenter": 7, "WindowWidth": 0.5}]
    instance = read(to_bytes(enhanced([{"FrameVOILUTSequence": window} for window in windows])), Limits())
    assert [instance.frame(number).window for number in (1, 2)] == [(50, 80), (7, 0.5)]


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"WindowCenter": 5},
        {"WindowWidth": 5},
        {"WindowCenter": 5, "WindowWidth": 0},
        {"WindowCenter": 5, "WindowWidth": -3},
        {"WindowCenter": "", "WindowWidth": ""},
    ],
)
def test_a_window_that_is_none_is_not_taken(tags: dict[str, Any]) -> None:
    assert read(mr_file(**tags), Limits()).frame(1).window is None


@pytest.mark.parametrize("number", ["-3", "0", ""])
def test_a_senseless_number_of_frames_counts_as_one(number: str) -> None:
    assert read(mr_file(NumberOfFrames=number), Limits()).number_of_frames == 1


@pytest.mark.parametrize("number", ["1000000000", "2147483647", "2001"])
def test_a_claim_of_very_many_frames_is_refused(number: str) -> None:
    refused(mr_slice(NumberOfFrames=number), UnsupportedSlice, "MaxFrames")


@pytest.mark.parametrize("number", ["2", "7", "2000"])
def test_more_frames_than_pixels_is_unreadable(number: str) -> None:
    refused(mr_slice(NumberOfFrames=number), UnreadableSlice, "pixel data")


# ---- kinds of pixels ----


def test_signed_pixels_with_padding_written_as_unsigned_are_recognised() -> None:
    pixels = picture(1).astype(np.int16)
    pixels[:, :10] = -2000
    dataset = mr_slice(pixels=pixels)
    dataset.add_new("PixelPaddingValue", "US", 65536 - 2000)
    assert read(to_bytes(dataset), Limits()).frame(1).padding == (-2000, -2000)
    assert not square(dataset)[0, :, :8].any()


def test_a_range_of_padding_is_recognised_in_either_order() -> None:
    dataset = mr_slice()
    dataset.add_new("PixelPaddingValue", "US", 60000)
    dataset.add_new("PixelPaddingRangeLimit", "US", 50000)
    assert read(to_bytes(dataset), Limits()).frame(1).padding == (50000, 60000)


def test_monochrome1_is_marked_as_inverted() -> None:
    assert read(mr_file(PhotometricInterpretation="MONOCHROME1"), Limits()).frame(1).inverted


@pytest.mark.parametrize(
    ("keyword", "bits", "dtype"), [("FloatPixelData", 32, "f4"), ("DoubleFloatPixelData", 64, "f8")]
)
def test_floating_point_pixels_are_read(keyword: str, bits: int, dtype: str) -> None:
    pixels = picture(1)
    dataset = mr_slice(pixels=pixels)
    for gone in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(dataset, gone)
    dataset.BitsAllocated = bits
    setattr(dataset, keyword, pixels.astype(dtype).tobytes())
    np.testing.assert_allclose(square(dataset), square(mr_slice(pixels=pixels)), atol=1e-6)
    pixels = pixels.astype(dtype)
    pixels[0, 0] = np.nan
    setattr(dataset, keyword, pixels.tobytes())
    refused(dataset, UnreadableSlice)


def rgb(pixels: NDArray[np.uint8], planar: int = 0) -> Dataset:
    dataset = mr_slice(pixels=pixels[..., 0])
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", planar
    dataset.PixelData = (pixels.transpose(2, 0, 1) if planar else pixels).tobytes()
    return dataset


@pytest.mark.parametrize("planar", [0, 1])
def test_colour_pictures_give_the_square_of_their_grey(planar: int) -> None:
    grey = (picture(1) // 16).astype(np.uint8)
    coloured = square(rgb(np.stack([grey] * 3, axis=-1), planar))
    np.testing.assert_allclose(coloured, square(mr_slice(pixels=grey)), atol=2e-3)


def test_a_palette_is_applied() -> None:
    grey = (picture(1) // 16).astype(np.uint8)
    dataset = mr_slice(pixels=grey, PhotometricInterpretation="PALETTE COLOR")
    falling = (np.arange(256, dtype=np.uint16)[::-1] * 257).tobytes()
    for colour in ("Red", "Green", "Blue"):
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(dataset, f"{colour}PaletteColorLookupTableData", falling)
    plain = square(mr_slice(pixels=grey))
    np.testing.assert_allclose(square(dataset), 1 - plain, atol=5e-3)


def test_a_palette_without_its_tables_is_unreadable() -> None:
    refused(mr_slice(PhotometricInterpretation="PALETTE COLOR"), UnreadableSlice)


@pytest.mark.parametrize("bits", [0, 1, 12, 24, 128, 65535])
def test_odd_numbers_of_bits_are_refused(bits: int) -> None:
    refused(mr_slice(BitsAllocated=bits), UnsupportedSlice, "BitsAllocated")


@pytest.mark.parametrize("samples", [0, 2, 4, 255])
def test_odd_numbers_of_samples_are_refused(samples: int) -> None:
    refused(mr_slice(SamplesPerPixel=samples), UnreadableSlice, "SamplesPerPixel")


@pytest.mark.parametrize("slope", ["0", "nan", "inf", "1e400"])
def test_a_slope_without_meaning_is_unreadable(slope: str) -> None:
    dataset = mr_slice(RescaleSlope="1.00000", RescaleIntercept="0")
    refused(to_bytes(dataset).replace(b"1.00000 ", slope.encode().ljust(8)), UnreadableSlice)


def test_an_empty_slope_counts_as_one() -> None:
    assert read(mr_file(RescaleSlope="", RescaleIntercept=None), Limits()).frame(1).slope == 1


@pytest.mark.parametrize("spacing", [[0, 0], [-1, 1], [1, 1000], ["nan", 1], [1], []])
def test_an_unbelievable_spacing_is_passed_over(spacing: list[Any]) -> None:
    dataset = mr_slice()
    dataset.PixelSpacing = None
    dataset["PixelSpacing"].value = spacing if "nan" not in spacing else None
    assert read(to_bytes(dataset), Limits()).frame(1).spacing == (1, 1)


def test_the_aspect_ratio_stands_in_for_a_missing_spacing() -> None:
    dataset = mr_slice(PixelAspectRatio=[3, 2])
    del dataset.PixelSpacing
    assert read(to_bytes(dataset), Limits()).frame(1).spacing == (3, 2)


@pytest.mark.parametrize(
    "orientation", [[0] * 6, [1, 0, 0, 1, 0, 0], [2, 0, 0, 0, 1, 0], [1, 0, 0], [1, 0, 0, 0, 1, 0, 0], None]
)
def test_an_unsound_orientation_is_passed_over(orientation: list[float] | None) -> None:
    assert read(mr_file(ImageOrientationPatient=orientation), Limits()).frame(1).orientation is None


# ---- what is skipped ----


@pytest.mark.parametrize("modality", ["CT", "SR", "PR", "OT"])
def test_other_modalities_are_skipped_by_name(modality: str) -> None:
    refused(mr_slice(Modality=modality), UnsupportedSlice, f"modality {modality} is not indexed")


@pytest.mark.parametrize("modality", ["", "<script>", "x" * 500, "mr"])
def test_a_modality_that_is_no_code_is_not_repeated(modality: str) -> None:
    refused(mr_slice(Modality=modality), UnsupportedSlice, "modality unknown is not indexed")


def test_other_modalities_can_be_chosen() -> None:
    assert square(mr_slice(Modality="CT"), limits=Limits(modalities=("MR", "CT"))).max() > 0.9


def test_an_object_without_pixels_is_skipped() -> None:
    dataset = mr_slice()
    del dataset.PixelData
    refused(dataset, UnsupportedSlice, "no pixel data")


def test_a_constant_picture_is_skipped_as_empty() -> None:
    refused(mr_slice(pixels=np.full((32, 32), 7, np.uint16)), UnsupportedSlice, "one grey only")


@pytest.mark.parametrize("shape", [(1, 1), (1, 4096), (4096, 1)])
def test_very_narrow_pictures_are_read(shape: tuple[int, int]) -> None:
    pixels = np.arange(shape[0] * shape[1], dtype=np.uint16).reshape(shape)
    if pixels.size == 1:
        refused(mr_slice(pixels=pixels), UnsupportedSlice, "one grey only")
    else:
        assert np.isfinite(square(mr_slice(pixels=pixels))).all()


# ---- bad files ----


@pytest.mark.parametrize(
    "file", [b"", b"\0", b"DICM", b"not DICOM at all" * 100, b"\0" * 128 + b"DICM", b"\xff" * 1000]
)
def test_what_is_not_dicom_is_refused(file: bytes) -> None:
    refused(file)


@pytest.mark.parametrize("length", [0, 1, 100, 4000, 8190])
def test_truncated_pixel_data_is_unreadable(length: int) -> None:
    dataset = mr_slice()
    dataset.PixelData = dataset.PixelData[: length - length % 2]
    refused(dataset, UnreadableSlice, "pixel data")


@pytest.mark.parametrize("cut", [1, 100, 5000, 8192, 8300])
def test_a_file_that_ends_too_early_is_refused(cut: int) -> None:
    refused(mr_file()[:-cut])


@pytest.mark.parametrize("keyword", ["Rows", "Columns"])
@pytest.mark.parametrize("value", [0, None])
def test_a_picture_without_rows_or_columns_is_unreadable(keyword: str, value: Any) -> None:
    refused(mr_slice(**{keyword: value}), UnreadableSlice, keyword)


def test_a_claim_of_a_huge_picture_is_refused_before_memory_is_taken_for_it() -> None:
    dataset = mr_slice(Rows=65535, Columns=65535)
    dataset.PixelData = b"0123456789"
    refused(dataset, UnsupportedSlice, "65535 x 65535 pixels: a side is longer")


def test_a_huge_run_length_encoded_picture_is_refused_before_memory_is_taken_for_it() -> None:
    dataset = mr_slice()
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.Rows = dataset.Columns = 16000
    refused(dataset, UnsupportedSlice, "16000 x 16000 pixels are more than")


def test_a_line_of_pixels_longer_than_dicom_allows_is_refused_before_memory_is_taken_for_it() -> None:
    dataset = mr_slice(pixels=np.zeros((1, 64), np.uint16))
    dataset.add_new("Columns", "UL", 4_000_000)
    dataset.PixelData = bytes(8_000_000)
    refused(dataset, UnsupportedSlice, "longer")


def test_a_run_length_encoded_frame_of_another_length_is_unreadable() -> None:
    dataset = mr_slice()
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.Rows = 65
    refused(dataset, UnreadableSlice)


def j2k(rows: int, columns: int) -> bytes:
    """Return a JPEG 2000 codestream."""
    dataset = mr_slice(pixels=np.resize(picture(1), (rows, columns)))
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False, encapsulate_ext=False)
    from pydicom.encaps import get_frame  # noqa: PLC0415 - this test alone

    return get_frame(dataset.PixelData, 0, number_of_frames=1)


def encapsulated(stream: bytes, syntax: Any = JPEG2000Lossless) -> Dataset:
    """Return a 64 x 64 MR image with a compressed stream in place of its pixels."""
    dataset = mr_slice(pixels=picture(1))
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].VR = "OB"
    return dataset


def jp2(codestream: bytes) -> bytes:
    """Return a codestream in the boxes of a JP2 file (ISO 15444-1 annex I): DICOM forbids it, decoders take it."""
    rows, columns = struct.unpack_from(">2I", codestream, 8)[::-1]
    header = struct.pack(">I4sIIHBBBB", 22, b"ihdr", rows, columns, 1, 15, 7, 0, 0) + b"\0\0\0\x0fcolr\1\0\0\0\0\0\x11"
    return (
        b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 \0\0\0\0jp2 "
        + struct.pack(">I4s", 8 + len(header), b"jp2h")
        + header
        + struct.pack(">I4s", 8 + len(codestream), b"jp2c")
        + codestream
    )


def jpeg(rows: int, columns: int, *, fill: bytes = b"", marker: int = 0xC0) -> bytes:
    """Return the beginning of a JPEG stream that announces a picture of this size."""
    frame = struct.pack(">HBHHB", 11, 8, rows, columns, 1) + b"\1\x11\0"
    return (
        b"\xff\xd8\xff\xe0\x00\x10JFIF\0\1\1\0\0\1\0\1\0\0"
        + fill
        + bytes([0xFF, marker])
        + frame
        + b"\0" * 50
        + b"\xff\xd9"
    )


def test_a_codestream_of_the_right_size_is_read() -> None:
    np.testing.assert_array_equal(square(encapsulated(j2k(64, 64))), square(mr_slice(pixels=picture(1))))


@pytest.mark.parametrize("size", [(63, 64), (64, 65), (2048, 2048)])
def test_a_codestream_of_another_size_than_the_header_says_is_refused(size: tuple[int, int]) -> None:
    refused(encapsulated(j2k(*size)), UnreadableSlice, "not of Rows x Columns")


def test_a_codestream_that_lies_about_its_size_is_refused() -> None:
    stream = bytearray(j2k(64, 64))
    stream[8:16] = struct.pack(">2I", 60000, 60000)
    refused(encapsulated(bytes(stream)), UnreadableSlice, "not of Rows x Columns")


@pytest.mark.parametrize(
    "stream", [jp2(j2k(2048, 2048)), b"\0" * 100, b"\0\0", b"\xff\x4f\xff\x51", b"GIF89a" + bytes(60)]
)
def test_a_stream_whose_size_is_hidden_is_refused(stream: bytes) -> None:
    refused(encapsulated(stream), UnreadableSlice)


@pytest.mark.parametrize(
    "stream",
    [
        jpeg(60000, 60000),
        jpeg(64, 63),
        jpeg(60000, 60000, fill=b"\xff\xff\xff"),
        jpeg(0, 64),
        jpeg(64, 64),
        b"\xff\xd8",
    ],
)
def test_a_jpeg_stream_of_another_size_or_without_content_is_refused(stream: bytes) -> None:
    refused(encapsulated(stream, JPEGBaseline8Bit), UnreadableSlice)


@pytest.mark.parametrize("stream", [jpeg(60000, 60000, marker=0xF7), jpeg(64, 64, marker=0xF7)])
def test_a_jpeg_ls_stream_of_another_size_or_without_content_is_refused(stream: bytes) -> None:
    refused(encapsulated(stream, JPEGLSLossless), UnreadableSlice)


def test_a_transfer_syntax_without_decoder_is_named() -> None:
    refused(encapsulated(b"\0" * 100, MPEG2MPML), UnsupportedSlice, "1.2.840.10008.1.2.4.100")


def test_an_invented_transfer_syntax_is_not_repeated() -> None:
    dataset = mr_slice()
    file = to_bytes(dataset).replace(b"1.2.840.10008.1.2.1\0", b"1.2.3.4.5.6.7.8.9.10", 1)
    refused(file)


@pytest.mark.parametrize(
    "uid", ["", "../../etc/passwd", "1.2.3\0.4", "1." * 40, "1.2.3/../4", "1.2.3 OR 1=1", "1.2\\1.3", "\uff11.2"]
)
@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_a_uid_that_is_none_is_refused_and_not_repeated(keyword: str, uid: str) -> None:
    dataset = mr_slice()
    placeholder = "9." * 31 + "99"
    setattr(dataset, keyword, placeholder)
    encoded = uid.encode()
    padded = encoded + b"\0" * (len(encoded) % 2)
    before = struct.pack("<2sH", b"UI", 64) + placeholder.encode()
    file = to_bytes(dataset)
    assert before in file
    with pytest.raises(UnreadableSlice, match=f"{keyword} is missing or malformed") as caught:
        read(file.replace(before, struct.pack("<2sH", b"UI", len(padded)) + padded), Limits())
    assert not uid or uid not in str(caught.value)


def before_the_sop_class(file: bytes, inserted: bytes) -> bytes:
    at = file.index(b"\x08\x00\x16\x00UI")
    return file[:at] + inserted + file[at:]


def test_two_thousand_nested_sequences_are_unreadable() -> None:
    opened = b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 2000
    closed = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0" * 2000
    refused(before_the_sop_class(mr_file(), opened + closed), UnreadableSlice, "RecursionError")


def test_two_thousand_nested_sequences_with_lengths_are_never_opened() -> None:
    nested = b""
    for _ in range(2000):
        item = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(nested)) + nested
        nested = b"\x08\x00\x15\x11SQ\0\0" + struct.pack("<I", len(item)) + item
    assert square(before_the_sop_class(mr_file(), nested)).max() > 0.9


def test_undefined_lengths_that_never_end_are_refused() -> None:
    opened = b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 3000
    file = mr_file()
    refused(file[: file.index(b"\x08\x00\x16\x00UI")] + opened, UnreadableSlice)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (b"T1\0TRA\x07\r\nFLAIR ", "T1 TRA FLAIR"),
        (b"\xff\xfe\xed\xa0\x80 ok", None),
        ("头部平扫".encode("gbk"), None),
        (
            b"<script>alert('x')</script>; DROP TABLE series;--",
            "<script>alert('x')</script>; DROP TABLE series;--",
        ),
        (b"A" * 64000, "A" * FACT_LENGTH),
        (b"   ", None),
    ],
)
def test_whatever_a_description_holds_becomes_one_clean_line(written: bytes, kept: str | None) -> None:
    dataset = mr_slice()
    del dataset.SeriesDescription
    dataset.add_new("SeriesDescription", "UT", "PLACEHOLDER")
    placeholder = b"UT\0\0" + struct.pack("<I", 12) + b"PLACEHOLDER "
    even = written + b" " * (len(written) % 2)
    file = to_bytes(dataset)
    assert placeholder in file
    found = read(file.replace(placeholder, b"UT\0\0" + struct.pack("<I", len(even)) + even), Limits()).facts
    text = found.get("SeriesDescription", "")
    text.encode()
    assert text.isprintable()
    assert len(text) <= FACT_LENGTH
    if kept is not None:
        assert text == kept


def test_text_of_a_chinese_character_set_is_decoded() -> None:
    dataset = mr_slice(SpecificCharacterSet="GB18030", SeriesDescription="头部平扫")
    assert read(to_bytes(dataset), Limits()).facts["SeriesDescription"] == "头部平扫"


def test_an_unknown_character_set_is_no_obstacle() -> None:
    file = mr_file(SpecificCharacterSet="ISO_IR 192").replace(b"ISO_IR 192", b"ISO_IR 999")
    assert read(file, Limits()).facts["Modality"] == "MR"


def test_no_error_repeats_a_value_of_the_header() -> None:
    dataset = mr_slice(Modality="CANARY", StudyDescription="CANARY", Rows=0)
    with pytest.raises(CbmirError) as caught:
        read(to_bytes(dataset).replace(b"MRI", b"CAN"), Limits())
    assert "ZZPHI" not in str(caught.value)
    assert caught.value.__cause__ is None


# ---- random damage ----


def mutate(file: bytes, random: np.random.Generator) -> bytes:
    """Return a file with some bytes changed, lost or doubled."""
    damaged = bytearray(file)
    # half of the damage is in the header, where it does more
    end = len(file) if random.random() < 0.5 else min(len(file), 1400)
    for position in random.integers(128, end, random.integers(1, 9)):
        damaged[position] = random.integers(256)
    if random.random() < 0.2:
        start = int(random.integers(128, len(file)))
        length = int(random.integers(1, 64))
        damaged[start : start + length] = damaged[start : start + length] * int(random.integers(0, 3))
    if random.random() < 0.1:
        del damaged[int(random.integers(1, len(file))) :]
    return bytes(damaged)


def survivors(file: bytes, seed: int, number: int) -> int:
    """Return how many damaged files still give a square; any other error than ours fails the test."""
    random = np.random.default_rng(seed)
    given = 0
    for turn in range(number):
        damaged = mutate(file, random)
        try:
            instance = read(damaged, Limits())
            found = prepare(instance.frame(instance.number_of_frames), 64)
        except CbmirError:
            continue
        except Exception as error:
            raise AssertionError(f"mutation {turn} of seed {seed}") from error
        assert np.isfinite(found).all(), turn
        assert found.min() >= 0, turn
        assert found.max() <= 1.001, turn
        given += 1
    return given


def compressed(syntax: Any) -> bytes:
    dataset = mr_slice(pixels=picture(1, size=48))
    dataset.compress(syntax, generate_instance_uid=False)
    return to_bytes(dataset)


@pytest.mark.parametrize(
    ("share", "make"),
    [
        (0.5, lambda: mr_file(pixels=picture(1, size=24))),
        (0.2, lambda: mr_file(pixels=picture(1, size=24).astype(np.int16), PixelPaddingValue=-5, RescaleSlope="1.5")),
        (0.15, lambda: to_bytes(enhanced([{"PixelMeasuresSequence": {"PixelSpacing": [1, 2]}}, {}]))),
        (0.15, lambda: compressed(RLELossless)),
    ],
    ids=["plain", "signed", "enhanced", "rle"],
)
def test_damaged_files_give_a_finite_square_or_a_reason(share: float, make: Callable[[], bytes]) -> None:
    number = math.ceil(share * MUTATIONS)
    given = survivors(make(), number, number)
    assert 0 < given < number


@pytest.mark.parametrize("syntax", ["JPEG2000Lossless", "RLELossless"])
def test_damaged_compressed_files_never_end_the_process(syntax: str) -> None:
    program = (
        "import faulthandler, sys; faulthandler.enable(); sys.path[:0] = sys.argv[1].split(',')\n"
        f"import importlib.util as u; from pydicom.uid import {syntax}\n"
        "spec = u.spec_from_file_location('t', sys.argv[2]); t = u.module_from_spec(spec); spec.loader.exec_module(t)\n"
        f"t.survivors(t.compressed({syntax}), 5, {MUTATIONS // 8}); print('alive')"
    )
    root = Path(__file__).parents[2]
    paths = ",".join(str(root / folder) for folder in ("plugin", "tests/support"))
    done = subprocess.run(
        [sys.executable, "-c", program, paths, __file__], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.stdout.strip() == "alive", done.stderr[-2000:]
    assert done.returncode == 0


def test_the_fuzzer_damages_what_it_is_given() -> None:
    file = mr_file()
    random = np.random.default_rng(0)
    assert len({mutate(file, random) for _ in range(50)}) == 50
    assert dcmread(io.BytesIO(file)).Modality == "MR"
