from __future__ import annotations

import csv
import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import promote
from deploy.service_config import settings_of
from evaluation.ranked import Embedded, Evaluation
from promotion import comparison, configuration, history
from promotion.candidates import NOTE, PromotionError, candidate_folder, note_of, promoted, write_note
from promotion.comparison import FEWEST_PATIENTS, Comparison, Difference, compare
from sources.tables import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

REPOSITORY = Path(__file__).parents[2]


# ---- two models on the same patients ----


def evaluation(patients: Sequence[str], quality: Sequence[float]) -> Evaluation:
    """Return what an evaluation says of one slice of each patient."""
    rows = [Row(Path(f"{number}"), "x", patient) for number, patient in enumerate(patients)]
    both = Embedded(rows, np.empty((len(rows), 2), np.float32))
    values = {name: np.array(quality, float) for name in comparison.MEASURES}
    nothing = np.empty(0)
    return Evaluation(both, both, values, nothing, nothing, nothing, nothing, same_group=True)


PATIENTS = [f"P{number}" for number in range(40)]
NOISE = np.random.default_rng(0).normal(0, 0.2, 40)


def test_what_is_hard_for_both_models_does_not_blur_the_difference() -> None:
    found = compare(evaluation(PATIENTS, 0.5 + NOISE), evaluation(PATIENTS, 0.53 + NOISE))
    one = found.differences["mAP"]
    assert one.mean == pytest.approx(0.03)
    assert one.low == pytest.approx(0.03)
    assert found.reason_against(0.02) is None
    assert found.reason_against(-0.02) is None
    assert "may be better by less than 0.05 in mAP and P@10" in str(found.reason_against(-0.05))


def test_a_worse_candidate_is_refused_however_unsure_that_is() -> None:
    found = compare(evaluation(PATIENTS, [0.5] * 40), evaluation(PATIENTS, 0.49 + NOISE - NOISE.mean()))
    assert found.reason_against(0.5) == "it is worse in mAP and P@10"


def test_a_candidate_that_is_better_by_chance_is_refused() -> None:
    found = compare(evaluation(PATIENTS, [0.5] * 40), evaluation(PATIENTS, 0.51 + NOISE - NOISE.mean()))
    assert "it may be worse by more than 0.02" in str(found.reason_against(0.02))
    assert "40 patients are too few" in str(found.reason_against(0.02))


def test_one_measure_that_is_worse_is_enough() -> None:
    differences = {"mAP": Difference(0.5, 0.6, 0.05, 0.15), "P@10": Difference(0.5, 0.49, -0.02, 0.0)}
    assert Comparison(differences, 40, 40).reason_against(0.1) == "it is worse in P@10"


def test_a_patient_of_many_slices_counts_as_one() -> None:
    patients = [*PATIENTS, *["P0"] * 400]
    found = compare(evaluation(patients, [0.5] * 440), evaluation(patients, [*[0.5] * 40, *[1.0] * 400]))
    assert found.patients == 40
    assert found.differences["mAP"].mean < 0.02


def test_queries_that_nothing_can_be_said_of_are_left_out_and_few_patients_are_too_few() -> None:
    quality = [0.5] * FEWEST_PATIENTS + [np.nan] * (40 - FEWEST_PATIENTS)
    assert compare(evaluation(PATIENTS, quality), evaluation(PATIENTS, quality)).patients == FEWEST_PATIENTS
    quality[0] = np.nan
    with pytest.raises(PromotionError, match=f"only {FEWEST_PATIENTS - 1} patients held out"):
        compare(evaluation(PATIENTS, quality), evaluation(PATIENTS, quality))


def test_the_comparison_is_told_in_a_table_and_kept_as_json() -> None:
    found = compare(evaluation(PATIENTS, [0.5] * 40), evaluation(PATIENTS, [0.75] * 40))
    text = comparison.table(found, ["old-1", "new-2"])
    assert "new-2 against old-1" in text
    assert "0.5000      0.7500     +0.2500   +0.2500 to +0.2500" in text
    assert json.loads(json.dumps(found.as_json()))["measures"]["mAP"]["candidate"] == 0.75


# ---- whom nothing was learnt from ----


