from __future__ import annotations

import pytest
from dicom_files import mr_file, mr_slice
from orthanc_double import OrthancDouble

from cbmir.archive import Archive
from cbmir.errors import NotFound, Unavailable, UnreadableSlice, UnsupportedSlice
from cbmir.ingest.reader import MEGABYTE, Reader
from cbmir.settings import Settings


@pytest.fixture
def orthanc() -> OrthancDouble:
    return OrthancDouble()


def reader(orthanc: OrthancDouble, **settings: object) -> Reader:
    return Reader(Archive(orthanc), Settings(**settings))  # type: ignore[arg-type]


def test_an_instance_comes_with_its_place_in_the_archive(orthanc: OrthancDouble) -> None:
    dataset = mr_slice("P1", 2, 3)
    stored = orthanc.store(dataset)
    instance, series = reader(orthanc).open(stored)
    assert (series.orthanc_id, series.study_orthanc_id, series.patient_orthanc_id) == orthanc.above(stored)
    assert series.patient == series.patient_orthanc_id
    assert series.study_instance_uid == dataset.StudyInstanceUID
    assert series.series_instance_uid == dataset.SeriesInstanceUID
    assert series.facts == instance.facts
    assert instance.sop_instance_uid == dataset.SOPInstanceUID


def test_patients_without_an_id_are_not_taken_for_one(orthanc: OrthancDouble) -> None:
    found = [reader(orthanc).open(orthanc.store(mr_slice("", study)))[1] for study in (1, 2)]
    assert found[0].patient_orthanc_id == found[1].patient_orthanc_id
    assert found[0].patient != found[1].patient
    assert found[0].patient == found[0].study_orthanc_id


def test_slices_of_one_study_without_a_patient_id_are_one_patient(orthanc: OrthancDouble) -> None:
    found = [reader(orthanc).open(orthanc.store(mr_slice("", 1, series)))[1] for series in (1, 2)]
    assert found[0].patient == found[1].patient


def test_a_series_is_asked_for_once(orthanc: OrthancDouble) -> None:
    stored = [orthanc.store(mr_slice(number=number)) for number in range(3)]
    same = reader(orthanc)
    for one in stored:
        same.open(one)
    assert sum(uri.startswith("/series/") for uri in orthanc.calls) == 1


def test_a_file_too_large_is_skipped_before_it_is_fetched(orthanc: OrthancDouble) -> None:
    stored = orthanc.store(mr_file() + b"\0" * MEGABYTE)
    with pytest.raises(UnsupportedSlice, match="MaxInstanceMegabytes"):
        reader(orthanc, max_instance_megabytes=1).open(stored)
    assert f"file of {stored}" not in orthanc.calls


def test_the_settings_limit_what_is_decoded(orthanc: OrthancDouble) -> None:
    stored = orthanc.store(mr_slice(Modality="CT"))
    with pytest.raises(UnsupportedSlice, match="modality CT"):
        reader(orthanc).open(stored)
    assert reader(orthanc, modalities=("CT",)).open(stored)
    with pytest.raises(UnsupportedSlice, match="MaxPixelsPerFrame"):
        reader(orthanc, modalities=("CT",), max_pixels_per_frame=64).open(stored)


def test_each_kind_of_failure_is_told_apart(orthanc: OrthancDouble) -> None:
    stored = orthanc.store(mr_slice())
    orthanc.failing = {stored: 1}
    with pytest.raises(Unavailable):
        reader(orthanc).open(stored)
    orthanc.files[stored] = b"no DICOM"
    with pytest.raises(UnreadableSlice):
        reader(orthanc).open(stored)
    orthanc.delete(stored)
    with pytest.raises(NotFound):
        reader(orthanc).open(stored)
