"""DICOM objects: a study of the demo cohort as MR Image Storage, a lone picture as Secondary Capture Image Storage."""

from __future__ import annotations

import io
import uuid
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage, SecondaryCaptureImageStorage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from demo_cohort.cohort import Study

NAMESPACE = uuid.UUID("5e1f3e0c-6d0b-5b0a-9a41-7b1f2c7d8e90")
"""Root of all UIDs below."""

EDITION = "1"
"""Raise it whenever pictures change: a UID must never name two different pictures."""

ON_SYNTHETIC = "Synthetic picture of an invented patient, computed by orthanc-cbmir. Not for diagnosis."
"""ImageComments of the demo cohort."""

TIMING: dict[str, dict[str, float | int | str]] = {
    "T1C": {"RepetitionTime": 550, "EchoTime": 12, "EchoTrainLength": 1, "FlipAngle": 90},
    "T2": {"RepetitionTime": 4200, "EchoTime": 98, "EchoTrainLength": 15, "FlipAngle": 150},
}
"""MR Image module (PS3.3 C.8.3.1) by sequence, ms and degrees."""

DESCRIPTIONS = {"T1C": "T1 SE TRA +C", "T2": "T2 TSE TRA"}
"""SeriesDescription by sequence."""


def uid(*names: object) -> UID:
    """Return the UID of a thing with these names: under 2.25, from a UUID (PS3.5 B.2), the same every time."""
    return UID(f"2.25.{uuid.uuid5(NAMESPACE, '/'.join(str(name) for name in names)).int}")


def mr_objects(study: Study, seed: int) -> Iterator[tuple[str, Dataset]]:
    """Yield (relative file name, object) for each slice of each series, feet first."""
    names = (EDITION, seed, study.patient.number, study.order)
    for number, (sequence, pictures) in enumerate(study.series.items(), 1):
        for index, picture in enumerate(pictures):
            one = _file(MRImageStorage, uid(*names, sequence, index))
            one.update(_patient_and_study(study, uid(*names)))
            one.update(_series(study, sequence, number, uid(*names, sequence), uid(*names, "frame of reference")))
            one.update(_plane(study, index))
            one.update(_mr(study, sequence))
            put_pixels(one, picture, 12)
            _put_window(one, pictures)
            yield f"{patient_id(study)}/{study.date}/{number}-{sequence}/{index + 1:03d}.dcm", one


def patient_id(study: Study) -> str:
    """Return the PatientID, such as DEMO-001."""
    return f"DEMO-{study.patient.number + 1:03d}"


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
    one = _file(SecondaryCaptureImageStorage, uid(*names))
    empty = (
        "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
        "AccessionNumber", "ReferringPhysicianName", "SeriesNumber", "InstanceNumber", "PatientOrientation",
    )  # fmt: skip
    for keyword in empty:
        setattr(one, keyword, None)
    one.Modality = "MR"
    one.ConversionType = "WSD"
    one.PatientIdentityRemoved = "YES"
    one.DeidentificationMethod = "By the publisher of the pictures"
    one.ImageType = ["DERIVED", "SECONDARY"]
    for keyword, value in about.items():
        setattr(one, keyword, value)
    put_pixels(one, picture, picture.dtype.itemsize * 8)
    if picture.ndim == 2:
        _put_window(one, [picture])
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


def encoded(one: Dataset) -> bytes:
    """Return the object as a DICOM file, Explicit VR Little Endian."""
    buffer = io.BytesIO()
    one.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _file(sop_class: UID, sop_instance_uid: UID) -> FileDataset:
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


def _patient_and_study(study: Study, study_instance_uid: UID) -> Dataset:
    """Return the Patient, General Study and Patient Study modules (PS3.3 C.7.1.1, C.7.2.1, C.7.2.2)."""
    one = Dataset()
    one.PatientName, one.PatientID = study.patient.name, patient_id(study)
    one.PatientBirthDate = f"{int(study.date[:4]) - study.age - 1}0701"
    one.PatientSex = study.patient.sex
    one.PatientAge = f"{study.age:03d}Y"
    one.PatientIdentityRemoved = "YES"
    one.DeidentificationMethod = "Synthetic: there is no such person"
    one.StudyInstanceUID = study_instance_uid
    one.StudyDate, one.StudyTime = study.date, study.time
    one.StudyID = f"{study.patient.number + 1}{'AB'[study.order]}"
    one.AccessionNumber = f"D{study.patient.number + 1:04d}{study.order}"
    one.ReferringPhysicianName = None
    one.StudyDescription = "MR BRAIN WITH CONTRAST"
    return one


