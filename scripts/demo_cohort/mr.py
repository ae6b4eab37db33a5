"""A study of the demo cohort as MR Image Storage objects (PS3.3 A.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID, MRImageStorage

from demo_cohort.files import new_file, put_pixels, put_window, uid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demo_cohort.cohort import Study

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


def mr_objects(study: Study, seed: int) -> Iterator[tuple[str, Dataset]]:
    """Yield (relative file name, object) for each slice of each series, feet first."""
    names = (EDITION, seed, study.patient.number, study.order)
    for number, (sequence, pictures) in enumerate(study.series.items(), 1):
        for index, picture in enumerate(pictures):
            one = new_file(MRImageStorage, uid(*names, sequence, index))
            one.update(_patient_and_study(study, uid(*names)))
            one.update(_series(study, sequence, number, uid(*names, sequence), uid(*names, "frame of reference")))
            one.update(_plane(study, index))
            one.update(_mr(study, sequence))
            put_pixels(one, picture, 12)
            put_window(one, pictures)
            yield f"{patient_id(study)}/{study.date}/{number}-{sequence}/{index + 1:03d}.dcm", one


def patient_id(study: Study) -> str:
    """Return the PatientID, such as DEMO-001."""
    return f"DEMO-{study.patient.number + 1:03d}"


def _patient_and_study(study: Study, study_instance_uid: UID) -> Dataset:
    """Return the Patient, General Study and Patient Study modules (PS3.3 C.7.1.1, C.7.2.1, C.7.2.2)."""
    one = Dataset()
    one.PatientName, one.PatientID = study.patient.name, patient_id(study)
    one.PatientBirthDate = study.patient.born
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


def _decimal(value: float) -> str:
    """Return a number as Decimal String of at most 16 characters (PS3.5 6.2)."""
    return f"{value + 0.0:.8g}" if abs(value) >= 1e-4 else "0"
