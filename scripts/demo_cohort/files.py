"""DICOM files in general: UIDs, pixels, window, encoding, and lone pictures as Secondary Capture."""

from __future__ import annotations

import io
import uuid
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NAMESPACE = uuid.UUID("5e1f3e0c-6d0b-5b0a-9a41-7b1f2c7d8e90")
"""Root of all UIDs below."""


def uid(*names: object) -> UID:
    """Return the UID of a thing with these names: under 2.25, from a UUID (PS3.5 B.2), the same every time."""
    return UID(f"2.25.{uuid.uuid5(NAMESPACE, '/'.join(str(name) for name in names)).int}")


def new_file(sop_class: UID, sop_instance_uid: UID) -> FileDataset:
    """Return an object with the SOP Common module and file meta information."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = sop_instance_uid
    meta.ImplementationClassUID = uid("implementation")
    meta.ImplementationVersionName = "CBMIR_DEMO"
    one = FileDataset("", {}, preamble=b"\0" * 128, file_meta=meta)
    one.SpecificCharacterSet = "ISO_IR 192"
    one.SOPClassUID, one.SOPInstanceUID = sop_class, sop_instance_uid
    return one


def put_pixels(one: Dataset, picture: NDArray[np.generic], bits: int) -> None:
    """Set the Image Pixel module (PS3.3 C.7.6.3) to the very values of a picture, `bits` of which are used."""
    if picture.dtype not in (np.uint8, np.uint16, np.int16):
        raise TypeError(f"pixels of type {picture.dtype} cannot be stored")
    one.Rows, one.Columns = picture.shape[:2]
    one.SamplesPerPixel = 1 if picture.ndim == 2 else 3
    one.PhotometricInterpretation = "MONOCHROME2" if picture.ndim == 2 else "RGB"
    if picture.ndim == 3:
        one.PlanarConfiguration = 0
    one.BitsAllocated = picture.dtype.itemsize * 8
    one.BitsStored, one.HighBit = bits, bits - 1
    one.PixelRepresentation = int(picture.dtype == np.int16)
    data = picture.astype(picture.dtype.newbyteorder("<"), copy=False).tobytes()
    # values have even length (PS3.5 7.1.1)
    one.add_new("PixelData", "OB" if one.BitsAllocated == 8 else "OW", data + b"\0" * (len(data) % 2))


def put_window(one: Dataset, pictures: Sequence[NDArray[np.generic]]) -> None:
    """Set the VOI LUT module (PS3.3 C.11.2) so that nearly all of the series is between black and white."""
    low, high = np.percentile(np.stack(pictures), (1, 99.3))
    one.WindowCenter = round((float(low) + float(high)) / 2)
    one.WindowWidth = max(1, round(float(high) - float(low)))


def encoded(one: Dataset) -> bytes:
    """Return the object as a DICOM file, Explicit VR Little Endian."""
    buffer = io.BytesIO()
    one.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def capture(names: tuple[object, ...], picture: NDArray[np.generic], about: dict[str, object]) -> Dataset:
    """Return a picture without known geometry as Secondary Capture (PS3.3 A.8.1).

    Parameters
    ----------
    names
        What the SOPInstanceUID is made of.
    picture
        (rows, columns) uint8, uint16 or int16, stored unchanged, or (rows, columns, 3) uint8 RGB.
    about
        Values by keyword that override the empty ones: PatientID, StudyInstanceUID, SeriesInstanceUID, …

    """
    one = new_file(SecondaryCaptureImageStorage, uid(*names))
    empty = (
        "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
        "AccessionNumber", "ReferringPhysicianName", "SeriesNumber", "InstanceNumber", "PatientOrientation",
    )  # fmt: skip
    for keyword in empty:
        setattr(one, keyword, None)
    one.Modality = "MR"
    one.ConversionType = "WSD"
    one.ImageType = ["DERIVED", "SECONDARY"]
    for keyword, value in about.items():
        setattr(one, keyword, value)
    put_pixels(one, picture, picture.dtype.itemsize * 8)
    if picture.ndim == 2:
        put_window(one, [picture])
    return one
