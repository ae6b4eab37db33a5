"""A reader asks about a whole series, saves a search, opens the report and downloads the contact sheet, in Chromium.

Screenshots and the sheet are left in ohif-extension/artefacts/keeping.
"""

from __future__ import annotations

import io
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from chromium import ARTEFACTS, EXTENSION, drive, what_is_missing
from highdicom.ko import KeyObjectSelectionDocument
from highdicom.sr import ComprehensiveSR
from PIL import Image
from pydicom import dcmread

import demo

if TYPE_CHECKING:
    from collections.abc import Callable

    from orthanc_process import OrthancProcess

SCRIPT = Path(__file__).with_name("keeping_flow.mjs")
PATIENTS = 5
BUILD_SECONDS = 300

MISSING = what_is_missing()
pytestmark = pytest.mark.skipif(MISSING is not None, reason=MISSING or "")


def test_a_reader_asks_about_a_series_saves_the_search_and_takes_a_sheet_along(
    make_orthanc: Callable[..., OrthancProcess], tmp_path: Path
) -> None:
    viewer = tmp_path / "viewer"
    for command in (["scripts/build.mjs"], ["scripts/assemble.mjs", "--out", str(viewer)]):
        subprocess.run(["node", *command], cwd=EXTENSION, check=True, timeout=BUILD_SECONDS)
    orthanc = make_orthanc({"ViewerDirectory": str(viewer)}).start()
    if orthanc.status()["state"] == "disabled":
        pytest.skip(f"the plugin is disabled: {orthanc.status()['reason']}")
    address = f"http://127.0.0.1:{orthanc.http_port}"
    assert demo.main(["--patients", str(PATIENTS), "--out", str(tmp_path / "demo"), "--send", address]) == 0
    orthanc.wait_until_indexed()
    before = orthanc.instances()

    seen = drive(SCRIPT, address, artefacts=ARTEFACTS / "keeping")

    # saved twice, each time a report and key objects
    new = orthanc.instances() - before
    assert len(new) == 4
    assert {seen["saved"][kind]["orthancId"] for kind in ("report", "keyObjects")} <= new
    kinds = []
    for name in new:
        document = dcmread(io.BytesIO(orthanc.http.get(f"/instances/{name}/file").content))
        kinds.append(document.Modality)
        kind = ComprehensiveSR if document.Modality == "SR" else KeyObjectSelectionDocument
        assert kind.from_dataset(document).StudyInstanceUID == seen["saved"]["query"]["StudyInstanceUID"]
    assert sorted(kinds) == ["KO", "KO", "SR", "SR"]
    with Image.open(ARTEFACTS / "keeping" / "similar-cases.png") as sheet:
        assert (sheet.format, sheet.size) == ("PNG", (1240, 1754))
        assert sheet.convert("L").getextrema() == (0, 255)
