"""Requests made from the API's own description, good ones and bad ones: each is answered as it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from dicom_files import mr_file, picture
from orthanc_process import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orthanc_process import OrthancProcess

NOT_CHECKED = (
    # TRACE, and URLs that are too long, are answered by Orthanc itself
    "unsupported_method",
    "content_type_conformance",
    # no schema can say that a region lies inside a picture, or a range of dates in the calendar
    "positive_data_acceptance",
)


LONGEST_TEXT = 40
"""Characters of a text in a URL here: of the many that a search knows, each may take 12 bytes a character, and a URL
beyond 16 KB is refused by Orthanc's server, which then breaks the connection."""


def shortened(document: Any) -> Any:
    """Return the description with no free text in a URL longer than that."""
    for path in document["paths"].values():
        for parameter in path.get("get", {}).get("parameters", ()):
            schema = parameter.get("schema", {})
            if schema.get("type") == "string" and "pattern" not in schema:
                schema["maxLength"] = LONGEST_TEXT
    return document


@pytest.fixture(scope="module")
def described(make_shared_orthanc: Callable[..., OrthancProcess], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An Orthanc with a few slices, and the description of its API with their names as examples."""
    orthanc = make_shared_orthanc().start()
    stored = [orthanc.upload(mr_file(f"P{number}", pixels=picture(number))) for number in range(4)]
    orthanc.wait_until_indexed(4)
    document = shortened(orthanc.http.get("/cbmir/openapi.json").json())
    document["components"]["schemas"]["Instance"]["examples"] = stored
    file = tmp_path_factory.mktemp("api") / "openapi.json"
    file.write_text(json.dumps(document))
    return orthanc, file


def ask(described: tuple[OrthancProcess, Path], examples: int) -> None:
    """Have every route called with so many made-up requests of each kind, the same each time, however slow that is."""
    orthanc, file = described
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", str(file), "--url", str(orthanc.http.base_url)),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", str(examples), "--seed", "20260131"),
            *("--continue-on-failure", "--warnings", "off", "--exclude-checks", ",".join(NOT_CHECKED)),
            *("--request-timeout", str(PATIENCE_SECONDS), "--suppress-health-check", "too_slow"),
        ],
        # sets have the same order each time
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
        cwd=file.parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert orthanc.is_alive()


def test_made_up_requests_are_answered_as_described(described: tuple[OrthancProcess, Path]) -> None:
    ask(described, 20)


@pytest.mark.slow
def test_many_made_up_requests_are_answered_as_described(described: tuple[OrthancProcess, Path]) -> None:
    ask(described, 500)
