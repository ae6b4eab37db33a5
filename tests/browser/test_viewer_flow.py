"""A reader finds, compares and goes back, in Chromium, with the viewer and the plugin of a real Orthanc.

Screenshots and times are left in ohif-extension/artefacts, one folder for each test.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from chromium import EXTENSION, what_is_missing
from dicom_files import to_bytes
from reports import structured_report

import demo

if TYPE_CHECKING:
    from collections.abc import Callable

    from orthanc_process import OrthancProcess

FLOWS = Path(__file__).parent
LOGIN = ("reader", "look-only")

BUILD_SECONDS = 300
FLOW_SECONDS = 600

MISSING = what_is_missing()
pytestmark = pytest.mark.skipif(MISSING is not None, reason=MISSING or "")


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    assert demo.main(["--patients", "5", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def assemble(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that puts an OHIF of that version and the extension as it is now into a folder."""
    subprocess.run(["node", "scripts/build.mjs"], cwd=EXTENSION, check=True, timeout=BUILD_SECONDS)

    def made(version: str) -> Path:
        folder = tmp_path_factory.mktemp("viewer") / version
        command = ["node", "scripts/assemble.mjs", "--version", version, "--out", str(folder)]
        subprocess.run(command, cwd=EXTENSION, check=True, timeout=BUILD_SECONDS)
        return folder

    return made


def follow(flow: str, orthanc: OrthancProcess, artefacts: Path, *options: str) -> None:
    """Walk the reader's way that is written in this file."""
    command = ["node", str(FLOWS / flow), address(orthanc), "--artefacts", str(artefacts), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=FLOW_SECONDS)
    assert done.returncode == 0, f"{done.stderr}\nscreenshots are in {artefacts}"


def address(orthanc: OrthancProcess) -> str:
    """Return where its web server is."""
    return f"http://127.0.0.1:{orthanc.http_port}"


def start_with_demo(orthanc: OrthancProcess, folder: Path, *options: str) -> None:
    """Start Orthanc and wait until the demo can be searched."""
    orthanc.start()
    if orthanc.status()["state"] == "disabled":
        pytest.skip(f"the plugin is disabled: {orthanc.status()['reason']}")
    assert demo.main(["--dicom", str(folder), "--send", address(orthanc), *options]) == 0
    orthanc.wait_until_indexed()


def add_reports(orthanc: OrthancProcess) -> None:
    """Store a structured report with every study.

    No PDF: OHIF fetches one as soon as it opens the study, and Orthanc 1.12.7 refuses the way in which it does (400).
    """
    for number, study in enumerate(orthanc.http.get("/studies?expand").json()):
        main = study["MainDicomTags"]
        tags = {keyword: main[keyword] for keyword in ("StudyInstanceUID", "StudyDate")} | study["PatientMainDicomTags"]
        # behind the pictures, as the viewer opens a study with its first series
        orthanc.upload(to_bytes(structured_report(f"report {number}", SeriesNumber=900, **tags)))
    orthanc.wait_until_indexed()


@dataclass(frozen=True)
class Variant:
    name: str
    ohif: str = "3.13.2"
    login: tuple[str, str] | None = None
    anonymous: bool = False


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param(Variant("as-shipped"), id="as shipped"),
        pytest.param(Variant("login", ohif="3.12.10", login=LOGIN), id="older OHIF, login", marks=pytest.mark.slow),
        pytest.param(Variant("anonymous", anonymous=True), id="anonymous", marks=pytest.mark.slow),
    ],
)
def test_a_reader_finds_similar_cases_compares_them_and_goes_back(
    make_orthanc: Callable[..., OrthancProcess],
    assemble: Callable[[str], Path],
    demo_folder: Path,
    variant: Variant,
) -> None:
    login = variant.login
    security = {"AuthenticationEnabled": True, "RegisteredUsers": dict([login])} if login else {}
    cbmir = {"ViewerDirectory": str(assemble(variant.ohif)), "Anonymize": variant.anonymous}
    orthanc = make_orthanc(cbmir, **security)
    orthanc.http.auth = login
    options = ["--user", ":".join(login)] if login else []
    start_with_demo(orthanc, demo_folder, *options)
    anonymous = ["--anonymous"] if variant.anonymous else []
    artefacts = EXTENSION / "artefacts" / variant.name

    add_reports(orthanc)

    follow("flow.mjs", orthanc, artefacts, "--reports", *options, *anonymous)


@pytest.mark.slow
def test_a_reader_compares_from_any_layout_and_mode_and_returns_to_it(
    make_orthanc: Callable[..., OrthancProcess], assemble: Callable[[str], Path], demo_folder: Path
) -> None:
    orthanc = make_orthanc({"ViewerDirectory": str(assemble("3.13.2"))})
    start_with_demo(orthanc, demo_folder)
    follow("layouts.mjs", orthanc, EXTENSION / "artefacts" / "layouts")
