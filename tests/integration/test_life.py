"""The plugin's life inside Orthanc: what it cannot start with, how it ends, and what it finds when it comes back."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from agreement import assert_agreement
from catalogue_file import CatalogueFile
from dicom_files import mr_file
from orthanc_process import REPOSITORY, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from orthanc_process import OrthancProcess

STOP_LIMIT = 15
"""Seconds in which Orthanc must have ended, whatever the plugin is at."""

PLUGIN = REPOSITORY / "plugin"


def fill(orthanc: OrthancProcess, *, patients: str = "ABCD", slices: int = 2) -> str:
    """Index slices of some patients; return one of them."""
    ids = [orthanc.upload(mr_file(patient, number=number)) for patient in patients for number in range(slices)]
    orthanc.wait_until_indexed()
    return ids[0]


# ---- it cannot start ----


def assert_disabled(orthanc: OrthancProcess, reason: str, folder: Path) -> None:
    """Assert that Orthanc does all it does without the plugin, and that the plugin says what is wrong."""
    (folder / "A.dcm").write_bytes(mr_file("A"))
    orthanc.store_scu(folder / "A.dcm")
    (stored,) = orthanc.instances()
    for path in ("/cbmir/status", f"/cbmir/similar/{stored}"):
        response = orthanc.http.get(path)
        assert response.status_code == 503
        assert reason in (response.json().get("reason") or response.json()["error"]["message"])
    status = orthanc.status()
    assert status["state"] == "disabled"
    assert reason in status["reason"]
    assert reason in orthanc.log_text()
    orthanc.check()


def test_without_its_model_the_plugin_is_disabled(make_orthanc: Callable[..., OrthancProcess], tmp_path: Path) -> None:
    orthanc = make_orthanc({"Model": "missing"}).start()
    assert_disabled(orthanc, "no usable model in", tmp_path)


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_with_an_altered_model_the_plugin_is_disabled(
    make_orthanc: Callable[..., OrthancProcess], tmp_path: Path, precision: str
) -> None:
    orthanc = make_orthanc({"Precision": precision})
    models = copied_model(orthanc, tmp_path / "models")
    card = json.loads((models / "card.json").read_text())
    network = models / {"fp32": card, "int8": card["int8"]}[precision]["file"]
    network.write_bytes(network.read_bytes() + b"\0")
    orthanc.start()
    assert_disabled(orthanc, "is not the file its card describes", tmp_path)


def copied_model(orthanc: OrthancProcess, folder: Path) -> Path:
    """Have Orthanc use a copy of its model; return the copy's folder."""
    settings = orthanc.configuration["Cbmir"]
    shipped = Path(settings.get("ModelDirectory", PLUGIN / "cbmir" / "models")) / settings.get("Model", "figshare-gem")
    copy = folder / "copy"
    shutil.copytree(shipped, copy)
    settings |= {"ModelDirectory": str(folder), "Model": "copy"}
    return copy


def test_with_an_unknown_setting_the_plugin_is_disabled_and_names_the_nearest(
    make_orthanc: Callable[..., OrthancProcess], tmp_path: Path
) -> None:
    orthanc = make_orthanc({"BachSize": 4}).start()
    assert_disabled(orthanc, 'unknown setting "Cbmir.BachSize": did you mean "BatchSize"?', tmp_path)


def test_without_its_packages_the_plugin_is_disabled(
    make_orthanc: Callable[..., OrthancProcess], tmp_path: Path
) -> None:
    orthanc = make_orthanc()
    orthanc.environment["PYTHONPATH"] = ""
    orthanc.start()
    assert_disabled(orthanc, "No module named", tmp_path)


def test_without_torch_the_runtime_torch_is_disabled(
    make_orthanc: Callable[..., OrthancProcess], tmp_path: Path
) -> None:
    orthanc = make_orthanc({"Runtime": "torch"})
    (tmp_path / "torch.py").write_text("raise ImportError(\"No module named 'torch'\")")
    orthanc.environment["PYTHONPATH"] = f"{tmp_path}:{orthanc.environment['PYTHONPATH']}"
    orthanc.start()
    assert_disabled(orthanc, "the runtime 'torch' cannot load", tmp_path)


