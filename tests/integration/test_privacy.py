"""What the plugin keeps of patients: nothing that names them, nothing that others may read, nothing of the deleted."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from dicom_files import CANARY, mr_file, picture
from orthanc_process import wait_for

from cbmir.store.linked import LONGEST_DELETED_SECONDS
from cbmir.store.snapshots import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Callable

    from orthanc_process import OrthancProcess

SECRETS = {
    "PatientName": CANARY,
    "PatientBirthDate": "19330405",
    "OtherPatientIDs": "ZZPHI-OTHER-ID",
    "PatientAddress": "ZZPHI-ADDRESS",
    "ReferringPhysicianName": "ZZPHI^PHYSICIAN",
    "AccessionNumber": "ZZPHIACCESSION",
    "PatientComments": "ZZPHI-COMMENT",
}
"""What only Orthanc may keep."""

ID = "ZZPHI-PATIENT-ID"


def files(folder: Path) -> dict[str, bytes]:
    found = {}
    for path in filter(Path.is_file, folder.rglob("*")):
        # the plugin writes files anew, and removes those before
        with contextlib.suppress(FileNotFoundError):
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def ask_everything(orthanc: OrthancProcess, instance: str, other: str) -> str:
    """Call every route, well and badly; return all that was answered."""
    said = {"query": instance, "hit": other, "verdict": "similar"}
    paths = [
        *(f"similar/{instance}?{query}" for query in ("", "group=study", "roi=0,0,9,9", f"more={other}", "k=x")),
        *(f"similar/{name}" for name in (ID, CANARY, "1.2.3", "%ff")),
        *(f"heatmap/{instance}?against={one}" for one in (other, ID)),
        *("status", "quality", "map", "feedback", "model", "openapi.json", ""),
    ]
    answers = [orthanc.http.get(f"/cbmir/{path}").text for path in paths]
    answers += [orthanc.http.post(f"/cbmir/{path}", json=said).text for path in ("feedback", "reindex")]
    answers.append(orthanc.http.get("/tools/metrics-prometheus").text)
    return "\n".join(answers)


def test_nothing_that_is_kept_or_logged_names_a_patient(make_orthanc: Callable[..., OrthancProcess]) -> None:
    orthanc = make_orthanc({"Anonymize": True}, MetricsEnabled=True).start()
    named = [orthanc.upload(mr_file(f"{ID}{n}", pixels=picture(n), **SECRETS)) for n in range(3)]
    orthanc.upload(mr_file(f"{ID}7", Modality="CT", **SECRETS))
    orthanc.upload(mr_file(f"{ID}8", Rows=0, **SECRETS))
    orthanc.upload(mr_file(f"{ID}9", PixelData=b"\0" * 8, **SECRETS))
    orthanc.wait_until_indexed(6)
    answered = ask_everything(orthanc, named[0], named[1])
    orthanc.delete(f"/instances/{named[2]}")
    orthanc.settle()
    running = files(orthanc.data)
    assert orthanc.stop() == 0
    kept = b"".join([*running.values(), *files(orthanc.data).values()])
    for secret in (ID, *SECRETS.values()):
        assert secret.encode() not in kept, secret
        assert secret not in answered.replace(orthanc.folder.name, ""), secret
        assert secret not in orthanc.log_text(), secret
    assert {"audit.jsonl", "catalogue.sqlite", MANIFEST} <= running.keys() | files(orthanc.data).keys()


def test_nobody_else_may_read_what_is_kept(make_orthanc: Callable[..., OrthancProcess]) -> None:
    orthanc = make_orthanc().start()
    instance = orthanc.upload(mr_file("A"))
    orthanc.wait_until_indexed(1)
    orthanc.similar(instance)
    modes = [path.stat().st_mode & 0o777 for path in orthanc.data.iterdir()]
    assert orthanc.stop() == 0
    modes += [path.stat().st_mode & 0o777 for path in orthanc.data.iterdir()]
    assert set(modes) == {0o600}
    assert orthanc.data.stat().st_mode & 0o777 == 0o700
    assert "holds patient data" not in orthanc.log_text()
    orthanc.data.chmod(0o777)
    orthanc.start()
    assert "which holds patient data: chmod 700 it" in orthanc.log_text()


def test_of_a_deleted_patient_no_vector_stays(make_orthanc: Callable[..., OrthancProcess]) -> None:
    orthanc = make_orthanc().start()
    instances = {patient: orthanc.upload(mr_file(patient)) for patient in ("deleted", "kept")}
    orthanc.wait_until_indexed(2)
    with sqlite3.connect(orthanc.data / "catalogue.sqlite") as catalogue:
        vectors = {
            patient: catalogue.execute(
                "SELECT vector FROM slice JOIN instance ON instance.id = slice.instance WHERE orthanc_id = ?", (name,)
            ).fetchone()[0]
            for patient, name in instances.items()
        }
    catalogue.close()

    def where(patient: str) -> set[str]:
        """Return the kinds of files that hold the vector's bytes."""
        return {name.partition("-")[0] for name, content in files(orthanc.data).items() if vectors[patient] in content}

    (patient,) = {orthanc.http.get(f"/instances/{instances['deleted']}/patient").json()["ID"]}
    orthanc.delete(f"/patients/{patient}")
    wait_for(lambda: not where("deleted"), "the vector is gone from the catalogue and its log")
    assert where("kept") == {"catalogue.sqlite"}
    assert orthanc.stop() == 0
    assert where("deleted") == {"index"}, "marked as deleted in the snapshot, which a rebuild would be too dear for"
    manifest = orthanc.data / MANIFEST
    facts = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**facts, "deletedSince": facts["deletedSince"] - LONGEST_DELETED_SECONDS}))
    orthanc.start()
    wait_for(lambda: not where("deleted"), "the vector is gone from the snapshot")
    assert orthanc.stop() == 0
    assert where("deleted") == set()
    assert where("kept") == {"catalogue.sqlite", "index"}
