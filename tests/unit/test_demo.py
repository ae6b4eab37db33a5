"""The demo cohort, the wrapping of other people's pictures, and sending: scripts/demo.py and scripts/demo_cohort."""

from __future__ import annotations

import csv
import io
import json
import threading
import zipfile
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar

import h5py
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, SecondaryCaptureImageStorage

import demo
from demo_cohort import cohort, lesions
from demo_cohort.canvas import Canvas
from demo_cohort.download import download
from demo_cohort.fields import Points
from demo_cohort.skull import cavity
from sources import label_table
from sources.orthanc_client import Orthanc, OrthancError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom.dataset import Dataset

TYPE_1 = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "FrameOfReferenceUID",
    "ImageType", "PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient", "SamplesPerPixel",
    "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "PixelData", "ScanningSequence", "SequenceVariant", "DeidentificationMethod", "WindowCenter", "WindowWidth",
    "SpecificCharacterSet",
)  # fmt: skip
"""Attributes of the MR Image IOD (PS3.3 A.4) that need a value, type 1C ones whose condition holds included."""

TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "ReferringPhysicianName", "StudyID", "AccessionNumber", "SeriesNumber", "PatientPosition",
    "PositionReferenceIndicator", "Manufacturer", "InstanceNumber", "SliceThickness", "ScanOptions",
    "MRAcquisitionType", "RepetitionTime", "EchoTime", "EchoTrainLength", "ContentDate", "ContentTime",
)  # fmt: skip
"""Attributes that may be empty but not absent."""

