"""From the network into the catalogue: whichever way instances come, change and go, the plugin keeps up."""

from __future__ import annotations

import csv
import random
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from agreement import assert_agreement
from catalogue_file import CatalogueFile
from dicom_files import AXIAL, CANARY, mr_file, mr_slice, picture, set_pixels, to_bytes, uid
from orthanc_process import REPOSITORY, wait_for
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orthanc_process import OrthancProcess

CLIENTS = 8
LEVELS = {"series": "series", "studies": "study", "patients": "patient"}
"""How Orthanc's REST API calls the parents of an instance, by what it calls all of their kind."""


@pytest.fixture(scope="module")
def running(make_shared_orthanc: Callable[..., OrthancProcess]) -> OrthancProcess:
    # without a cache of files, so that one can vanish
    return make_shared_orthanc(OverwriteInstances=True, MaximumStorageCacheSize=0).start()


@pytest.fixture
def orthanc(running: OrthancProcess) -> OrthancProcess:
    """The module's Orthanc, emptied."""
    running.clear()
    return running


def vector_of(orthanc: OrthancProcess, orthanc_id: str, frame: int = 1) -> bytes:
    return CatalogueFile(orthanc.data).vectors()[orthanc_id, frame]


def state_of(orthanc: OrthancProcess, orthanc_id: str) -> tuple[str, str | None]:
    catalogue = CatalogueFile(orthanc.data)
    return catalogue.states()[orthanc_id], catalogue.reasons()[orthanc_id]


def arrival_of(orthanc: OrthancProcess, orthanc_id: str) -> int:
    """Return a number that grows with each arrival; 0 in the moment between the deletion and the next."""
    return CatalogueFile(orthanc.data).arrivals().get(orthanc_id, 0)


def stow(orthanc: OrthancProcess, file: bytes) -> None:
    body = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n--x--"
    kind = 'multipart/related; type="application/dicom"; boundary=x'
    response = orthanc.http.post("/dicom-web/studies", content=body, headers={"Content-Type": kind})
    assert response.status_code == 200, response.text


# ---- arrival ----


def test_a_slice_gets_the_same_vector_by_rest_c_store_and_stow_rs(orthanc: OrthancProcess, tmp_path: Path) -> None:
    same = picture(1)
    orthanc.upload(mr_file("rest", pixels=same))
    (tmp_path / "c-store.dcm").write_bytes(mr_file("c-store", pixels=same))
    orthanc.store_scu(tmp_path / "c-store.dcm")
    stow(orthanc, mr_file("stow", pixels=same))
    assert orthanc.wait_until_indexed(3)["indexed"] == 3
    assert len(set(CatalogueFile(orthanc.data).vectors().values())) == 1
    assert_agreement(orthanc)


def test_a_slice_is_searchable_once_the_status_says_that_nothing_lags(orthanc: OrthancProcess) -> None:
    """How soon that is, `scripts/bench.py ingest` measures."""
    query = orthanc.upload(mr_file("A"))
    orthanc.wait_until_indexed(1)
    late = orthanc.upload(mr_file("B"))
    orthanc.wait_until_indexed(2)
    assert [case["slices"][0]["orthancId"] for case in orthanc.similar(query)["cases"]] == [late]


def test_a_file_stored_again_remains_one_slice(orthanc: OrthancProcess) -> None:
    """Overwriting reports an instance as stored, then as deleted, then as new."""
    first = orthanc.upload(mr_file("A"))
    orthanc.upload(mr_file("B"))
    orthanc.wait_until_indexed(2)
    before = arrival_of(orthanc, first)
    assert orthanc.upload(mr_file("A")) == first
    wait_for(lambda: arrival_of(orthanc, first) > before, "the plugin hears of the second arrival")
    orthanc.settle()
    assert_agreement(orthanc)


def test_other_pixels_under_the_same_uid_replace_the_vector(orthanc: OrthancProcess) -> None:
    orthanc.upload(mr_file("B", pixels=picture(2, kind=2)))
    orthanc_id = orthanc.upload(mr_file("A", pixels=picture(1, kind=1)))
    orthanc.wait_until_indexed(2)
    before = vector_of(orthanc, orthanc_id)
    assert orthanc.upload(mr_file("A", pixels=picture(2, kind=2))) == orthanc_id
    orthanc.settle()
    orthanc.wait_until_indexed(2)
    after = vector_of(orthanc, orthanc_id)
    assert after != before
    (case,) = orthanc.similar(orthanc_id)["cases"]
    assert case["similarity"] == pytest.approx(1, abs=1e-3)
    assert_agreement(orthanc)