def test_a_second_orthanc_does_not_share_the_data_directory(
    make_orthanc: Callable[..., OrthancProcess], tmp_path: Path
) -> None:
    first = make_orthanc().start()
    second = make_orthanc({"DataDirectory": str(first.data)}).start()
    assert_disabled(second, "another Orthanc uses the data directory", tmp_path)
    fill(first)
    assert_agreement(first)


def test_switched_off_it_leaves_orthanc_as_it_is(make_orthanc: Callable[..., OrthancProcess]) -> None:
    orthanc = make_orthanc({"Enabled": False})
    orthanc.launch()
    wait_for(orthanc.answers, "Orthanc answers")
    orthanc.upload(mr_file("A"))
    assert orthanc.http.get("/cbmir/status").status_code == 404
    assert not orthanc.data.exists()


# ---- it ends ----


def stop_in_time(orthanc: OrthancProcess, go_on: Path | None = None) -> None:
    start = time.monotonic()
    assert orthanc.stop(go_on=go_on) == 0
    assert time.monotonic() - start < STOP_LIMIT


def test_stopping_amid_three_hundred_waiting_slices_is_quick_and_loses_none(
    make_orthanc: Callable[..., OrthancProcess],
) -> None:
    orthanc = make_orthanc()
    (go_on,) = orthanc.hold("embedded:3")
    orthanc.start()
    for number in range(300):
        orthanc.upload(mr_file(f"P{number % 30}", number=number))
    wait_for(lambda: orthanc.status()["indexed"] > 0, "the burst is over and the indexing goes on")
    assert orthanc.status()["queued"] > 0
    stop_in_time(orthanc, go_on)
    before = CatalogueFile(orthanc.data).arrivals()
    assert 0 < len(CatalogueFile(orthanc.data).vectors()) < 300
    orthanc.start()
    orthanc.wait_until_indexed(300)
    assert_agreement(orthanc)
    after = CatalogueFile(orthanc.data)
    assert len(after.vectors()) == 300
    assert before.items() <= after.arrivals().items(), "what was known is not indexed a second time"


def test_stopping_while_the_model_loads_is_quick(make_orthanc: Callable[..., OrthancProcess]) -> None:
    orthanc = make_orthanc()
    orthanc.launch()
    wait_for(orthanc.answers, "Orthanc answers")
    stop_in_time(orthanc)


# ---- it comes back ----


def restart_and_compare(orthanc: OrthancProcess, times: int) -> None:
    query = fill(orthanc)
    orthanc.delete(f"/instances/{orthanc.upload(mr_file('gone'))}")
    orthanc.settle()
    catalogue = CatalogueFile(orthanc.data)
    answer = orthanc.http.get(f"/cbmir/similar/{query}").content
    rows = catalogue.states(), catalogue.arrivals(), catalogue.vectors()
    sizes = None
    for _ in range(times):
        assert orthanc.stop() == 0
        if sizes is not None:
            assert sizes_of(orthanc.data) == sizes
        sizes = sizes_of(orthanc.data)
        orthanc.start()
        orthanc.wait_until_indexed()
        assert orthanc.http.get(f"/cbmir/similar/{query}").content == answer
        assert (catalogue.states(), catalogue.arrivals(), catalogue.vectors()) == rows
    assert_agreement(orthanc)


def sizes_of(folder: Path) -> dict[str, int]:
    """Return the sizes of files, without SQLite's logs, which are emptied now and then."""
    return {file.name: file.stat().st_size for file in folder.iterdir() if file.suffix in {".sqlite", ".bin", ".json"}}


def test_restarts_change_no_answer_and_nothing_grows(orthanc: OrthancProcess) -> None:
    restart_and_compare(orthanc, 3)


