"""A search as DICOM documents. The only file that knows highdicom, which takes a second to load: import it when needed.

Both documents belong to the study of the query. The structured report (Comprehensive SR, PS3.3 A.35.3, with the content
of TID 1500, PS3.16) names system, model, query and hits. The key object selection (PS3.3 A.35.4, TID 2010) marks the
query's slice. The hits are other patients' images: the report names them by UID, and neither document lists them as
evidence, as a viewer or archive takes evidence for images of the document's own patient.
"""

from __future__ import annotations

import io
import logging
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from highdicom import UID
from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
    UIDRefContentItem,
)
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from cbmir import __version__
from cbmir.instance import parsed, unreadable
from cbmir.records import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cbmir.records import CataloguedSlice
    from cbmir.regions import Region

# As of pydicom in instance.py: what highdicom warns of may quote a header.
logging.getLogger("highdicom").addHandler(logging.NullHandler())
logging.getLogger("highdicom").propagate = False
warnings.filterwarnings("ignore", module="highdicom")

SERIES_NUMBER = 9800
"""Far behind the pictures: a viewer opens a study with its first series."""

_SCHEME = "99CBMIR"
"""Codes of our own (PS3.3 8.2: private schemes begin with 99)."""

_TITLE = CodedConcept("similar-cases", _SCHEME, "Similar cases")
"""Not "Imaging Measurement Report" (126000, DCM), the usual title of TID 1500: OHIF takes every such report for marks
drawn on images, and fails at one that has none. Under another title it shows the text."""

_SIMILARITY = CodedConcept("cosine-similarity", _SCHEME, "Cosine similarity to the query")
_SOP_INSTANCE = CodedConcept("sop-instance-uid", _SCHEME, "SOP Instance UID")
_FRAME = CodedConcept("frame", _SCHEME, "Frame")

_IDENTITY = (
    *("SpecificCharacterSet", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "AccessionNumber", "StudyID", "StudyDescription", "ReferringPhysicianName"),
)
"""What makes a document one of the query's patient and study: copied byte for byte, as a PatientID that differs in one
of them would be another patient."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A search to be kept: the slice asked about (or a region of it), and the hits chosen, with their similarities."""

    query: CataloguedSlice
    region: Region | None
    hits: Sequence[tuple[CataloguedSlice, float]]
    model_id: str
    model_name: str
    disclaimer: str


@dataclass(frozen=True, slots=True)
class Document:
    """A DICOM file, and the UIDs that it was given."""

    sop_instance_uid: str
    series_instance_uid: str
    file: bytes


def documents(kept: Kept, dicom: bytes) -> tuple[Document, Document]:
    """Return report and key object selection of a search; `dicom` is the file of the query's instance.

    Raises
    ------
    UnreadableSlice
        The query's header is damaged.

    """
    with unreadable("header"):
        source = parsed(dicom)
        header = _header(source)
        report = ComprehensiveSR(
            evidence=[header],
            content=_report(kept, header),
            is_complete=True,
            # what it says of the patient and study is copied below: highdicom would quote a name in its warnings
            **_about("CBMIR similar cases", SERIES_NUMBER, kept),
        )
        selection = KeyObjectSelectionDocument(
            evidence=[header],
            content=_selection(kept, header),
            **_about("CBMIR key objects", SERIES_NUMBER + 1, kept),
        )
        return _written(report, source), _written(selection, source)


def _about(series: str, number: int, kept: Kept) -> dict[str, Any]:
    """Return what highdicom is told of either document."""
    return {
        "series_instance_uid": UID(),
        "series_number": number,
        "sop_instance_uid": UID(),
        "instance_number": 1,
        "manufacturer": SYSTEM,
        "manufacturer_model_name": kept.model_name,
        "software_versions": __version__,
        "series_description": series,
    }


def _header(source: Dataset) -> Dataset:
    """Return a dataset with the UIDs of an image and nothing of whose it is."""
    header = Dataset()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        setattr(header, keyword, str(source[keyword].value))
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"):
        setattr(header, keyword, "")
    header.StudyDate = header.StudyTime = None
    # by these highdicom tells an image from other objects
    header.Rows = header.Columns = 1
    return header