def test_without_overwriting_the_first_pixels_remain(make_orthanc: Callable[..., OrthancProcess]) -> None:
    orthanc = make_orthanc(OverwriteInstances=False).start()
    orthanc_id = orthanc.upload(mr_file("A", pixels=picture(1, kind=1)))
    orthanc.wait_until_indexed(1)
    before = vector_of(orthanc, orthanc_id)
    assert orthanc.upload(mr_file("A", pixels=picture(2, kind=2))) == orthanc_id
    orthanc.settle()
    orthanc.wait_until_indexed(1)
    assert vector_of(orthanc, orthanc_id) == before


# ---- departure ----


@pytest.mark.parametrize("level", ["instances", "series", "studies", "patients"])
def test_what_is_deleted_while_it_waits_never_appears(orthanc: OrthancProcess, level: str) -> None:
    kept = orthanc.upload(mr_file("kept"))
    for number in range(10):
        orthanc.upload(mr_file("gone", number=number))
    own = kept if level == "instances" else orthanc.http.get(f"/instances/{kept}/{LEVELS[level]}").json()["ID"]
    for other in set(orthanc.http.get(f"/{level}").json()) - {own}:
        orthanc.delete(f"/{level}/{other}")
    orthanc.settle()
    assert CatalogueFile(orthanc.data).states().keys() == {kept}
    assert_agreement(orthanc)


def test_after_everything_was_deleted_nothing_remains(orthanc: OrthancProcess) -> None:
    for patient in "ABC":
        orthanc.upload(mr_file(patient))
    orthanc.wait_until_indexed(3)
    orthanc.clear()
    catalogue = CatalogueFile(orthanc.data)
    assert (catalogue.states(), catalogue.vectors(), catalogue.orphans()) == ({}, {}, [])
    wait_for(lambda: orthanc.status()["slices"] == 0, "the index is empty")


def test_a_recycled_patient_is_forgotten(make_orthanc: Callable[..., OrthancProcess]) -> None:
    orthanc = make_orthanc(MaximumPatientCount=2).start()
    first = orthanc.upload(mr_file("first"))
    orthanc.upload(mr_file("second"))
    orthanc.wait_until_indexed(2)
    orthanc.upload(mr_file("third"))
    wait_for(lambda: first not in CatalogueFile(orthanc.data).states(), "the recycled patient is forgotten")
    assert len(orthanc.instances()) == 2
    assert_agreement(orthanc)


def test_deleting_and_storing_again_by_many_clients_ends_at_what_orthanc_holds(orthanc: OrthancProcess) -> None:
    race(orthanc, rounds=25)


@pytest.mark.slow
def test_deleting_and_storing_again_for_long_ends_at_what_orthanc_holds(orthanc: OrthancProcess) -> None:
    race(orthanc, rounds=200)


def race(orthanc: OrthancProcess, *, rounds: int) -> None:
    """Have each client store and delete its own slices in its own order, and all of them a few common ones."""
    common = [mr_file("common", number=number) for number in range(3)]
    held: set[str] = set()
    lock = threading.Lock()

    def client(number: int) -> None:
        choice = random.Random(number)
        own = [mr_file(f"client {number}", number=slice_number) for slice_number in range(4)]
        mine: dict[int, str] = {}
        for _ in range(rounds):
            which = choice.randrange(len(own))
            if which in mine and choice.random() < 0.7:
                orthanc.delete(f"/instances/{mine.pop(which)}")
                if choice.random() < 0.6:
                    mine[which] = orthanc.upload(own[which])
            else:
                mine[which] = orthanc.upload(own[which])
            if choice.random() < 0.2:
                orthanc.http.delete(f"/instances/{orthanc.upload(choice.choice(common))}")
        with lock:
            held.update(mine.values())

    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(client, range(CLIENTS)))
    orthanc.settle()
    orthanc.wait_until_indexed()
    assert held <= orthanc.instances()
    assert_agreement(orthanc)


# ---- what is no MR image ----


def ct() -> Dataset:
    return mr_slice("ct", Modality="CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.2")


