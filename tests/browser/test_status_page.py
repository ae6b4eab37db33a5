"""The status page and the links in Orthanc Explorer, in Chromium, with the plugin of a real Orthanc.

Screenshots are left in ohif-extension/artefacts/status.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from chromium import ARTEFACTS, drive, what_is_missing
from dicom_files import mr_file, mr_slice, to_bytes
from guarded import lua_filter
from model_folders import install
from orthanc_process import wait_for

import demo
from cbmir.records import Quality
from cbmir.store.sqlite import SqliteCatalogue
from cbmir.watching.nightly import DRIFT, SCANNERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from orthanc_process import OrthancProcess

SCRIPT = Path(__file__).with_name("status.mjs")

MISSING = what_is_missing()
pytestmark = pytest.mark.skipif(MISSING is not None, reason=MISSING or "")


def scenario(name: str, orthanc: OrthancProcess, *options: str) -> Any:
    address = f"http://127.0.0.1:{orthanc.http_port}"
    return drive(SCRIPT, name, address, *options, artefacts=ARTEFACTS / "status")


def viewer_in(folder: Path) -> str:
    """Return a folder that holds as much of a viewer as a link needs."""
    folder.mkdir()
    (folder / "index.html").write_text("<!doctype html><title>Viewer</title>")
    return str(folder)


def keep_earlier_days(orthanc: OrthancProcess) -> None:
    """Have the answers measured on two days before, as in an archive that has been in use."""
    catalogue = SqliteCatalogue(orthanc.data / "catalogue.sqlite")
    for date, p1 in (("2026-01-05", 0.5), ("2026-02-16", 0.55)):
        measured = Quality(date, 900, 40, 30, 200, p1, p1 - 0.05, p1 - 0.1, 0.3)
        catalogue.add_quality(measured, orthanc.status()["model"]["id"])
    for number, (date, distance, share) in enumerate((("2026-01-05", 0.05, 0.45), ("2026-02-16", 0.14, 0.5))):
        figures = {"distance": distance, "threshold": 0.08, "patients": 20, "referencePatients": 90}
        figures |= {"slices": 900, "newScannerShare": 0.25 * number}
        catalogue.keep_day(DRIFT, orthanc.status()["model"]["id"], date, figures)
        figures = {"slices": 900, "share": share, "chance": 0.4, "scanners": 3, "patients": 30, "sample": 200}
        catalogue.keep_day(SCANNERS, orthanc.status()["model"]["id"], date, figures)
    catalogue.close()


def test_the_status_page_shows_an_archive_and_orthanc_explorer_leads_there(
    make_orthanc: Callable[..., OrthancProcess], tmp_path: Path
) -> None:
    orthanc = make_orthanc({"ViewerDirectory": viewer_in(tmp_path / "viewer")})
    # the worker measures and draws when it is idle, and not again for a few slices more: all are to be there by then
    (go_on,) = orthanc.hold("embedded:1")
    orthanc.start()
    address = f"http://127.0.0.1:{orthanc.http_port}"
    assert demo.main(["--patients", "6", "--out", str(tmp_path / "demo"), "--send", address]) == 0
    orthanc.upload(mr_file("P1", Modality="CT"))
    orthanc.upload(to_bytes(_cut()))
    go_on.touch()
    orthanc.wait_until_indexed()
    wait_for(lambda: orthanc.http.get("/cbmir/quality").json()["quality"], "the answers are measured")
    wait_for(lambda: orthanc.http.get("/cbmir/map").json()["points"], "the map is drawn")
    keep_earlier_days(orthanc)

    seen = scenario("archive", orthanc)

    assert [one["date"] for one in seen["quality"]][:2] == ["2026-01-05", "2026-02-16"]
    assert seen["quality"][-1]["patients"] == 6


def _cut() -> Any:
    """Return an image whose pixels end too early."""
    dataset = mr_slice("P2")
    dataset.PixelData = dataset.PixelData[:100]
    return dataset


def test_a_change_of_model_is_told_until_it_is_over(
    make_orthanc: Callable[..., OrthancProcess], tmp_path: Path
) -> None:
    models = install(tmp_path / "models", "first", "second")
    orthanc = make_orthanc({"ModelDirectory": str(models), "Model": "first"}).start()
    for patient in "AB":
        orthanc.upload(mr_file(patient))
    orthanc.wait_until_indexed(2)
    assert orthanc.stop() == 0
    orthanc.configuration["Cbmir"]["Model"] = "second"
    (go_on,) = orthanc.hold("embedded:1")
    orthanc.start()
    assert scenario("changing", orthanc, "--seen", str(go_on))["model"] == "second"


def test_who_may_not_see_statistics_is_shown_no_figures(
    make_orthanc: Callable[..., OrthancProcess], tmp_path: Path
) -> None:
    script = lua_filter(tmp_path / "filter.lua", {"": ["/statistics"]})
    orthanc = make_orthanc({"AccessControl": "on"}, LuaScripts=[str(script)]).start()
    assert "Orthanc's own statistics" in scenario("limited", orthanc)["advice"]


def test_a_plugin_that_cannot_run_says_why_on_its_status_page(make_orthanc: Callable[..., OrthancProcess]) -> None:
    orthanc = make_orthanc({"Model": "no-such-model"}).start()
    assert "no-such-model" in scenario("disabled", orthanc)["reason"]


def test_a_wrong_setting_is_named_on_the_status_page(make_orthanc: Callable[..., OrthancProcess]) -> None:
    orthanc = make_orthanc({"Modalitys": ["MR"]}).start()
    assert "Modalities" in scenario("disabled", orthanc)["reason"]


def test_without_a_viewer_orthanc_explorer_has_no_links_to_it_and_behind_a_login_the_page_works_too(
    make_orthanc: Callable[..., OrthancProcess], tmp_path: Path
) -> None:
    security = {"AuthenticationEnabled": True, "RegisteredUsers": {"reader": "look-only"}}
    orthanc = make_orthanc({"ViewerDirectory": str(tmp_path / "none")}, **security)
    orthanc.http.auth = ("reader", "look-only")
    orthanc.start()
    orthanc.upload(mr_file("P1"))
    orthanc.wait_until_indexed()
    scenario("without-viewer", orthanc, "--user", "reader:look-only")