def _series(study: Study, sequence: str, number: int, series_uid: UID, frame_of_reference_uid: UID) -> Dataset:
    """Return the General Series, Frame of Reference and General Equipment modules (PS3.3 C.7.3.1, C.7.4.1, C.7.5.1)."""
    one = Dataset()
    one.Modality = "MR"
    one.SeriesInstanceUID = series_uid
    one.SeriesNumber = number
    one.SeriesDescription = DESCRIPTIONS[sequence]
    one.ProtocolName = DESCRIPTIONS[sequence]
    one.SeriesDate, one.SeriesTime = study.date, study.time
    one.BodyPartExamined = "BRAIN"
    one.PatientPosition = "HFS"
    one.FrameOfReferenceUID = frame_of_reference_uid
    one.PositionReferenceIndicator = None
    one.Manufacturer, one.ManufacturerModelName = study.scanner.manufacturer, study.scanner.model
    one.StationName = study.scanner.station
    one.InstitutionName = "Demo Hospital"
    one.SoftwareVersions = f"orthanc-cbmir demo {EDITION}"
    return one


def _plane(study: Study, index: int) -> Dataset:
    """Return the General Image and Image Plane modules (PS3.3 C.7.6.1, C.7.6.2)."""
    one, stack, matrix = Dataset(), study.stack, study.scanner.matrix
    one.InstanceNumber = index + 1
    one.ContentDate, one.ContentTime = study.date, study.time
    one.AcquisitionDate, one.AcquisitionTime = study.date, study.time
    one.AcquisitionNumber = 1
    one.ImageComments = ON_SYNTHETIC
    one.BurnedInAnnotation = "NO"
    one.PixelSpacing = [_decimal(stack.field_of_view / matrix)] * 2
    one.ImageOrientationPatient = [_decimal(value) for value in stack.row + stack.column]
    corner = stack.corner(index, matrix)
    one.ImagePositionPatient = [_decimal(value) for value in corner]
    one.SliceThickness = _decimal(stack.thickness)
    one.SpacingBetweenSlices = _decimal(stack.spacing)
    one.SliceLocation = _decimal(float(np.dot(corner, stack.normal)))
    return one


def _mr(study: Study, sequence: str) -> Dataset:
    """Return the MR Image and Contrast/Bolus modules (PS3.3 C.8.3.1, C.7.6.4)."""
    one = Dataset()
    one.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    one.ScanningSequence, one.SequenceVariant = "SE", "SK" if sequence == "T2" else "NONE"
    one.ScanOptions = None
    one.MRAcquisitionType = "2D"
    for keyword, value in TIMING[sequence].items():
        setattr(one, keyword, value)
    one.MagneticFieldStrength = study.scanner.tesla
    one.ImagedNucleus = "1H"
    one.NumberOfAverages = 1
    one.PercentPhaseFieldOfView = 100
    if sequence == "T1C":
        one.ContrastBolusAgent = "Gadolinium (synthetic)"
        one.ContrastBolusRoute = "IV"
    return one


def _put_window(one: Dataset, pictures: Sequence[NDArray[np.generic]]) -> None:
    """Set the VOI LUT module (PS3.3 C.11.2) so that nearly all of the series is between black and white."""
    low, high = np.percentile(np.stack(pictures), (1, 99.3))
    one.WindowCenter = round((float(low) + float(high)) / 2)
    one.WindowWidth = max(1, round(float(high) - float(low)))


def _decimal(value: float) -> str:
    """Return a number as Decimal String of at most 16 characters (PS3.5 6.2)."""
    return f"{value + 0.0:.8g}" if abs(value) >= 1e-4 else "0"
