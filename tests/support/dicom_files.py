"""Small DICOM files for the tests: MR slices whose patients all bear a name that must never reach a log."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

CANARY = "ZZPHI^CANARY"
AXIAL = [1, 0, 0, 0, 1, 0]


def uid(*parts: object) -> UID:
    """Return the same UID for the same parts."""
    return UID(f"2.25.{_hash(parts)}")


def _hash(parts: tuple[object, ...]) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:15], "big")


def picture(seed: int, *, kind: int = 0, size: int = 64) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """Return a 12-bit picture; those of one kind resemble each other more than those of another."""
    shape = np.random.default_rng(1000 + kind)
    noise = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    grey = sum(
        shape.random() * np.sin(2 * np.pi * (shape.integers(1, 6) * x + shape.integers(1, 6) * y) + shape.random() * 6)
        for _ in range(4)
    )
    grey = grey + 0.1 * noise.standard_normal((size, size))
    scaled: np.ndarray[Any, np.dtype[np.uint16]] = ((grey - grey.min()) / np.ptp(grey) * 4095).astype(np.uint16)
    return scaled


def mr_slice(
    patient: str = "P1", study: int = 1, series: int = 1, number: int = 1, *, pixels: Any = None, **tags: Any
) -> Dataset:
    """Return an MR image; equal arguments give equal bytes."""
    if pixels is None:
        pixels = picture(_hash((patient, study, series, number)) % 2**32)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid(patient, study, series, number)
    dataset.StudyInstanceUID = uid(patient, study)
    dataset.SeriesInstanceUID = uid(patient, study, series)
    dataset.PatientID = patient
    dataset.PatientName = CANARY
    dataset.PatientSex = "F"
    dataset.PatientAge = "050Y"
    dataset.StudyDate = "20240131"
    dataset.Modality = "MR"
    dataset.SeriesDescription = "T1 TRA +C"
    dataset.InstanceNumber = number
    dataset.ImageOrientationPatient = AXIAL
    dataset.ImagePositionPatient = [0, 0, 5 * number]
    dataset.PixelSpacing = [1, 1]
    set_pixels(dataset, pixels)
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def set_pixels(dataset: Dataset, pixels: Any) -> None:
    """Give a dataset grey pixels: (rows, columns), or (frames, rows, columns)."""
    if pixels.ndim == 3:
        dataset.NumberOfFrames = len(pixels)
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)


def to_bytes(dataset: Dataset) -> bytes:
    """Return the file of a dataset."""
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def mr_file(*args: Any, **tags: Any) -> bytes:
    """Return the file of `mr_slice`."""
    return to_bytes(mr_slice(*args, **tags))