SECONDARY_CAPTURE = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "ConversionType",
    "SamplesPerPixel", "Rows", "Columns", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "PixelData",
)  # fmt: skip
"""Attributes of the Secondary Capture Image IOD (PS3.3 A.8.1) that need a value."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    assert demo.main(["--out", str(folder), "--patients", "3"]) == 0
    return folder


@pytest.fixture(scope="module")
def slices(made: Path) -> list[Dataset]:
    return [pydicom.dcmread(path) for path in sorted(made.rglob("*.dcm"))]


def series_of(slices: list[Dataset]) -> list[list[Dataset]]:
    found: dict[str, list[Dataset]] = defaultdict(list)
    for one in slices:
        found[one.SeriesInstanceUID].append(one)
    return [sorted(series, key=lambda one: one.InstanceNumber) for series in found.values()]


def wrapped(folder: Path) -> list[Dataset]:
    return [pydicom.dcmread(path) for path in sorted(folder.rglob("*.dcm"))]


def test_a_second_run_writes_the_same_bytes(made: Path, tmp_path: Path) -> None:
    assert demo.main(["--out", str(tmp_path), "--patients", "1"]) == 0
    files = [path.relative_to(tmp_path) for path in tmp_path.rglob("*.dcm")]
    assert len(files) >= 7
    assert all((made / name).read_bytes() == (tmp_path / name).read_bytes() for name in files)


def test_another_seed_makes_other_patients_under_other_uids(made: Path, tmp_path: Path) -> None:
    assert demo.main(["--out", str(tmp_path), "--patients", "1", "--seed", "2"]) == 0
    first, other = ({one.SOPInstanceUID for one in wrapped(folder)} for folder in (made, tmp_path))
    assert not first & other


def test_every_file_has_the_attributes_of_an_mr_image(slices: list[Dataset]) -> None:
    for one in slices:
        assert one.SOPClassUID == one.file_meta.MediaStorageSOPClassUID == MRImageStorage
        assert one.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert [name for name in TYPE_1 if one.get(name) in (None, "", [])] == []
        assert [name for name in TYPE_2 if name not in one] == []
        assert "synthetic" in one.ImageComments.lower()
        assert one.PatientIdentityRemoved == "YES"


def test_uids_are_valid_and_no_two_slices_share_one(slices: list[Dataset]) -> None:
    uids = [one.SOPInstanceUID for one in slices]
    assert len(set(uids)) == len(uids)
    assert all(uid.is_valid and uid.startswith("2.25.") for uid in uids)


def test_pixels_fill_twelve_bits_and_no_more(slices: list[Dataset]) -> None:
    for one in slices:
        assert (one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation) == (16, 12, 11, 0)
        pixels = one.pixel_array
        assert pixels.shape in ((256, 256), (320, 320))
        assert 500 < pixels.max() < 4096
        assert np.median(pixels[:20, :20]) < 0.1 * pixels.max(), "the corner of a picture is air"


def test_slices_of_a_series_are_parallel_and_equally_spaced(slices: list[Dataset]) -> None:
    for series in series_of(slices):
        orientation = np.array(series[0].ImageOrientationPatient, float)
        normal = np.cross(orientation[:3], orientation[3:])
        assert np.linalg.norm(normal) == pytest.approx(1, abs=1e-6)
        steps = np.diff([np.array(one.ImagePositionPatient, float) for one in series], axis=0)
        assert np.allclose(steps, series[0].SpacingBetweenSlices * normal, atol=1e-4)
        locations = np.diff([float(one.SliceLocation) for one in series])
        assert np.allclose(locations, series[0].SpacingBetweenSlices, atol=1e-4)
        assert 200 < series[0].PixelSpacing[0] * series[0].Rows < 260
        assert series[0].SliceThickness <= series[0].SpacingBetweenSlices


def test_series_of_a_study_share_frame_of_reference_and_place(slices: list[Dataset]) -> None:
    t1, t2 = (
        [one for one in slices if one.PatientID == "DEMO-001" and one.SeriesDescription == name and one.StudyID == "1A"]
        for name in ("T1 SE TRA +C", "T2 TSE TRA")
    )
    assert len(t1) == len(t2) >= 7
    for a, b in zip(t1, t2, strict=True):
        assert a.FrameOfReferenceUID == b.FrameOfReferenceUID
        assert a.ImagePositionPatient == b.ImagePositionPatient
    assert "ContrastBolusAgent" in t1[0]
    assert "ContrastBolusAgent" not in t2[0]


def test_a_patient_has_an_earlier_study_with_a_smaller_tumour(slices: list[Dataset]) -> None:
    now, prior = ([one for one in slices if one.StudyID == name] for name in ("1A", "1B"))
    assert now[0].PatientID == prior[0].PatientID
    assert now[0].PatientBirthDate == prior[0].PatientBirthDate
    assert now[0].StudyDate > prior[0].StudyDate
    assert now[0].PatientAge > prior[0].PatientAge
    patient = cohort.patients(1, 1)[0]
    small, large = (cohort._lesion(patient, np.random.default_rng(1), growth) for growth in (0.78, 1.0))
    assert small is not None
    assert large is not None
    assert small.radius < large.radius


def test_labels_name_each_study_once(made: Path, slices: list[Dataset]) -> None:
    lines = label_table.read(made / "labels.csv")
    assert {line.uid for line in lines} == {one.StudyInstanceUID for one in slices}
    assert len(lines) == 5
    assert [line.label for line in lines] == ["meningioma"] * 2 + ["glioma"] * 2 + ["pituitary"]
    assert {line.provenance for line in lines} == {"synthetic"}


def test_the_cohort_holds_each_kind_several_times() -> None:
    kinds = [patient.diagnosis for patient in cohort.patients(cohort.DEFAULT_PATIENTS, 1)]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "meningioma": 6,
        "glioma": 5,
        "pituitary": 5,
        "normal": 2,
    }
    names = {patient.name for patient in cohort.patients(40, 1)}
    assert len(names) == 40


def tumour(kind: str) -> lesions.Lesion:
    patient = next(one for one in cohort.patients(18, 1) if one.diagnosis == kind)
    found = cohort._lesion(patient, np.random.default_rng(5), 1.0)
    assert found is not None
    return found


def profile(lesion: lesions.Lesion) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return the T1C brightness of white matter with this tumour, from its centre 40 mm toward +x, -x, +y and -y."""
    rays = [(dx, dy) for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1))]
    reach = np.arange(0, 40, 0.5, dtype=np.float32)
    x, y = (np.concatenate([lesion.centre[i] + ray[i] * reach for ray in rays]).astype(np.float32) for i in (0, 1))
    p = Points(x, y, np.full_like(x, lesion.centre[2]))
    canvas = Canvas.blank(x, ("T1C",))
    canvas.paint(np.ones_like(x), "white")
    lesion.paint(canvas, p, cavity(p), np.full_like(x, -20))
    return canvas.pictures["T1C"].reshape(4, -1)


