from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from dicom_files import mr_slice, to_bytes
from highdicom.ko import KeyObjectSelectionDocument
from highdicom.sr import ComprehensiveSR, ValueTypeValues
from parts import series
from pydicom import dcmread
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.uid import ImplicitVRLittleEndian

from cbmir.errors import UnreadableSlice, UnsupportedSlice
from cbmir.records import CataloguedSlice
from cbmir.regions import Region
from cbmir.reports.report_text import first_lines
from cbmir.saving.documents import Kept, documents

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

DISCLAIMER = "For finding reference cases. Not for diagnosis."
MODEL = "tiny-0123456789ab"


def kept(source: Dataset, *, frames: int = 1, frame: int = 1, region: Region | None = None) -> Kept:
    query = CataloguedSlice(1, "q", frame, frames, str(source.SOPInstanceUID), series())
    hits = [
        (CataloguedSlice(2, "h", 1, 1, "1.9.7", series("P2", 2)), 0.93214),
        (CataloguedSlice(3, "i", 2, 3, "1.9.8", series("P3", 3)), -0.25),
    ]
    return Kept(query, region, hits, MODEL, "tiny", DISCLAIMER)


def read(source: Dataset, **options: Any) -> tuple[ComprehensiveSR, KeyObjectSelectionDocument]:
    report, selection = (dcmread(io.BytesIO(one.file)) for one in documents(kept(source, **options), to_bytes(source)))
    return ComprehensiveSR.from_dataset(report), KeyObjectSelectionDocument.from_dataset(selection)


def within(document: ComprehensiveSR | KeyObjectSelectionDocument, kind: ValueTypeValues) -> list[Any]:
    """Return the content items of a kind, in reading order."""
    found: list[Any] = []

    def walk(item: Any) -> None:
        if item.value_type == kind:
            found.append(item)
        for child in item.get("ContentSequence", []):
            walk(child)

    walk(document.content[0])
    return found


def items(report: ComprehensiveSR, kind: ValueTypeValues) -> list[tuple[str, Any]]:
    return [(item.name.meaning, item.value) for item in within(report, kind)]


def test_both_belong_to_the_study_of_the_query_and_to_series_of_their_own() -> None:
    source = mr_slice("P1", PatientName="Müller^Änne", SpecificCharacterSet="ISO_IR 100", StudyID="7")
    for document in read(source):
        for keyword in ("PatientID", "PatientName", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyID"):
            assert document[keyword].value == source[keyword].value, keyword
        assert document.SeriesInstanceUID != source.SeriesInstanceUID
        assert document.SeriesDescription.startswith("CBMIR")
        assert document.ContentDate
    report, selection = read(source)
    assert (report.Modality, selection.Modality) == ("SR", "KO")
    assert report.SeriesInstanceUID != selection.SeriesInstanceUID


def test_each_has_a_uid_of_its_own_each_time() -> None:
    source = mr_slice()
    uids = {one.sop_instance_uid for _ in range(3) for one in documents(kept(source), to_bytes(source))}
    assert len(uids) == 6


def test_the_report_names_system_model_query_hits_and_similarities() -> None:
    source = mr_slice()
    report, _ = read(source)
    texts = items(report, ValueTypeValues.TEXT)
    assert ("Device Observer Name", "orthanc-cbmir") in texts
    assert ("Device Observer Serial Number", MODEL) in texts
    assert [value for name, value in texts if name == "Tracking Identifier"] == ["Similar case 1", "Similar case 2"]
    assert [value for name, value in texts if name == "Frame"] == ["2"]
    assert [value for _, value in items(report, ValueTypeValues.NUM)] == [0.9321, -0.25]
    uids = items(report, ValueTypeValues.UIDREF)
    assert [uid for name, uid in uids if name == "SOP Instance UID"] == ["1.9.7", "1.9.8"]
    assert [uid for name, uid in uids if name == "Study Instance UID"] == ["1.2", "1.3"]
    images = within(report, ValueTypeValues.IMAGE)
    assert {image.referenced_sop_instance_uid for image in images} == {source.SOPInstanceUID}


def test_each_item_is_shown_by_itself_and_with_its_name() -> None:
    for document in read(mr_slice()):
        assert {item.ContinuityOfContent for item in within(document, ValueTypeValues.CONTAINER)} == {"SEPARATE"}


def test_the_report_says_that_it_is_not_for_diagnosing() -> None:
    report, selection = read(mr_slice())
    (comment,) = [value for name, value in items(report, ValueTypeValues.TEXT) if name == "Comment"]
    assert comment.startswith(DISCLAIMER)
    assert DISCLAIMER in within(selection, ValueTypeValues.TEXT)[-1].value


def test_no_other_patients_image_is_listed_as_evidence() -> None:
    source = mr_slice()
    for document in read(source):
        assert "PertinentOtherEvidenceSequence" not in document
        (evidence,) = document.CurrentRequestedProcedureEvidenceSequence
        assert evidence.StudyInstanceUID == source.StudyInstanceUID
        (listed,) = evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence
        assert listed.ReferencedSOPInstanceUID == source.SOPInstanceUID


def test_a_frame_and_a_region_are_named() -> None:
    report, selection = read(mr_slice(), frames=3, frame=2, region=Region(1, 2.5, 30, 4))
    (image, *_) = within(report, ValueTypeValues.IMAGE)
    assert image.referenced_frame_numbers == [2]
    (marked,) = selection.content.get_references()
    assert marked.ReferencedSOPSequence[0].ReferencedFrameNumber == 2
    assert ("Algorithm Parameters", "region x, y, width, height in pixels: 1, 2.5, 30, 4") in items(
        report, ValueTypeValues.TEXT
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "tags",
    [
        {"PatientName": "single", "PatientSex": "unknown", "PatientBirthDate": "yesterday", "StudyTime": "noon"},
        {"PatientName": "", "PatientID": " 7 \\ 8 ", "StudyDate": ""},
        {"PatientName": "Yamada^Tarou=山田^太郎", "SpecificCharacterSet": ["", "ISO 2022 IR 87"]},
        {"SpecificCharacterSet": "NO SUCH SET", "StudyDescription": "a" * 200},
    ],
    ids=["odd values", "little known", "several alphabets", "unknown alphabet"],
)
def test_whatever_the_query_says_of_its_patient_is_copied_to_the_byte(tags: dict[str, Any]) -> None:
    source = mr_slice("P1")
    for keyword, value in tags.items():
        source[keyword] = DataElement(keyword, dictionary_VR(keyword), value, validation_mode=IGNORE)
    file = to_bytes(source)
    read_back = dcmread(io.BytesIO(file))
    for one in documents(kept(source), file):
        document = dcmread(io.BytesIO(one.file))
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"):
            if read_back.get_item(keyword) is not None and read_back.get_item(keyword).value:
                assert document.get_item(keyword).value == read_back.get_item(keyword).value


def test_the_transfer_syntax_of_the_query_does_not_matter() -> None:
    source = mr_slice("P1", PatientBirthDate="19700101")
    source.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    for document in read(source):
        assert (document.PatientID, document.PatientBirthDate) == ("P1", "19700101")


def test_a_damaged_query_is_said_to_be_one() -> None:
    source = mr_slice()
    with pytest.raises(UnreadableSlice):
        documents(kept(source), b"no DICOM at all")


def test_a_saved_search_is_no_report_to_be_shown_on_cards() -> None:
    source = mr_slice()
    for document in documents(kept(source), to_bytes(source)):
        with pytest.raises(UnsupportedSlice):
            first_lines(document.file)
