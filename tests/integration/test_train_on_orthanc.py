"""From an archive to a model and back: train on a running Orthanc, export, and let the plugin answer with it."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from dicom_files import mr_file, picture, uid
from recipes import FITTED

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("pytorch_metric_learning")

import demo  # noqa: E402
import evaluate  # noqa: E402
import export  # noqa: E402
import train  # noqa: E402
from cbmir.instance import Limits, read  # noqa: E402
from cbmir.pixels import prepare  # noqa: E402
from sources import slice_files  # noqa: E402
from sources.archive import Wanted, fetch  # noqa: E402
from sources.csv_table import TableError  # noqa: E402
from sources.label_table import Labelled  # noqa: E402
from sources.orthanc_client import Orthanc, OrthancError  # noqa: E402
from training import data  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orthanc_process import OrthancProcess

TINY = """
[network]
dim = 16
stride = 32
guided = false
[schedule]
stages = [[32, 2]]
batch = 12
warm_up = 1
"""

ABOUT = """
licence = "none"
summary = "A toy."
intendedUse = "Tests."
limits = ["knows invented heads"]
[[data]]
name = "demo"
licence = "CC0"
attribution = "computed"
url = "https://example.org"
use = "training"
"""

SHARE = "0.4"


@pytest.fixture(scope="module")
def orthanc(make_shared_orthanc: Callable[..., OrthancProcess]) -> OrthancProcess:
    """Return a running Orthanc, empty."""
    return make_shared_orthanc({"MinSimilarity": -1}).start()


@pytest.fixture(scope="module")
def cohort(orthanc: OrthancProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the demo's patients, who are in the Orthanc."""
    folder = tmp_path_factory.mktemp("cohort")
    assert demo.main(["--out", str(folder), "--patients", "6", "--send", str(orthanc.http.base_url)]) == 0
    return folder


@pytest.fixture(scope="module")
def options(orthanc: OrthancProcess, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[str]]:
    """Return a function that gives the command line of a tiny training into a folder."""
    shared = tmp_path_factory.mktemp("recipe")
    (shared / "tiny.toml").write_text(TINY)

    def of(out: Path, *more: object) -> list[str]:
        fixed = ["--recipe", shared / "tiny.toml", "--orthanc", orthanc.http.base_url, "--cache", shared / "cache"]
        return [*map(str, fixed), "--out", str(out), *map(str, more)]

    return of


