"""Each test gets a real Orthanc; whatever the test did, it must end well and have logged no traceback and no name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from orthanc_process import OrthancProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def make_orthanc(tmp_path: Path) -> Iterator[Callable[..., OrthancProcess]]:
    """Return a function that configures an Orthanc (not yet started); all are checked at the end."""
    made: list[OrthancProcess] = []

    def make(cbmir: dict[str, Any] | None = None, *, name: str = "orthanc", **configuration: Any) -> OrthancProcess:
        folder = tmp_path / f"{name}{len(made)}"
        folder.mkdir()
        made.append(OrthancProcess(folder, cbmir, **configuration))
        return made[-1]

    yield make
    for orthanc in made:
        orthanc.check()


@pytest.fixture
def orthanc(make_orthanc: Callable[..., OrthancProcess]) -> OrthancProcess:
    """Return a running Orthanc with the plugin as shipped."""
    return make_orthanc().start()
