"""scripts/labels.py against a real Orthanc with the plugin: labels go in, come out, and are in the answers."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pytest
from dicom_files import mr_file, uid
from orthanc_process import wait_for

import labels
from cbmir.archive import LABEL_LENGTH

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orthanc_process import OrthancProcess

HEADING = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "label", "provenance")


@pytest.fixture(scope="module")
def shared(make_shared_orthanc: Callable[..., OrthancProcess]) -> OrthancProcess:
    """Return a running Orthanc with two patients, the second of whom has two series."""
    orthanc = make_shared_orthanc({"MinSimilarity": -1}).start()
    for patient, series in (("P1", 1), ("P2", 1), ("P2", 2)):
        orthanc.upload(mr_file(patient, 1, series))
    orthanc.wait_until_indexed(3)
    return orthanc


@pytest.fixture
def archive(shared: OrthancProcess) -> OrthancProcess:
    """Return it without labels."""
    for level in ("studies", "series", "instances"):
        for orthanc_id in shared.http.get(f"/{level}").json():
            shared.http.delete(f"/{level}/{orthanc_id}/metadata/3872")
    return shared


def table(folder: Path, *lines: tuple[str, str, str, str]) -> Path:
    """Write lines of study, series, label and provenance."""
    return whole_table(folder, *((study, series, "", *said) for study, series, *said in lines))


def whole_table(folder: Path, *lines: tuple[str, ...]) -> Path:
    path = folder / "labels.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([HEADING, *lines])
    return path


def run(way: str, orthanc: OrthancProcess, *more: object) -> int:
    return labels.main([way, "--orthanc", str(orthanc.http.base_url), *map(str, more)])


def metadata(orthanc: OrthancProcess, uid_: str) -> list[dict[str, str]]:
    """Return what Orthanc itself holds."""
    (found,) = orthanc.http.post("/tools/lookup", content=uid_).json()
    answer = orthanc.http.get(f"{found['Path']}/metadata/3872")
    return json.loads(answer.text) if answer.status_code == 200 else []


STUDY, SERIES = uid("P1", 1), uid("P2", 1, 2)
MENINGIOMA = {"label": "meningioma", "provenance": "histology"}
OEDEMA = {"label": "oedema", "provenance": "report"}


def test_labels_of_studies_and_series_reach_the_answers(archive: OrthancProcess, tmp_path: Path) -> None:
    path = table(tmp_path, (STUDY, "", "meningioma", "histology"), (uid("P2", 1), SERIES, "oedema", "report"))
    assert run("import", archive, path) == 0
    assert metadata(archive, STUDY) == [MENINGIOMA]
    assert metadata(archive, SERIES) == [OEDEMA]
    assert metadata(archive, uid("P2", 1)) == []
    (instance,) = archive.http.post("/tools/lookup", content=uid("P2", 1, 2, 1)).json()

    def answered() -> bool:
        answer = archive.similar(instance["ID"])
        return answer["query"]["labels"] == [OEDEMA] and answer["cases"][0]["labels"] == [MENINGIOMA]

    wait_for(answered, "the plugin shows the labels")


def test_a_label_of_an_instance_is_said_of_it_alone(
    archive: OrthancProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    instance = uid("P2", 1, 2, 1)
    assert run("import", archive, whole_table(tmp_path, (uid("P2", 1), SERIES, instance, "oedema", "report"))) == 0
    assert [metadata(archive, one) for one in (instance, SERIES)] == [[OEDEMA], []]
    (found,) = archive.http.post("/tools/lookup", content=instance).json()
    wait_for(lambda: archive.similar(found["ID"])["query"]["labels"] == [OEDEMA], "the plugin shows the label")
    capsys.readouterr()
    assert run("export", archive) == 0
    assert run("export", archive, "--instances") == 0
    assert run("export", archive, instance) == 0
    heading, line = ",".join(HEADING), f",,{instance},oedema,report"
    assert capsys.readouterr().out.splitlines() == [heading, heading, line, heading, line]


def test_importing_twice_changes_nothing(
    archive: OrthancProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = table(tmp_path, (STUDY, "", "meningioma", "histology"))
    assert [run("import", archive, path), run("import", archive, path)] == [0, 0]
    assert capsys.readouterr().out.splitlines() == ["1 added", "1 there"]
    assert metadata(archive, STUDY) == [MENINGIOMA]


def test_what_others_said_stays_as_they_said_it(
    archive: OrthancProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = {"label": "glioma", "provenance": "report", "by": "another program"}
    (study,) = archive.http.post("/tools/lookup", content=STUDY).json()
    archive.http.put(f"{study['Path']}/metadata/3872", content=json.dumps([theirs]))
    assert run("import", archive, table(tmp_path, (STUDY, "", "meningioma", "histology"))) == 0
    assert metadata(archive, STUDY) == [theirs, MENINGIOMA]
    assert f"More than one label: {STUDY}" in capsys.readouterr().out


def test_only_replacing_removes_and_says_how_many(
    archive: OrthancProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("import", archive, table(tmp_path, (STUDY, "", "glioma", "report")))
    run("import", archive, table(tmp_path, (STUDY, "", "meningioma", "histology")), "--replace")
    assert metadata(archive, STUDY) == [MENINGIOMA]
    assert capsys.readouterr().out.splitlines()[-1] == "1 removed, 1 added"


def test_a_dry_run_says_what_it_would_do_and_does_nothing(
    archive: OrthancProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("import", archive, table(tmp_path, (STUDY, "", "meningioma", "histology")), "--dry-run") == 0
    assert capsys.readouterr().out == "Would be: 1 added\n"
    assert metadata(archive, STUDY) == []


def test_metadata_of_another_kind_is_not_touched(
    archive: OrthancProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (study,) = archive.http.post("/tools/lookup", content=STUDY).json()
    archive.http.put(f"{study['Path']}/metadata/3872", content="meningioma, says Dr. X")
    assert run("import", archive, table(tmp_path, (STUDY, "", "meningioma", "histology"))) == labels.NOT_ALL
    assert archive.http.get(f"{study['Path']}/metadata/3872").text == "meningioma, says Dr. X"
    assert "line 2" in capsys.readouterr().err


def test_lines_of_unknown_studies_are_named_and_the_others_are_done(
    archive: OrthancProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # a series' UID in the column of studies names no study
    lines = [("1.2.3", "", "glioma", ""), (SERIES, "", "glioma", ""), (STUDY, "", "meningioma", "histology")]
    assert run("import", archive, table(tmp_path, *lines)) == labels.NOT_ALL
    assert metadata(archive, STUDY) == [MENINGIOMA]
    told = capsys.readouterr()
    assert "line 2 (StudyInstanceUID 1.2.3): not in this Orthanc" in told.err
    assert "line 3" in told.err
    assert "1 added" in told.out


def test_what_is_exported_can_be_imported_elsewhere(
    archive: OrthancProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("import", archive, table(tmp_path, (STUDY, "", "Glioblastom, grün", "Histologie"), ("", SERIES, "oedema", "")))
    out = tmp_path / "out.csv"
    assert run("export", archive, "--out", out) == 0
    with out.open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            list(HEADING),
            [STUDY, "", "", "Glioblastom, grün", "Histologie"],
            ["", SERIES, "", "oedema", ""],
        ]
    capsys.readouterr()
    assert run("export", archive, SERIES) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [f",{SERIES},,oedema,"]
    assert run("import", archive, out) == 0
    assert capsys.readouterr().out == "2 there\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("StudyInstanceUID,label\n1.2,\n", "line 2: needed are a UID and a label"),
        (f"StudyInstanceUID,label\n1.2,{'x' * (LABEL_LENGTH + 1)}\n", "at most 64"),
        ("study,label\n1.2,glioma\n", "no column StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID"),
        ("StudyInstanceUID;diagnosis\n1.2;glioma\n", "no column 'label'; it has StudyInstanceUID, diagnosis"),
        ("StudyInstanceUID,label\n1.2,a,b\n", "line 2: 3 values under a heading of 2 columns"),
        ("", "no column 'label'; it has none"),
        ("StudyInstanceUID,label\n", "no line below its heading"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, sentence: str
) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    assert labels.main(["import", "--orthanc", "http://127.0.0.1:1", str(path)]) == 1
    assert sentence in capsys.readouterr().err


def test_tables_out_of_a_spreadsheet_can_be_read(archive: OrthancProcess, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(f"\ufeffStudyInstanceUID;label;provenance\r\n{STUDY};meningioma;histology\r\n\r\n".encode())
    assert run("import", archive, path) == 0
    assert metadata(archive, STUDY) == [MENINGIOMA]


def test_an_orthanc_that_is_not_there_is_said_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = table(tmp_path, (STUDY, "", "meningioma", ""))
    assert labels.main(["import", "--orthanc", "http://user:secret@127.0.0.1:1", str(path)]) == 1
    told = capsys.readouterr().err
    assert "http://127.0.0.1:1 does not answer" in told
    assert "secret" not in told