def structured_report() -> Dataset:
    return without_pixels(mr_slice("sr", Modality="SR", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11"))


def pdf() -> Dataset:
    dataset = without_pixels(mr_slice("pdf", Modality="DOC", SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1"))
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocument = b"%PDF-1.4 "
    return dataset


def segmentation() -> Dataset:
    dataset = mr_slice("seg", Modality="SEG", SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4")
    dataset.BitsAllocated = dataset.BitsStored = 1
    dataset.HighBit = 0
    dataset.PixelData = b"\xaa" * (dataset.Rows * dataset.Columns // 8)
    return dataset


def raw_data() -> Dataset:
    return without_pixels(mr_slice("raw", SOPClassUID="1.2.840.10008.5.1.4.1.1.66"))


def video() -> Dataset:
    return mr_slice("video", Modality="ES", SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.1.1")


def even_picture() -> Dataset:
    return mr_slice("even", pixels=np.full((64, 64), 7, np.uint16))


def without_pixels(dataset: Dataset) -> Dataset:
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "PhotometricInterpretation"):
        delattr(dataset, keyword)
    return dataset


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (ct, "modality CT"),
        (structured_report, "modality SR"),
        (pdf, "modality DOC"),
        (segmentation, "modality SEG"),
        (video, "modality ES"),
        (raw_data, "no pixel data"),
        (even_picture, "one grey"),
    ],
)
def test_what_is_no_mr_picture_is_skipped_with_a_reason(
    orthanc: OrthancProcess, make: Callable[[], Dataset], reason: str
) -> None:
    errors = orthanc.errors()
    orthanc_id = orthanc.upload(to_bytes(make()))
    status = orthanc.wait_until_indexed(1)
    state, shown = state_of(orthanc, orthanc_id)
    assert state == "skipped"
    assert shown is not None
    assert reason in shown
    assert status["notIndexed"] == [{"state": "skipped", "reason": shown, "instances": 1}]
    response = orthanc.http.get(f"/cbmir/similar/{orthanc_id}")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_indexed")
    assert reason in response.json()["error"]["message"]
    assert orthanc.errors() == errors


def test_a_damaged_picture_fails_with_a_reason_and_the_others_go_on(orthanc: OrthancProcess) -> None:
    errors = orthanc.errors()
    damaged = mr_slice("damaged")
    damaged.PixelData = damaged.PixelData[:1000]
    orthanc_id = orthanc.upload(to_bytes(damaged))
    orthanc.upload(mr_file("sound"))
    status = orthanc.wait_until_indexed(2)
    assert (status["indexed"], status["failed"], status["worker"]) == (1, 1, "running")
    state, reason = state_of(orthanc, orthanc_id)
    assert (state, reason) == ("failed", "the pixel data cannot be read (ValueError)")
    assert orthanc.errors() == errors


def test_a_file_that_vanished_from_the_storage_fails_after_three_tries(orthanc: OrthancProcess) -> None:
    blocked = orthanc.upload(mr_file("before"))
    orthanc.wait_until_indexed(1)
    for file in (orthanc.folder / "storage").rglob("*-*-*-*-*"):
        if file.is_file() and b"before" in file.read_bytes()[:2000]:
            file.unlink()
    reopened = orthanc.http.post("/cbmir/reindex", json={"states": ["indexed"]})
    assert (reopened.status_code, reopened.json()) == (202, {"queued": 1})
    orthanc.upload(mr_file("after"))
    status = orthanc.wait_until_indexed(2)
    assert (status["indexed"], status["failed"]) == (1, 1)
    assert state_of(orthanc, blocked) == ("failed", f"the file of instance {blocked} cannot be fetched")


# ---- files as scanners write them ----

FILES = REPOSITORY.parent / "shared" / "data" / "dicom"
needs_files = pytest.mark.skipif(not FILES.is_dir(), reason=f"the collection of DICOM files is not at {FILES}")

PROPOSED = {
    "1.2.840.10008.1.2.1.99": "--propose-deflated",
    "1.2.840.10008.1.2.4.51": "--propose-jpeg12",
    "1.2.840.10008.1.2.4.70": "--propose-lossless",
    "1.2.840.10008.1.2.4.80": "--propose-jls-lossless",
    "1.2.840.10008.1.2.4.81": "--propose-jls-lossy",
    "1.2.840.10008.1.2.4.90": "--propose-j2k-lossless",
    "1.2.840.10008.1.2.4.91": "--propose-j2k-lossy",
    "1.2.840.10008.1.2.5": "--propose-rle",
}
"""Transfer syntaxes that storescu proposes only when told to."""


@needs_files
def test_every_file_of_the_collection_is_indexed_or_says_why_not(orthanc: OrthancProcess) -> None:
    rows = list(csv.DictReader((FILES / "index.csv").read_text().splitlines()))
    together = defaultdict(list)
    for row in rows:
        together[PROPOSED.get(row["transfer_syntax"], "--propose-uncompr")].append(FILES / row["file"])
    for option, files in together.items():
        orthanc.store_scu(*files, options=("--required", option), check=False)
    orthanc.wait_until_indexed()

    catalogue = CatalogueFile(orthanc.data)
    states, reasons = catalogue.states(), catalogue.reasons()
    assert states.keys() == orthanc.instances()
    assert all(reasons[orthanc_id] for orthanc_id, state in states.items() if state != "indexed")
    # several files bear the same SOPInstanceUID; the one that came last is what counts
    decodable = defaultdict(set)
    for row in rows:
        sop_instance_uid = str(dcmread(FILES / row["file"], stop_before_pixels=True, force=True).get("SOPInstanceUID"))
        decodable[sop_instance_uid].add(row["modality"] == "MR" and not row["pydicom_decode"].startswith("FAIL"))
    images = [sop_instance_uid for sop_instance_uid, said in decodable.items() if said == {True}]
    assert len(images) > 100
    for sop_instance_uid in images:
        (found,) = orthanc.http.post("/tools/lookup", content=sop_instance_uid).json()
        assert states[found["ID"]] == "indexed", reasons[found["ID"]]


@needs_files
def test_one_image_in_many_transfer_syntaxes_has_one_vector(orthanc: OrthancProcess) -> None:
    for file in sorted((FILES / "odd" / "transfer_syntaxes_same_image").glob("*.dcm")):
        orthanc.upload(file.read_bytes())
    assert orthanc.wait_until_indexed(9)["indexed"] == 9
    assert len(set(CatalogueFile(orthanc.data).vectors().values())) == 1


# ---- multi-frame ----


def enhanced_mr(frames: int = 3) -> Dataset:
    """Return an Enhanced MR Image whose geometry stands in its functional groups (PS3.3 C.7.6.16)."""
    dataset = mr_slice("enhanced", SOPClassUID="1.2.840.10008.5.1.4.1.1.4.1")
    set_pixels(dataset, np.stack([picture(frame, kind=frame) for frame in range(frames)]))
    for keyword in ("PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient"):
        delattr(dataset, keyword)
    dataset.SharedFunctionalGroupsSequence = Sequence([group("PlaneOrientation", ImageOrientationPatient=AXIAL)])
    dataset.PerFrameFunctionalGroupsSequence = Sequence(
        [group("PixelMeasures", PixelSpacing=[1, 1]) for _ in range(frames)]
    )
    return dataset


def group(macro: str, **values: Any) -> Dataset:
    item, outer = Dataset(), Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    setattr(outer, f"{macro}Sequence", Sequence([item]))
    return outer


def test_each_frame_of_an_enhanced_image_is_a_slice_of_its_own(orthanc: OrthancProcess) -> None:
    single = [orthanc.upload(mr_file(f"frame {n}", pixels=picture(n, kind=n))) for n in range(3)]
    enhanced = orthanc.upload(to_bytes(enhanced_mr()))
    assert orthanc.wait_until_indexed(4)["slices"] == 6
    for index, alike in enumerate(single):
        answer = orthanc.similar(enhanced, frame=index + 1)
        assert (answer["query"]["frame"], answer["query"]["numberOfFrames"]) == (index + 1, 3)
        assert answer["cases"][0]["slices"][0]["orthancId"] == alike
        back = orthanc.similar(alike)["cases"][0]["slices"][0]
        assert (back["orthancId"], back["frame"]) == (enhanced, index + 1)
        assert f"/frames/{index}/rendered?" in back["thumbnailUrl"]
        assert orthanc.http.get(back["thumbnailUrl"]).headers["Content-Type"] == "image/png"
    assert orthanc.http.get(f"/cbmir/similar/{enhanced}?frame=4").status_code == 404


# ---- Orthanc's own jobs ----


def test_an_anonymized_copy_is_another_patient(orthanc: OrthancProcess) -> None:
    orthanc_id = orthanc.upload(mr_file("A"))
    study = orthanc.http.get(f"/instances/{orthanc_id}/study").json()["ID"]
    copied = orthanc.http.post(f"/studies/{study}/anonymize", json={}).json()
    orthanc.wait_until_indexed(2)
    (case,) = orthanc.similar(orthanc_id)["cases"]
    assert case["studyOrthancId"] == copied["ID"]
    assert case["patientOrthancId"] == copied["PatientID"]
    assert_agreement(orthanc)


@pytest.mark.parametrize(
    ("level", "replaced"),
    [
        ("studies", {"StudyDescription": "changed"}),
        ("patients", {"PatientID": "C", "PatientName": CANARY}),
    ],
)
def test_what_was_modified_in_place_leaves_nothing_behind(
    orthanc: OrthancProcess, level: str, replaced: dict[str, str]
) -> None:
    before = orthanc.upload(mr_file("A"))
    other = orthanc.upload(mr_file("B"))
    orthanc.wait_until_indexed(2)
    resource = orthanc.http.get(f"/instances/{before}/{LEVELS[level]}").json()["ID"]
    request = {"Replace": replaced, "KeepSource": False, "Force": True}
    response = orthanc.http.post(f"/{level}/{resource}/modify", json=request)
    assert response.status_code == 200, response.text
    orthanc.settle()
    assert before not in orthanc.instances()
    assert_agreement(orthanc)
    (case,) = orthanc.similar(other)["cases"]
    assert case["StudyInstanceUID"] != uid("A", 1)
    assert case["patient"]["PatientID"] == replaced.get("PatientID", "A")


def test_series_that_were_split_off_and_merged_belong_to_their_new_study(orthanc: OrthancProcess) -> None:
    kept = orthanc.upload(mr_file("A", series=1))
    moved = orthanc.upload(mr_file("A", series=2))
    target = orthanc.upload(mr_file("B"))
    orthanc.wait_until_indexed(3)
    study = orthanc.http.get(f"/instances/{kept}/study").json()["ID"]
    series = orthanc.http.get(f"/instances/{moved}/series").json()["ID"]
    split = {"Series": [series], "Replace": {"PatientID": "C"}, "KeepSource": False}
    job = orthanc.http.post(f"/studies/{study}/split", json=split).json()
    orthanc.settle()
    assert_agreement(orthanc)
    cases = orthanc.similar(kept)["cases"]
    assert {case["patient"]["PatientID"] for case in cases} == {"B", "C"}

    other = orthanc.http.get(f"/instances/{target}/study").json()["ID"]
    merge = {"Resources": [job["TargetStudy"]], "KeepSource": False}
    orthanc.http.post(f"/studies/{other}/merge", json=merge)
    orthanc.settle()
    assert_agreement(orthanc)
    (case,) = orthanc.similar(kept)["cases"]
    assert case["patient"]["PatientID"] == "B"


# ---- what happened while the plugin was away ----


def test_an_archive_from_before_is_indexed_the_newest_first_and_what_went_meanwhile_is_forgotten(
    make_orthanc: Callable[..., OrthancProcess],
) -> None:
    orthanc = make_orthanc().start()
    gone = [orthanc.upload(mr_file("gone", number=number)) for number in range(10)]
    orthanc.wait_until_indexed(10)
    assert orthanc.stop() == 0

    orthanc.configuration["Cbmir"]["Enabled"] = False
    orthanc.launch()
    wait_for(orthanc.answers, "Orthanc without the plugin answers")
    assert orthanc.http.get("/cbmir/status").status_code == 404
    for orthanc_id in gone:
        orthanc.delete(f"/instances/{orthanc_id}")
    came = [orthanc.upload(mr_file("came", number=number)) for number in range(40)]
    assert orthanc.stop() == 0

    orthanc.configuration["Cbmir"]["Enabled"] = True
    orthanc.start()
    assert orthanc.wait_until_indexed(40)["indexed"] == 40
    assert_agreement(orthanc)
    order = order_of_indexing(orthanc)
    assert sorted(order) == sorted(came)
    if orthanc.http.get("/system").json()["Version"].startswith("1.10."):
        # Orthanc 1.12.7 does not list instances in the order of their arrival
        assert order == came[::-1]


def order_of_indexing(orthanc: OrthancProcess) -> list[str]:
    return CatalogueFile(orthanc.data).in_order_of_indexing()