def site(models: Path, table: Path, name: str, trained_on: Sequence[str]) -> Path:
    folder = models / name
    folder.mkdir(parents=True)
    write_note(folder, table, trained_on)
    return folder


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return a table of four patients, of whom A and B are held out."""
    path = tmp_path / "orthanc.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label", "group", "held_out"])
        for group in "ABCD":
            (tmp_path / f"{group}.png").touch()
            writer.writerow([f"{group}.png", "x", group, "yes" if group in "AB" else "no"])
    return path


def test_only_those_ask_whom_neither_model_learnt_from(tmp_path: Path, table: Path) -> None:
    candidate = site(tmp_path, table, "new", ["C", "D"])
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    queries, gallery = promote.held_out(candidate, shipped)
    assert [row.group for row in queries] == ["A", "B"]
    assert [row.group for row in gallery] == ["A", "B", "C", "D"]
    # the one that answers now was trained with another share held out
    former = site(tmp_path, table, "old", ["A", "D"])
    assert [row.group for row in promote.held_out(candidate, former)[0]] == ["B"]
    with pytest.raises(PromotionError, match="each was learnt from"):
        promote.held_out(candidate, site(tmp_path, table, "older", ["A", "B"]))
    with pytest.raises(PromotionError, match="does not say what it was trained on"):
        promote.held_out(shipped, former)


def test_a_note_names_patients_and_is_for_its_owner_alone(tmp_path: Path, table: Path) -> None:
    folder = site(tmp_path, table, "new", ["D", "C", "C"])
    assert stat.S_IMODE((folder / NOTE).stat().st_mode) == 0o600
    note = note_of(folder)
    assert note is not None
    assert (note.trained_on, note.table) == (("C", "D"), str(table))
    (folder / NOTE).write_text("{}")
    with pytest.raises(PromotionError, match="cannot be read"):
        note_of(folder)


@pytest.mark.parametrize("name", ["", "..", ".x", "a/b", "/a", "candidates"])
def test_a_candidate_has_a_plain_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(PromotionError):
        candidate_folder(tmp_path, name)


def test_a_candidate_never_takes_the_place_of_a_model(tmp_path: Path) -> None:
    folder = candidate_folder(tmp_path, "own")
    folder.mkdir(parents=True)
    assert promoted(tmp_path, "own") == tmp_path / "own"
    assert not folder.exists()
    with pytest.raises(PromotionError, match="has a model 'own' already"):
        candidate_folder(tmp_path, "own")


# ---- the history ----


def test_each_way_back_leads_one_promotion_further(tmp_path: Path) -> None:
    with pytest.raises(PromotionError, match="no promotion"):
        history.before(tmp_path)
    history.note(tmp_path, "promoted", "shipped", "/own1", figures={})
    history.note(tmp_path, "refused", "/own1", "own2", reason="it is worse in mAP")
    history.note(tmp_path, "promoted", "/own1", "/own3")
    assert history.before(tmp_path) == "/own1"
    history.note(tmp_path, "back", "/own3", "/own1")
    assert history.before(tmp_path) == "shipped"
    history.note(tmp_path, "back", "/own1", "shipped")
    with pytest.raises(PromotionError, match="no promotion"):
        history.before(tmp_path)
    assert [one["action"] for one in history.decisions(tmp_path)] == ["promoted", "refused", "promoted", "back", "back"]


# ---- the configuration ----


@pytest.mark.parametrize(
    "text",
    [
        '{"Cbmir": {"Model": "old"}}',
        '{"Cbmir": {"Threads": 2, "Model" : /* why */ "old" , "Other": ["Model", "x"]}, "Model": "mine"}',
        '{"Model": "mine", "X": {"Model": "mine"}, "List": [{"Model": 1}, "Cbmir"], "Cbmir": {"Model":\n"old"}}',
        '{"Cbmir": {}}',
        '{"Cbmir": { /* } */ }}',
        '{\n  // "Cbmir": {"Model": "no"}\n  "Cbmir": {"Threads": 1}}',
        '{"Name": "\\"Cbmir\\": {", "Cbmir": {"DataDirectory": "//x", "Deep": {"Model": "mine"}}}',
    ],
)
def test_only_the_model_changes_in_a_configuration(tmp_path: Path, text: str) -> None:
    file = tmp_path / "orthanc.json"
    file.write_text(text)
    file.chmod(0o640)
    before = settings_of(file)
    found = configuration.find(file)
    assert found.model == before["Cbmir"].get("Model", "figshare-gem")
    configuration.name_model(found, "/models/own")
    assert settings_of(file) == {**before, "Cbmir": {**before["Cbmir"], "Model": "/models/own"}}
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [one.name for one in tmp_path.iterdir()] == ["orthanc.json"]


def test_the_comments_of_the_shipped_configuration_stay(tmp_path: Path) -> None:
    before = (REPOSITORY / "orthanc.json").read_text()
    after = configuration.with_model(before, "own")
    assert after == before.replace('"Model": "figshare-gem"', '"Model": "own"')
    assert after != before
    file = tmp_path / "orthanc.json"
    file.write_text(after)
    assert configuration.find(file).model == "own"


def test_the_section_is_found_in_a_folder_of_configurations(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"Name": "x"}')
    (tmp_path / "cbmir.json").write_text('{"Cbmir": {"Model": "old", "ModelDirectory": "/m"}}')
    found = configuration.find(tmp_path)
    assert (found.file.name, str(found.model_folder), found.precision) == ("cbmir.json", "/m/old", "int8")
    (tmp_path / "cbmir.json").unlink()
    with pytest.raises(PromotionError, match="0 sections"):
        configuration.find(tmp_path)
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(PromotionError, match="cannot be read"):
        configuration.find(tmp_path / "a.json")


def test_what_cannot_be_written_is_told_to_be_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "orthanc.json"
    file.write_text('{"Cbmir": {"Model": "old"}}')

    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(configuration, "name_model", refuse)
    assert promote.switch(configuration.find(file), "/models/own") == promote.BY_HAND
    assert '"Cbmir": { "Model": "/models/own" }' in capsys.readouterr().out
    assert configuration.find(file).model == "old"


@pytest.mark.parametrize(
    "wishes", [[], ["own", "--back"], ["own", "--margin", "2"]], ids=["nothing", "both", "no margin"]
)
def test_wishes_that_make_no_sense_are_refused(wishes: list[str]) -> None:
    with pytest.raises(SystemExit):
        promote.arguments([*wishes, "--configuration", "x"])


def test_a_candidate_that_is_not_there_is_said_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "orthanc.json"
    file.write_text('{"Cbmir": {}}')
    assert promote.main(["own", "--configuration", str(file), "--models", str(tmp_path)]) == 1
    assert f"there is no model in {tmp_path}/candidates/own" in capsys.readouterr().err
    assert promote.main(["--back", "--configuration", str(file), "--models", str(tmp_path)]) == 1