def _report(kept: Kept, header: Dataset) -> MeasurementReport:
    """Return the content: who compared (TID 1002), what for, and a measurement group (TID 1501) for each hit."""
    content = MeasurementReport(
        title=_TITLE,
        observation_context=ObservationContext(observer_device_context=_observer(kept)),
        procedure_reported=codes.cid100.ImagingProcedure,
        imaging_measurements=[_group(kept, header, rank) for rank in range(1, len(kept.hits) + 1)],
    )
    # a row more than TID 1500 has, which it allows ("extensible")
    content[0].ContentSequence.insert(
        len(content[0].ContentSequence) - 1,
        TextContentItem(codes.DCM.Comment, _sentence(kept), RelationshipTypeValues.CONTAINS),
    )
    return content


def _sentence(kept: Kept) -> str:
    what = "A region of a slice" if kept.region else "A slice"
    return (
        f"{kept.disclaimer} {what} of this study was searched with; the cases below look alike to the network "
        f"{kept.model_name}, and a reader chose to keep them. Alike pictures can have different causes."
    )


def _observer(kept: Kept) -> ObserverContext:
    device = DeviceObserverIdentifyingAttributes(
        uid=_uid_of(f"{SYSTEM} {kept.model_id}"),
        name=SYSTEM,
        manufacturer_name=SYSTEM,
        model_name=kept.model_name,
        serial_number=kept.model_id,
    )
    return ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)


def _uid_of(text: str) -> str:
    """Return the same UID for the same text."""
    return generate_uid(entropy_srcs=[text])


def _group(kept: Kept, header: Dataset, rank: int) -> MeasurementsAndQualitativeEvaluations:
    """Return what is said of one hit: how similar it is to the source image, and which image it is."""
    hit, similarity = kept.hits[rank - 1]
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=UID(), identifier=f"Similar case {rank}"),
        algorithm_id=AlgorithmIdentification(SYSTEM, __version__, _parameters(kept)),
        measurements=[Measurement(_SIMILARITY, round(similarity, 4), codes.UCUM.NoUnits)],
        source_images=[
            SourceImageForMeasurementGroup(
                header.SOPClassUID,
                header.SOPInstanceUID,
                [kept.query.frame] if kept.query.number_of_frames > 1 else None,
            )
        ],
    )
    items = group[0].ContentSequence
    for name, uid in (
        (codes.DCM.StudyInstanceUID, hit.series.study_instance_uid),
        (codes.DCM.SeriesInstanceUID, hit.series.series_instance_uid),
        (_SOP_INSTANCE, hit.sop_instance_uid),
    ):
        items.append(UIDRefContentItem(name, uid, RelationshipTypeValues.CONTAINS))
    if hit.number_of_frames > 1:
        items.append(TextContentItem(_FRAME, str(hit.frame), RelationshipTypeValues.CONTAINS))
    return group


def _parameters(kept: Kept) -> list[str]:
    parameters = [f"model {kept.model_id}"]
    if kept.region:
        box = (kept.region.x, kept.region.y, kept.region.width, kept.region.height)
        parameters.append(f"region x, y, width, height in pixels: {', '.join(f'{side:g}' for side in box)}")
    return parameters


def _selection(kept: Kept, header: Dataset) -> KeyObjectSelection:
    content = KeyObjectSelection(
        document_title=codes.cid7010.OfInterest,
        referenced_objects=[header],
        observer_device_context=_observer(kept),
        description=f"Searched with for similar cases. {kept.disclaimer}",
    )
    if kept.query.number_of_frames > 1:
        # highdicom names no frames here
        content[0].ContentSequence[-1].ReferencedSOPSequence[0].ReferencedFrameNumber = kept.query.frame
    return content


def _separate(container: Dataset) -> None:
    """Have viewers show each item by itself and with its name: highdicom's containers read as one running text."""
    if "ContinuityOfContent" in container:
        container.ContinuityOfContent = "SEPARATE"
    for item in container.get("ContentSequence", []):
        _separate(item)


def _written(document: Dataset, source: Dataset) -> Document:
    """Return the file of a document, which becomes one of the source's patient and study."""
    for keyword in _IDENTITY:
        if keyword not in source:
            continue
        element: Any = source.get_item(keyword)
        if isinstance(element, RawDataElement):
            element = element._replace(VR=dictionary_VR(element.tag))
        if element.value:
            document[element.tag] = element
    _separate(document)
    # so that the raw values are written as they are, and not decoded and encoded again
    document.set_original_encoding(
        is_implicit_vr=False, is_little_endian=True, character_encoding=source.original_character_set
    )
    file = io.BytesIO()
    document.save_as(file, enforce_file_format=True)
    return Document(str(document.SOPInstanceUID), str(document.SeriesInstanceUID), file.getvalue())
