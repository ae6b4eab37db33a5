"""A reader asks about a region, why a case is similar, and marks cases, in Chromium, with the plugin of a real Orthanc.

Screenshots and what was asked are left in ohif-extension/artefacts/region-heatmap.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from chromium import ARTEFACTS, EXTENSION, drive, what_is_missing

import demo

if TYPE_CHECKING:
    from collections.abc import Callable

    from orthanc_process import OrthancProcess

SCRIPT = Path(__file__).with_name("region_heatmap_flow.mjs")
PATIENTS = 5
BUILD_SECONDS = 300

MISSING = what_is_missing()
pytestmark = pytest.mark.skipif(MISSING is not None, reason=MISSING or "")


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with OHIF and the extension as it is now."""
    folder = tmp_path_factory.mktemp("viewer") / "ohif"
    for command in (["scripts/build.mjs"], ["scripts/assemble.mjs", "--out", str(folder)]):
        subprocess.run(["node", *command], cwd=EXTENSION, check=True, timeout=BUILD_SECONDS)
    return folder


@pytest.mark.parametrize(
    "anonymize", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["with names", "anonymous"]
)
def test_a_reader_asks_about_a_region_sees_why_and_refines(
    make_orthanc: Callable[..., OrthancProcess], viewer: Path, tmp_path: Path, *, anonymize: bool
) -> None:
    orthanc = make_orthanc({"ViewerDirectory": str(viewer), "Anonymize": anonymize}).start()
    if orthanc.status()["state"] == "disabled":
        pytest.skip(f"the plugin is disabled: {orthanc.status()['reason']}")
    address = f"http://127.0.0.1:{orthanc.http_port}"
    assert demo.main(["--patients", str(PATIENTS), "--out", str(tmp_path / "demo"), "--send", address]) == 0
    orthanc.wait_until_indexed()

    seen = drive(SCRIPT, address, artefacts=ARTEFACTS / "region-heatmap")

    said = {(one["query"], one["hit"], one["verdict"]) for one in seen["said"]}
    kept = orthanc.http.get("/cbmir/feedback").json()["feedback"]
    assert {(one["query"], one["hit"], one["verdict"]) for one in kept} == said
