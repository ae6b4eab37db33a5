"""Retrieval measured through the REST API of a running Orthanc equals what scripts/evaluate.py measures."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from dicom_files import picture
from orthanc_process import REPOSITORY
from PIL import Image

from evaluation.metrics import average_precision, rank

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orthanc_process import OrthancProcess

FIGSHARE = REPOSITORY.parent / "shared" / "data" / "figshare_ce_mri" / "index.csv"
MOST_CASES = 60
"""Studies named in one request: a longer list of UIDs is refused."""
TOLERANCE = 0.002
"""Of mAP: the API rounds similarities to four digits, and its index is approximate."""


def write_table(folder: Path, rows: list[tuple[Path, str, int]]) -> Path:
    """Write an index.csv of (file, label, fold)."""
    folder.mkdir(exist_ok=True)
    table = folder / "index.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "label", "fold"))
        writer.writerows(rows)
    return table


def made_rows(folder: Path) -> list[tuple[Path, str, int]]:
    """Make pictures of three kinds in two folds."""
    folder.mkdir()
    rows = []
    for kind in range(3):
        for number in range(16):
            path = folder / f"{kind}-{number}.png"
            Image.fromarray((picture(100 * kind + number, kind=kind) >> 4).astype(np.uint8)).save(path)
            rows.append((path, f"kind{kind}", 1 + number % 2))
    return rows


def figshare_rows(_folder: Path, gallery: int, queries: int) -> list[tuple[Path, str, int]]:
    """Return an even sample of the real pictures: fold 1 is the gallery, fold 2 (the last of theirs) the queries."""
    if not FIGSHARE.exists():
        pytest.skip("the figshare pictures beside the checkout are absent")
    with FIGSHARE.open(newline="") as file:
        lines = list(csv.DictReader(file))
    rows = []
    for fold, wanted in ((1, gallery), (2, queries)):
        of_fold = [line for line in lines if (line["patient_fold"] == "4") == (fold == 2)]
        for i in range(min(wanted, len(of_fold))):
            line = of_fold[i * len(of_fold) // min(wanted, len(of_fold))]
            rows.append((FIGSHARE.parent / line["file"], line["label"], fold))
    return rows


def run(script: str, *arguments: object) -> None:
    """Run a script of the project."""
    done = subprocess.run(
        [sys.executable, REPOSITORY / "scripts" / script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def ranking_through_the_api(orthanc: OrthancProcess, query: str, gallery: dict[str, str]) -> dict[str, float]:
    """Return the similarity of every picture of the gallery (StudyInstanceUID → file) to an instance."""
    found: dict[str, float] = {}
    studies = list(gallery)
    for start in range(0, len(studies), MOST_CASES):
        some = ",".join(studies[start : start + MOST_CASES])
        answer = orthanc.similar(query, k=MOST_CASES, group="none", StudyInstanceUID=some)
        # similarities are rounded, ranks are not
        found |= {
            gallery[case["StudyInstanceUID"]]: case["similarity"] - 1e-7 * case["rank"] for case in answer["cases"]
        }
    return found


@pytest.mark.parametrize(
    "make_rows",
    [
        pytest.param(made_rows, id="made"),
        pytest.param(lambda folder: figshare_rows(folder, 150, 20), id="figshare sample"),
        pytest.param(lambda folder: figshare_rows(folder, 10_000, 100), id="figshare", marks=pytest.mark.slow),
    ],
)
def test_the_api_retrieves_as_well_as_the_evaluation_says(
    make_orthanc: Callable[..., OrthancProcess],
    tmp_path: Path,
    make_rows: Callable[[Path], list[tuple[Path, str, int]]],
) -> None:
    table = write_table(tmp_path / "table", make_rows(tmp_path / "pictures"))
    run(
        "evaluate.py",
        *("--gallery", f"{table}:fold=1", "--queries", f"{table}:fold=2", "--label", "label", "--group", "fold"),
        *("--json", tmp_path / "evaluation.json"),
    )
    expected = json.loads((tmp_path / "evaluation.json").read_text())

    # each part of the gallery is asked for by itself, so the first hits of one have no say in the others
    orthanc = make_orthanc({"MinSimilarity": -1, "QueryExpansion": 0}).start()
    run(
        "demo.py", "--table", table, "--patient-per-image", "--out", tmp_path / "dicom", "--send", orthanc.http.base_url
    )
    orthanc.wait_until_indexed()
    with table.open(newline="") as file:
        lines = {line["file"]: line for line in csv.DictReader(file)}
    studies = {}
    for study in orthanc.http.get("/studies?expand").json():
        comments = orthanc.http.get(f"/studies/{study['ID']}/instances-tags?simplify").json()
        ((instance, tags),) = comments.items()
        studies[tags["ImageComments"].partition("; file ")[2]] = (study["MainDicomTags"]["StudyInstanceUID"], instance)
    gallery = {uid: name for name, (uid, _) in studies.items() if lines[name]["fold"] == "1"}
    names = list(gallery.values())
    queries = [name for name in lines if lines[name]["fold"] == "2"]
    similarity = np.full((len(queries), len(names)), -1, np.float64)
    for row, query in enumerate(queries):
        found = ranking_through_the_api(orthanc, studies[query][1], gallery)
        similarity[row] = [found.get(name, -1) for name in names]
    of = np.array([lines[name]["label"] for name in names]), np.array([lines[name]["label"] for name in queries])
    measured = float(np.nanmean(average_precision(rank(similarity, of[1], of[0]))))
    print(f"mAP through the API {measured:.4f}, of the evaluation {expected['mAP']:.4f}")
    assert measured == pytest.approx(expected["mAP"], abs=TOLERANCE)
