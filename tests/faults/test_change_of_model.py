"""Another model takes over on a real Orthanc: the one before answers meanwhile, whatever happens on the way."""

from __future__ import annotations

import itertools
import shutil
import signal
from typing import TYPE_CHECKING, Any

import pytest
from agreement import assert_agreement
from catalogue_file import CatalogueFile
from dicom_files import mr_file
from model_folders import install
from orthanc_process import wait_for

from cbmir.failpoints import CHANGE_POINTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orthanc_process import OrthancProcess

KILLED = -signal.SIGKILL
SLICES = 12


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Two models that differ in their names, and so in their ids: nothing of one may be taken for the other's."""
    return install(tmp_path / "models", "first", "second")


@pytest.fixture
def orthanc(make_orthanc: Callable[..., OrthancProcess], models: Path) -> OrthancProcess:
    """An Orthanc that has embedded a dozen slices by the first model and is stopped."""
    orthanc = make_orthanc({"ModelDirectory": str(models), "Model": "first"}).start()
    for patient, number in itertools.product("ABCD", range(3)):
        orthanc.upload(mr_file(patient, number=number))
    orthanc.wait_until_indexed(SLICES)
    assert orthanc.stop() == 0
    return orthanc


def choose(orthanc: OrthancProcess, model: str, failpoint: str = "") -> OrthancProcess:
    orthanc.configuration["Cbmir"]["Model"] = model
    orthanc.environment["CBMIR_FAILPOINT"] = failpoint
    return orthanc


def name(orthanc: OrthancProcess) -> str:
    return str(orthanc.status()["model"]["name"])


def finished(orthanc: OrthancProcess, model: str) -> bool:
    status = orthanc.status()
    return status.get("modelChange") is None and status["model"]["name"] == model


def assert_only(orthanc: OrthancProcess, model: str) -> None:
    """Assert that the change is done, without a trace of another model and with everything found."""
    wait_for(lambda: finished(orthanc, model), f"{model} answers")
    wait_for(lambda: len(CatalogueFile(orthanc.data).models()) == 1, "the other's vectors are gone")
    assert_agreement(orthanc)


def cases(answer: dict[str, Any]) -> list[str]:
    return [case["slices"][0]["orthancId"] for case in answer["cases"]]


def test_the_first_model_answers_until_the_second_takes_over_at_once(orthanc: OrthancProcess) -> None:
    (go_on,) = choose(orthanc, "second").hold("embedded:1")
    orthanc.start()
    query = min(orthanc.instances())
    before = orthanc.similar(query)
    assert before["model"]["name"] == "first"
    assert orthanc.status()["modelChange"] == {**orthanc.status()["modelChange"], "slices": 0, "of": SLICES}
    late = orthanc.upload(mr_file("late"))
    orthanc.delete(f"/instances/{cases(before)[0]}")
    go_on.touch()
    wait_for(lambda: name(orthanc) == "second", "the second model answers")
    after = orthanc.similar(query, k=100, group="none")
    assert cases(before)[0] not in cases(after)
    assert late in cases(after)
    assert "second-" in orthanc.log_text()
    assert_only(orthanc, "second")


def test_what_arrives_during_the_change_is_found_before_it_is_over(orthanc: OrthancProcess) -> None:
    orthanc.configuration["Cbmir"]["BatchSize"] = 1
    # it arrives at the first, and is asked for at the second, when the change has gone on after it
    arrived, asked = choose(orthanc, "second").hold("embedded:2", "embedded:7")
    orthanc.start()
    query = min(orthanc.instances())
    late = orthanc.upload(mr_file("late"))
    arrived.touch()

    def found() -> dict[str, Any] | None:
        answer = orthanc.similar(query, k=100)
        return answer if late in cases(answer) else None

    assert wait_for(found, "the slice is found")["model"]["name"] == "first"
    asked.touch()
    assert_only(orthanc, "second")
    assert found()


def test_between_the_last_vector_and_the_switch_the_first_model_answers(orthanc: OrthancProcess) -> None:
    (go_on,) = choose(orthanc, "second").hold("before-switch:1")
    orthanc.start()
    query = min(orthanc.instances())
    wait_for(lambda: orthanc.status()["modelChange"]["slices"] == SLICES, "all is embedded anew")
    assert orthanc.similar(query)["model"]["name"] == "first"
    go_on.touch()
    assert_only(orthanc, "second")


@pytest.mark.parametrize("point", ["embedded", "before-commit", "after-commit", "before-index", *CHANGE_POINTS])
def test_a_death_at_any_point_of_the_change_costs_nothing(orthanc: OrthancProcess, point: str) -> None:
    choose(orthanc, "second", f"{point}:2:kill" if point not in CHANGE_POINTS else f"{point}:1:kill").launch()
    orthanc.wait_for_start()
    assert orthanc.wait_for_end() == KILLED
    choose(orthanc, "second").start()
    assert name(orthanc) in {"first", "second"}
    query = min(orthanc.instances())
    assert len(orthanc.similar(query)["cases"]) == 3
    assert_only(orthanc, "second")


def test_changing_back_after_a_death_in_the_middle_answers_as_before(orthanc: OrthancProcess) -> None:
    choose(orthanc, "first").start()
    query = min(orthanc.instances())
    before = orthanc.similar(query)
    assert orthanc.stop() == 0
    choose(orthanc, "second", "before-index:3:kill").launch()
    assert orthanc.wait_for_end() == KILLED
    choose(orthanc, "first").start()
    assert orthanc.similar(query) == before
    assert_only(orthanc, "first")


def test_a_second_model_that_is_damaged_leaves_the_first_at_work(orthanc: OrthancProcess, models: Path) -> None:
    network = models / "second" / "model-int8.onnx"
    network.write_bytes(network.read_bytes()[:-1])
    choose(orthanc, "second").start()
    late = orthanc.upload(mr_file("late"))
    orthanc.wait_until_indexed(SLICES + 1)
    wait_for(lambda: orthanc.status()["state"] == "degraded", "the status says so")
    assert "'first' goes on answering" in orthanc.status()["reason"]
    assert orthanc.similar(late)["model"]["name"] == "first"
    assert_agreement(orthanc)


def test_without_the_first_model_its_vectors_answer_and_what_needs_it_is_told(
    orthanc: OrthancProcess, models: Path
) -> None:
    shutil.rmtree(models / "first")
    (go_on,) = choose(orthanc, "second").hold("embedded:1")
    orthanc.start()
    query = min(orthanc.instances())
    assert len(orthanc.similar(query)["cases"]) == 3
    response = orthanc.http.get(f"/cbmir/similar/{query}", params={"roi": "1,1,20,20"})
    assert response.status_code == 503
    assert "is being changed" in response.json()["error"]["message"]
    go_on.touch()
    assert_only(orthanc, "second")
    assert orthanc.http.get(f"/cbmir/similar/{query}", params={"roi": "1,1,20,20"}).status_code == 200


def test_a_model_may_be_named_by_its_path(orthanc: OrthancProcess, models: Path) -> None:
    elsewhere = models.parent / "elsewhere"
    shutil.move(models / "second", elsewhere)
    choose(orthanc, str(elsewhere)).start()
    assert_only(orthanc, "second")