@pytest.mark.slow
def test_twenty_restarts_change_no_answer_and_nothing_grows(orthanc: OrthancProcess) -> None:
    restart_and_compare(orthanc, 20)


def test_another_model_embeds_everything_anew_and_vectors_are_never_mixed(
    make_orthanc: Callable[..., OrthancProcess], tmp_path: Path
) -> None:
    orthanc = make_orthanc().start()
    query = fill(orthanc)
    (before,) = CatalogueFile(orthanc.data).models()
    assert orthanc.stop() == 0
    card = copied_model(orthanc, tmp_path / "models") / "card.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"name": "renamed"}))
    orthanc.start()
    wait_for(lambda: orthanc.status()["model"]["name"] == "renamed", "all is embedded anew")
    after = orthanc.status()["model"]["id"]
    wait_for(lambda: CatalogueFile(orthanc.data).models() == {after}, "the old vectors are gone")
    assert after != before
    assert orthanc.similar(query)["model"]["name"] == "renamed"
    assert_agreement(orthanc)


# ---- beside a hospital's own script ----

OWN_SCRIPT = f"""
import sys
import orthanc

def hello(output, uri, **request):
    output.AnswerBuffer("hello", "text/plain")

orthanc.RegisterRestCallback("/hospital/hello", hello)
sys.path.insert(0, {str(PLUGIN)!r})
import main
"""

WITH_A_CALLBACK = """
import orthanc
orthanc.RegisterOnStoredInstanceCallback(lambda dicom, orthanc_id: orthanc.LogWarning("hospital: stored"))
"""

WITH_CALLBACKS_HANDED_IN = f"""
import sys
import orthanc

def on_stored(dicom, orthanc_id):
    orthanc.LogWarning("hospital: stored " + orthanc_id)

def on_change(change, level, orthanc_id):
    if change == orthanc.ChangeType.NEW_STUDY:
        orthanc.LogWarning("hospital: new study " + orthanc_id)

sys.path.insert(0, {str(PLUGIN)!r})
from cbmir.plugin import register
register(orthanc, on_stored=on_stored, on_change=on_change)
"""


def script(folder: Path, text: str) -> dict[str, Any]:
    file = folder / "hospital.py"
    file.write_text(text)
    return {"PythonScript": str(file)}


def test_a_script_of_the_hospital_has_its_own_routes_beside_ours(
    make_orthanc: Callable[..., OrthancProcess], tmp_path: Path
) -> None:
    orthanc = make_orthanc(**script(tmp_path, OWN_SCRIPT)).start()
    fill(orthanc)
    assert orthanc.http.get("/hospital/hello").text == "hello"
    assert_agreement(orthanc)


def test_callbacks_of_the_hospital_are_called_beside_ours_where_they_are_handed_in(
    make_orthanc: Callable[..., OrthancProcess], tmp_path: Path
) -> None:
    orthanc = make_orthanc(**script(tmp_path, WITH_CALLBACKS_HANDED_IN)).start()
    stored = fill(orthanc)
    assert_agreement(orthanc)
    assert f"hospital: stored {stored}" in orthanc.log_text()
    assert "hospital: new study" in orthanc.log_text()


def test_where_the_hospital_has_taken_a_callback_the_plugin_is_disabled_and_says_so(
    make_orthanc: Callable[..., OrthancProcess], tmp_path: Path
) -> None:
    orthanc = make_orthanc(**script(tmp_path, WITH_A_CALLBACK + OWN_SCRIPT)).start()
    orthanc.upload(mr_file("A"))
    assert "hospital: stored" in orthanc.log_text()
    status = orthanc.http.get("/cbmir/status")
    assert (status.status_code, status.json()["state"]) == (503, "disabled")
    assert "cbmir is disabled: Can only register one" in orthanc.log_text()
    assert orthanc.http.get("/hospital/hello").text == "hello"