@pytest.fixture(scope="module")
def trained(cohort: Path, options: Callable[..., list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a training on them."""
    out = tmp_path_factory.mktemp("run")
    wishes = options(out, "--labels", cohort / "labels.csv", "--hold-out-share", SHARE, "--every", 2)
    train.train(train.arguments(wishes))
    return out


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_no_patient_is_both_learnt_from_and_held_out(trained: Path) -> None:
    found = rows(trained / "orthanc.csv")
    sides = [{row["group"] for row in found if row["held_out"] == side} for side in ("yes", "no")]
    assert all(sides)
    assert not sides[0] & sides[1]
    assert {row["label"] for row in found if row["held_out"] == "no"} == {row["label"] for row in found}
    history = json.loads((trained / "history.json").read_text())
    assert {"mAP", "P@10", "held_out_accuracy"} <= history[-1].keys()


def test_pictures_are_those_that_the_plugin_prepares(orthanc: OrthancProcess, trained: Path) -> None:
    row = rows(trained / "orthanc.csv")[0]
    (series,) = orthanc.http.post("/tools/lookup", content=row["SeriesInstanceUID"]).json()
    ours = slice_files.picture(trained / row["file"])
    instances = orthanc.http.get(f"/series/{series['ID']}").json()["Instances"]
    files = [orthanc.http.get(f"/instances/{instance}/file").content for instance in instances]
    assert any(np.array_equal(ours, prepare(read(file, Limits()).frame(1))) for file in files)


def test_nothing_that_names_a_patient_is_kept_on_disk(cohort: Path, trained: Path) -> None:
    names = {f.parts[len(cohort.parts)].encode() for f in cohort.rglob("*.dcm")} | {b"Demo^"}
    kept = [*(trained.parent).rglob("*.npz"), trained / "orthanc.csv"]
    kept += (trained.parent).rglob("cache/orthanc/*.json")
    assert len(kept) > 10
    assert not any(column.startswith("Patient") for column in rows(trained / "orthanc.csv")[0])
    for file in kept:
        assert not any(name in file.read_bytes() for name in names), file


def test_a_second_training_fetches_nothing_again(
    orthanc: OrthancProcess, cohort: Path, options: Callable[..., list[str]], trained: Path, tmp_path: Path
) -> None:
    before = orthanc.log_text().count("/file")
    orthanc.http.put("/tools/log-level", content="verbose")
    data.load(train.arguments(options(tmp_path, "--labels", cohort / "labels.csv", "--hold-out-share", SHARE)))
    orthanc.http.put("/tools/log-level", content="default")
    assert orthanc.log_text().count("/file") == before
    assert (tmp_path / "orthanc.csv").read_text() == (trained / "orthanc.csv").read_text()


def test_a_training_goes_on_with_what_it_began_with(
    orthanc: OrthancProcess, cohort: Path, options: Callable[..., list[str]], trained: Path, tmp_path: Path
) -> None:
    wishes = options(tmp_path, "--labels", cohort / "labels.csv", "--hold-out-share", SHARE, "--every", 2)
    train.train(train.arguments([*wishes, "--stop-after", "1"]))
    # a patient who comes in meanwhile, and an archive that cannot be reached, change nothing
    newcomer = orthanc.upload(mr_file("P9"))
    nowhere = [wish if wish != str(orthanc.http.base_url) else "http://127.0.0.1:1" for wish in wishes]
    train.train(train.arguments([*nowhere, "--resume"]))
    orthanc.delete(f"/instances/{newcomer}")
    whole, halves = (torch.load(run / "checkpoint.pt", weights_only=True)["averaged"] for run in (trained, tmp_path))
    assert all(torch.equal(whole[name], halves[name]) for name in whole)


def test_labels_that_orthanc_holds_are_learnt_from_as_well(
    options: Callable[..., list[str]], trained: Path, tmp_path: Path
) -> None:
    # the demo has set them as metadata
    data.load(train.arguments(options(tmp_path, "--hold-out-share", SHARE)))
    known, found = ({(row["file"], row["label"]) for row in rows(run / "orthanc.csv")} for run in (trained, tmp_path))
    assert known == found


def test_only_what_the_plugin_would_index_is_taken_and_a_series_label_goes_first(
    orthanc: OrthancProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = np.zeros((8, 8), np.uint16)
    volume = np.stack([picture(seed) for seed in range(3)])
    files = [mr_file("P20", 1, 1, 1), mr_file("P20", 1, 1, 2), mr_file("P20", 1, 1, 3, pixels=empty)]
    files += [mr_file("P20", 1, 2), mr_file("P20", 1, 3, Modality="CT"), mr_file("P20", 1, 4, pixels=volume)]
    files += [mr_file("", 1, 1)]
    instances = [orthanc.upload(file) for file in files]
    lines = [
        Labelled("studies", uid("P20", 1), "glioma", ""),
        Labelled("series", uid("P20", 1, 2), "normal", ""),
        Labelled("studies", uid("", 1), "glioma", ""),
    ]
    with Orthanc(str(orthanc.http.base_url)) as client:
        fetch(client, lines, tmp_path / "slices", tmp_path / "orthanc.csv", Wanted())
    for instance in instances:
        orthanc.delete(f"/instances/{instance}")
    found = rows(tmp_path / "orthanc.csv")
    series = {uid("P20", 1, number): number for number in (1, 2, 4)} | {uid("", 1, 1): 0}
    counted = Counter((series[row["SeriesInstanceUID"]], row["label"]) for row in found)
    assert counted == {(0, "glioma"): 1, (1, "glioma"): 2, (2, "normal"): 1, (4, "glioma"): 3}
    assert "1 left out: the slice is empty" in capsys.readouterr().out
    # all patients without an id would else be one
    nameless = hashlib.sha1(b"").hexdigest()  # noqa: S324 - as Orthanc names patients
    groups = {row["group"].replace("-", "") for row in found}
    assert len(groups) == 2
    assert nameless not in groups


def fitted(table: Path, out: Path) -> Path:
    """Return the folder of a fit to the same pictures, on the layers of the shipped model."""
    out.mkdir()
    (out / "fitted.toml").write_text(FITTED)
    wishes = ["--recipe", out / "fitted.toml", "--data", f"{table}:held_out=no", "--out", out, "--cache", out / "cache"]
    train.train(train.arguments(list(map(str, wishes))))
    return out


@pytest.mark.filterwarnings("default")  # the exporter warns of its own deprecated parts
@pytest.mark.parametrize("kind", ["trained", "fitted"])
def test_the_plugin_answers_with_the_model_that_was_trained(
    trained: Path, orthanc: OrthancProcess, make_orthanc: Callable[..., OrthancProcess], tmp_path: Path, kind: str
) -> None:
    about = tmp_path / "about.toml"
    about.write_text(ABOUT)
    table = trained / "orthanc.csv"
    run = trained if kind == "trained" else fitted(table, tmp_path / "run")
    wishes = ["--checkpoint", run / "checkpoint.pt", "--about", about, "--out", tmp_path / "models" / "toy"]
    export.export(export.arguments([*map(str, wishes), "--calibrate", f"{table}:held_out=yes"]))
    asked = [
        "--gallery",
        f"{table}:held_out=no",
        "--queries",
        f"{table}:held_out=yes",
        "--confound",
        "SeriesDescription",
    ]
    _, figures = evaluate.measure(evaluate.arguments([*asked, "--model", str(tmp_path / "models" / "toy")]))
    assert figures["classification"]["n_queries"] == figures["n_queries"]
    assert 0 < figures["confounds"]["SeriesDescription"]["chance"] < 1

    other = make_orthanc({"MinSimilarity": -1, "ModelDirectory": str(tmp_path / "models"), "Model": "toy"}).start()
    for patient in orthanc.http.get("/patients").json()[:3]:
        for instance in orthanc.http.get(f"/patients/{patient}/instances").json()[:2]:
            other.upload(orthanc.http.get(f"/instances/{instance['ID']}/file").content)
    assert other.wait_until_indexed()["indexed"] == 6
    answer = other.similar(other.http.get("/instances").json()[0])
    assert answer["model"]["name"] == "toy"
    assert len(answer["cases"]) == 2
    # what a fit says comes from no one place, and the plugin says so
    against = answer["cases"][0]["slices"][0]["orthancId"]
    heat = other.http.get(f"/cbmir/heatmap/{other.http.get('/instances').json()[0]}", params={"against": against})
    assert heat.status_code == (200 if kind == "trained" else 400)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["1.2.3,glioma"], "none of what is labelled is a series of MR"),
        (["{study},glioma", "{study},meningioma"], "has several labels (line 2, line 3)"),
        (["{study},glioma"], "all pictures are of the class 'glioma'"),
    ],
)
def test_what_cannot_be_learnt_from_is_said_in_a_sentence(
    cohort: Path, options: Callable[..., list[str]], tmp_path: Path, lines: list[str], sentence: str
) -> None:
    study = rows(cohort / "labels.csv")[0]["StudyInstanceUID"]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["StudyInstanceUID,label", *lines]).format(study=study))
    with pytest.raises(TableError) as raised:
        data.load(train.arguments(options(tmp_path, "--labels", table)))
    assert sentence in str(raised.value)


def test_a_label_of_a_single_instance_is_not_taken_for_one_of_its_study(
    cohort: Path, options: Callable[..., list[str]], tmp_path: Path
) -> None:
    study = rows(cohort / "labels.csv")[0]["StudyInstanceUID"]
    table = tmp_path / "labels.csv"
    table.write_text(f"StudyInstanceUID,SOPInstanceUID,label\n{study},1.2.3,glioma\n")
    with pytest.raises(TableError, match="line 2 is about an instance"):
        data.load(train.arguments(options(tmp_path, "--labels", table)))


def test_rows_that_are_not_in_the_archive_are_named(
    cohort: Path, options: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "labels.csv"
    known = (cohort / "labels.csv").read_text()
    table.write_text(f"{known}{uid('nobody', 1)},,,glioma,\n")
    data.load(train.arguments(options(tmp_path, "--labels", table)))
    assert f"StudyInstanceUID {uid('nobody', 1)} (line {len(known.splitlines()) + 1})" in capsys.readouterr().out


def test_an_archive_that_does_not_answer_is_said_in_a_sentence(cohort: Path, tmp_path: Path) -> None:
    wishes = ["--orthanc", "http://127.0.0.1:1", "--labels", str(cohort / "labels.csv"), "--out", str(tmp_path)]
    with pytest.raises(OrthancError, match=r"http://127\.0\.0\.1:1 does not answer"):
        data.load(train.arguments(wishes))