def test_a_meningioma_is_bright_throughout_and_touches_the_dura() -> None:
    lesion = tumour("meningioma")
    assert profile(lesion)[:, 0].min() > 0.6
    p = Points(*(np.array([value], np.float32) for value in lesion.centre))
    assert -lesion.radius < cavity(p)[0] < 0


def test_a_glioma_is_a_bright_ring_around_a_dark_core_within_dark_oedema() -> None:
    rays = profile(tumour("glioma"))
    assert rays[:, 0].max() < 0.3
    assert rays.max(axis=1).min() > 0.6
    assert np.median(rays[:, 55]) < 0.4


def test_an_adenoma_is_bright_and_midline() -> None:
    lesion = tumour("pituitary")
    assert profile(lesion)[:, 0].min() > 0.5
    assert abs(lesion.centre[0]) < 5
    assert lesion.centre[2] < -20


def mat_file(label: int, pid: str, image: np.ndarray[tuple[int, ...], np.dtype[np.int16]]) -> bytes:
    """Return a MATLAB 7.3 file as the dataset has them: HDF5 with 512 bytes before it, arrays column by column."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=512) as file:
        file["cjdata/label"] = np.array([[float(label)]])
        file["cjdata/PID"] = np.array([[ord(letter)] for letter in pid], np.uint16)
        file["cjdata/image"] = image.T
        file["cjdata/tumorMask"] = np.zeros_like(image.T, np.uint8)
        file["cjdata/tumorBorder"] = np.zeros((1, 20))
    return buffer.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.fixture
def images() -> dict[int, np.ndarray[tuple[int, ...], np.dtype[np.int16]]]:
    rng = np.random.default_rng(0)
    return {number: rng.integers(0, 2000, size=(20, 24)).astype(np.int16) for number in (1, 2, 767, 768)}


@pytest.fixture
def article(images: dict[int, np.ndarray[tuple[int, ...], np.dtype[np.int16]]]) -> bytes:
    """Return a zip built as the one that figshare gives for the article."""
    facts = {1: (1, "100360"), 2: (1, "100360"), 767: (2, "MR017260F"), 768: (3, "112649")}
    mats = {number: mat_file(*facts[number], image) for number, image in images.items()}
    inner = [zipped({f"{number}.mat": mats[number] for number in pair}) for pair in ((1, 2), (767, 768))]
    cvind = io.BytesIO()
    with h5py.File(cvind, "w") as file:
        file["cvind"] = np.ones((1, 4))
    return zipped(
        {
            "brainTumorDataPublic_1-766.zip": inner[0],
            "brainTumorDataPublic_767-1532.zip": inner[1],
            "cvind.mat": cvind.getvalue(),
            "README.txt": b"This brain tumor dataset ...",
        }
    )


@pytest.mark.parametrize("form", ["article", "inner zip and folder"])
def test_figshare_pictures_keep_their_pixels(
    form: str, article: bytes, images: dict[int, np.ndarray[tuple[int, ...], np.dtype[np.int16]]], tmp_path: Path
) -> None:
    source, out = tmp_path / "1512427.zip", tmp_path / "out"
    source.write_bytes(article)
    if form != "article":
        source = tmp_path / "unpacked"
        with zipfile.ZipFile(tmp_path / "1512427.zip") as archive:
            archive.extractall(source)
        with zipfile.ZipFile(source / "brainTumorDataPublic_1-766.zip") as archive:
            archive.extractall(source / "first")
        (source / "brainTumorDataPublic_1-766.zip").unlink()
    assert demo.main(["--figshare", str(source), "--out", str(out)]) == 0
    found = {int(one.ImageComments.split("file ")[1].removesuffix(".mat")): one for one in wrapped(out)}
    assert found.keys() == images.keys()
    for number, one in found.items():
        assert one.SOPClassUID == SecondaryCaptureImageStorage
        assert [name for name in SECONDARY_CAPTURE if one.get(name) in (None, "", [])] == []
        assert np.array_equal(one.pixel_array, images[number])
        assert "J. Cheng, brain tumor dataset, figshare 1512427, CC BY 4.0" in one.ImageComments
    assert [found[number].PatientID for number in (1, 767)] == ["FIGSHARE-100360", "FIGSHARE-MR017260F"]
    assert found[1].StudyInstanceUID == found[2].StudyInstanceUID
    assert [found[number].InstanceNumber for number in (1, 2, 767)] == [1, 2, 1]
    lines = label_table.read(out / "labels.csv")
    assert [line.label for line in lines] == ["meningioma", "glioma", "pituitary"]
    assert {line.provenance for line in lines} == {"figshare 1512427"}


def test_a_limit_takes_pictures_of_all_kinds(article: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(article)
    assert demo.main(["--figshare", str(tmp_path / "a.zip"), "--out", str(tmp_path / "out"), "--limit", "2"]) == 0
    assert [line.label for line in label_table.read(tmp_path / "out" / "labels.csv")] == ["meningioma", "glioma"]


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"no zip", "cannot be read"),
        (zipped({"readme.txt": b""}), "holds no numbered .mat"),
        (zipped({"7.mat": b"MATLAB 5.0 MAT-file"}), "7.mat is not a file of figshare"),
    ],
)
def test_a_wrong_zip_is_named(data: bytes, hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.zip").write_bytes(data)
    assert demo.main(["--figshare", str(tmp_path / "a.zip"), "--out", str(tmp_path / "out")]) == 1
    assert hint in capsys.readouterr().err


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Return a table of four pictures in two groups."""
    rng = np.random.default_rng(0)
    (tmp_path / "glioma").mkdir()
    Image.fromarray(rng.integers(0, 255, (31, 33), np.uint8)).save(tmp_path / "glioma" / "1.png")
    Image.fromarray(rng.integers(0, 255, (40, 24), np.uint8)).save(tmp_path / "glioma" / "2.jpg")
    Image.fromarray(rng.integers(0, 60000, (9, 10), np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(rng.integers(0, 255, (9, 11, 3), np.uint8)).save(tmp_path / "colour.png")
    lines = [
        ("file", "label", "fold"),
        ("glioma/1.png", "glioma", "3"),
        ("glioma/2.jpg", "glioma", "3"),
        ("deep.png", "meningioma", "3"),
        ("colour.png", "skin", "4"),
    ]
    with (tmp_path / "index.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return tmp_path / "index.csv"


def test_pictures_of_a_table_keep_their_pixels_and_share_the_patient_of_their_group(pictures: Path) -> None:
    out = pictures.parent / "out"
    assert demo.main(["--table", str(pictures), "--group", "fold", "--out", str(out)]) == 0
    found = {one.ImageComments.split("file ")[1]: one for one in wrapped(out)}
    for name, one in found.items():
        with Image.open(pictures.parent / name) as image:
            assert np.array_equal(one.pixel_array, np.asarray(image))
    grey = found["glioma/1.png"]
    assert (grey.BitsStored, grey.PhotometricInterpretation) == (8, "MONOCHROME2")
    assert [found[name].PatientID for name in ("glioma/1.png", "deep.png", "colour.png")] == ["3", "3", "4"]
    assert found["glioma/2.jpg"].StudyInstanceUID == grey.StudyInstanceUID
    assert found["deep.png"].StudyInstanceUID != grey.StudyInstanceUID, "a study has one diagnosis"
    assert len(label_table.read(out / "labels.csv")) == 3


def test_each_picture_of_a_table_can_be_a_patient(pictures: Path) -> None:
    out = pictures.parent / "out"
    assert demo.main(["--table", str(pictures), "--patient-per-image", "--out", str(out)]) == 0
    assert len({one.PatientID for one in wrapped(out)}) == 4


def test_a_table_without_the_column_is_told_which_it_has(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["--table", str(pictures), "--group", "patient", "--out", str(pictures.parent / "out")]) == 1
    assert "no column 'patient'; it has file, label, fold" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--dicom", "somewhere"],
        ["--table", "index.csv", "--out", "out"],
        ["--out", "out", "--patients", "0"],
        ["--out", "out", "--send", "http://localhost:1", "--user", "name"],
    ],
)
def test_options_that_make_no_sense_end_with_a_hint(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        demo.main(arguments)
    assert stopped.value.code == 2


class Archive(BaseHTTPRequestHandler):
    """An Orthanc of which only the few routes that the client uses exist, and a file to download."""

    stored: ClassVar[dict[str, bytes]] = {}
    metadata: ClassVar[dict[str, bytes]] = {}
    ranges: ClassVar[list[str | None]] = []
    FILE = bytes(range(256)) * 40

    def do_GET(self) -> None:
        if self.path == "/file.zip":
            wanted = self.headers["Range"]
            self.ranges.append(wanted)
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
            self.answer(206 if wanted else 200, self.FILE[start:])
        elif self.path == "/system":
            self.answer(200, b'{"Version": "double"}')
        elif self.path in self.metadata:
            self.answer(200, self.metadata[self.path])
        else:
            self.answer(404, b"{}")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/tools/lookup":
            self.answer(200, json.dumps([{"Type": "Study", "ID": f"id-of-{body.decode()}"}]).encode())
            return
        if b"REFUSE" in body:
            self.answer(400, b'{"Message": "Bad file format"}')
            return
        known = body in self.stored.values()
        self.stored[str(len(self.stored))] = body
        status = "AlreadyStored" if known else "Success"
        names = {"ID": "i", "ParentSeries": "s", "ParentStudy": "t", "ParentPatient": "p", "Status": status}
        self.answer(200, json.dumps(names).encode())

    def do_PUT(self) -> None:
        self.metadata[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, b"")

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def archive() -> Iterator[str]:
    for memory in (Archive.stored, Archive.metadata, Archive.ranges):
        memory.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Archive)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_own_files_are_sent_and_their_fate_is_summed_up(
    archive: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dicom = b"\0" * 128 + b"DICM"
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "IM1").write_bytes(dicom + b"one")
    (tmp_path / "deep" / "IM2.dcm").write_bytes(dicom + b"one")
    (tmp_path / "bad.dcm").write_bytes(dicom + b"REFUSE")
    (tmp_path / "DICOMDIR").write_bytes(dicom)
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / ".hidden").write_bytes(dicom)
    (tmp_path / "labels.csv").write_text("StudyInstanceUID,label,provenance\n1.2,glioma,a\n1.2,oedema,b\n")
    assert demo.main(["--dicom", str(tmp_path), "--send", archive]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "      1  stored",
        "      1  already there",
        "      3  not DICOM",
        "      1  refused: Bad file format",
        "      1  studies labelled",
    ]
    sent = json.loads(Archive.metadata["/studies/id-of-1.2/metadata/3872"])
    assert sent == [{"label": "glioma", "provenance": "a"}, {"label": "oedema", "provenance": "b"}]


def test_an_orthanc_that_is_not_there_is_said_in_a_sentence() -> None:
    with Orthanc("http://127.0.0.1:1") as orthanc, pytest.raises(OrthancError, match="does not answer"):
        orthanc.wait(0.1)


def test_waiting_ends_when_the_answer_is_as_wished_or_the_time_is_over(archive: str) -> None:
    with Orthanc(archive) as orthanc:
        assert orthanc.wait(60) == {"Version": "double"}
        threading.Timer(0.3, Archive.metadata.update, [{"/cbmir/status": b'{"state": "ready"}'}]).start()
        assert orthanc.wait_until("/cbmir/status", lambda status: status["state"] == "ready", 120)
        with pytest.raises(OrthancError, match="not ready after 0 s"):
            orthanc.wait_until("/cbmir/status", lambda status: status["state"] == "off", 0.1)


def test_an_interrupted_download_goes_on_where_it_stopped(archive: str, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(Archive.FILE[:1000])
    target = download(f"{archive}/file.zip", tmp_path / "file.zip")
    assert target.read_bytes() == Archive.FILE
    assert download(f"{archive}/file.zip", tmp_path / "file.zip") == target
    assert Archive.ranges == ["bytes=1000-"]
