"""A site's own model, from its readers' labels and verdicts to the answers, and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from dicom_files import mr_file, picture, uid
from model_folders import install
from orthanc_process import wait_for
from recipes import still

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("pytorch_metric_learning")

import feedback  # noqa: E402
import promote  # noqa: E402
import train  # noqa: E402
from cbmir.embedding import card_id  # noqa: E402
from promotion import history  # noqa: E402
from promotion.candidates import CANDIDATES, PromotionError, note_of  # noqa: E402
from sources.verdicts import read_pairs  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orthanc_process import OrthancProcess

PATIENTS = [f"P{number}" for number in range(44)]
KINDS = 8
"""Of pictures, half of them for each label: the shipped model tells kinds apart, a model of this site also labels."""


class Site:
    """An Orthanc whose readers have labelled its studies, and where its models lie."""

    def __init__(self, orthanc: OrthancProcess, folder: Path) -> None:
        self.orthanc, self.folder = orthanc, folder
        self.models = folder / "models"
        self.configuration = orthanc.folder / "orthanc.json"

    def train(self, *more: str) -> Path:
        """Train, and return the folder of the run."""
        recipe, out = self.folder / "tiny.toml", self.folder / "run"
        recipe.write_text(still(64, 12))
        wishes = {
            "--recipe": recipe,
            "--orthanc": self.orthanc.http.base_url,
            "--labels": self.folder / "labels.csv",
            "--hold-out-share": 0.4,
            "--out": out,
            "--cache": self.folder / "cache",
            "--models": self.models,
            "--candidate": "own",
            "--init": self.models / "shipped",
            "--every": 99,
        }
        train.train(train.arguments([*(str(part) for wish in wishes.items() for part in wish), *more]))
        return out

    def promote(self, *wishes: str) -> int:
        return promote.main([*wishes, "--configuration", str(self.configuration), "--models", str(self.models)])

    def restart(self) -> dict[str, Any]:
        """Start Orthanc with what the file says now; return the model that answers when all is embedded."""
        assert self.orthanc.stop() == 0
        self.orthanc.configuration = json.loads(self.configuration.read_text())
        self.orthanc.start()

        def settled() -> dict[str, Any] | None:
            status = self.orthanc.status()
            done = status.get("reconciled") and not status["modelChange"] and not status["queued"]
            return status if done else None

        return dict(wait_for(settled, "every slice is embedded", seconds=120)["model"])


@pytest.fixture
def site(make_orthanc: Callable[..., OrthancProcess], tmp_path: Path) -> Site:
    """Return a site with the shipped model, and with patients whose readers have labelled them."""
    models = install(tmp_path / "models", "shipped")
    orthanc = make_orthanc({"ModelDirectory": str(models), "Model": "shipped", "MinSimilarity": -1}).start()
    for number, patient in enumerate(PATIENTS):
        orthanc.upload(mr_file(patient, pixels=picture(number, kind=number % KINDS)))
    lines = [f"{uid(patient, 1)},{('stripes', 'spots')[number % 2]}" for number, patient in enumerate(PATIENTS)]
    (tmp_path / "labels.csv").write_text("\n".join(["StudyInstanceUID,label", *lines]))
    orthanc.wait_until_indexed(len(PATIENTS))
    return Site(orthanc, tmp_path)


def say(site: Site) -> Path:
    """Have a reader judge pairs of many patients; return the table of what was said."""
    instances = site.orthanc.http.get("/instances").json()
    for one, other in zip(instances[::2], instances[1::2], strict=True):
        said = {"query": one, "hit": other, "verdict": "different"}
        assert site.orthanc.http.post("/cbmir/feedback", json=said).status_code == 201
    table = site.folder / "feedback.csv"
    assert feedback.main(["--url", str(site.orthanc.http.base_url), "--out", str(table)]) == 0
    return table


@pytest.mark.filterwarnings("default")  # the exporter warns of its own deprecated parts
def test_a_model_is_trained_compared_promoted_and_taken_back(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    run = site.train("--feedback", str(say(site)))
    candidate = site.models / CANDIDATES / "own"
    note = note_of(candidate)
    assert note is not None
    # nothing was learnt from those held out, neither from labels nor from verdicts
    table = [line.split(",") for line in (run / "orthanc.csv").read_text().splitlines()[1:]]
    held_out = {line[2] for line in table if line[3] == "yes"}
    assert held_out
    assert not held_out & set(note.trained_on)
    assert (
        not {group for pair in read_pairs(run / "pairs.csv") for group in (pair.one.group, pair.other.group)} & held_out
    )
    assert "a patient is held out" in capsys.readouterr().out
    # a candidate is none of the models that may answer
    assert site.orthanc.status()["model"]["name"] == "shipped"

    before = site.configuration.read_text()
    assert site.promote("own", "--dry-run") == 0
    told = capsys.readouterr().out
    assert f"slices of {len(held_out)} patients whom neither was trained on" in told
    assert site.orthanc.status()["model"]["id"] in told
    # networks are compared as precisely as the configuration has them run
    settings = json.loads(before)
    settings["Cbmir"]["Precision"] = "fp32"
    site.configuration.write_text(json.dumps(settings))
    site.promote("own", "--dry-run")
    assert card_id(site.models / "shipped", "fp32") in capsys.readouterr().out
    site.configuration.write_text(before)
    # no model can be better by so much
    assert site.promote("own", "--margin", "-0.9") == promote.REFUSED
    assert "shipped goes on answering" in capsys.readouterr().out
    assert site.configuration.read_text() == before
    assert candidate.is_dir()

    assert site.promote("own") == 0, told
    assert not candidate.exists()
    assert site.restart()["name"] == "own"
    assert "patients of this site, held out" in site.orthanc.http.get("/cbmir/model").json()["figures"]
    answer = site.orthanc.similar(site.orthanc.http.get("/instances").json()[0])
    assert answer["model"]["name"] == "own"
    assert len(answer["cases"]) == 10

    with pytest.raises(PromotionError, match="has a model 'own' already"):
        site.train("--resume")
    assert site.promote("--back") == 0
    assert site.restart()["name"] == "shipped"
    assert site.promote("--back") == 1
    assert [(one["action"], one["to"]) for one in history.decisions(site.models)] == [
        ("refused", "own"),
        ("promoted", str(site.models / "own")),
        ("back", "shipped"),
    ]
