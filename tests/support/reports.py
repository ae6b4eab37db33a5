"""Reports for the tests: structured ones, and PDFs that are put together byte by byte."""

from __future__ import annotations

from typing import Any

from dicom_files import CANARY, uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import BasicTextSRStorage, EncapsulatedPDFStorage, ExplicitVRLittleEndian


def structured_report(patient: str = "P1", study: int = 1, *, content: Any = None, **tags: Any) -> Dataset:
    """Return a Basic Text SR (PS3.16 TID 2000); content items default to findings and a conclusion."""
    dataset = _document(patient, study, BasicTextSRStorage, "SR", 900)
    dataset.ValueType = "CONTAINER"
    dataset.ContinuityOfContent = "SEPARATE"
    dataset.ConceptNameCodeSequence = _code("126000", "Imaging Report")
    dataset.ContentSequence = Sequence(
        [
            text("Language", "English", "HAS CONCEPT MOD"),
            container("Findings", text("Finding", "Enhancing mass at the falx.\r\n\r\nNo midline shift.")),
            container("Impressions", code("Impression", "Meningioma")),
        ]
        if content is None
        else content
    )
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def encapsulated_pdf(patient: str = "P1", study: int = 1, *, pdf: bytes | None = None, **tags: Any) -> Dataset:
    """Return an encapsulated PDF (PS3.3 A.45.1)."""
    dataset = _document(patient, study, EncapsulatedPDFStorage, "DOC", 901)
    document = pdf_of("Enhancing mass at the falx.", "No midline shift.") if pdf is None else pdf
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def text(name: str, value: str, relationship: str = "CONTAINS") -> Dataset:
    """Return a content item that is a text."""
    item = _item("TEXT", name, relationship)
    item.TextValue = value
    return item


def code(name: str, meaning: str, relationship: str = "CONTAINS") -> Dataset:
    """Return a content item that is a code."""
    item = _item("CODE", name, relationship)
    item.ConceptCodeSequence = _code("1", meaning)
    return item


def container(name: str, *items: Dataset) -> Dataset:
    """Return a content item that holds others."""
    item = _item("CONTAINER", name, "CONTAINS")
    item.ContinuityOfContent = "SEPARATE"
    item.ContentSequence = Sequence(items)
    return item


def pdf_of(*lines: str) -> bytes:
    """Return a PDF of one page with these lines as its text layer (ISO 32000-1 7.5)."""
    shown = "".join(f"({line}) Tj 0 -16 Td " for line in lines)
    stream = f"BT /F1 12 Tf 50 700 Td {shown}ET".encode("latin-1")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R>>>>>>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    file, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(file))
        file += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    return file + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % (size, table, size, len(file))
    )


def _document(patient: str, study: int, sop_class: str, modality: str, series: int) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid(patient, study, series, 1)
    dataset.StudyInstanceUID = uid(patient, study)
    dataset.SeriesInstanceUID = uid(patient, study, series)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientID = patient
    dataset.PatientName = CANARY
    dataset.StudyDate = "20240131"
    dataset.Modality = modality
    return dataset


def _item(kind: str, name: str, relationship: str) -> Dataset:
    item = Dataset()
    item.RelationshipType = relationship
    item.ValueType = kind
    item.ConceptNameCodeSequence = _code("1", name)
    return item


def _code(value: str, meaning: str) -> Sequence:
    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = "DCM"
    item.CodeMeaning = meaning
    return Sequence([item])
