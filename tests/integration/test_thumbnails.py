"""The pictures on the viewer's cards are windowed as the viewer itself shows the slices, by the real Orthanc."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from dicom_files import mr_file, picture
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from orthanc_process import OrthancProcess

SHADES = 3
"""Of 256; Orthanc rounds, and makes pictures smaller by its own interpolation."""

VALUES = picture(1, size=192)


@pytest.fixture(scope="module")
def orthanc(make_shared_orthanc: Callable[..., OrthancProcess]) -> OrthancProcess:
    return make_shared_orthanc().start()


def thumbnail(orthanc: OrthancProcess, instance: str, frame: int = 1) -> NDArray[np.float64]:
    """Return the picture that the answer names, as a card loads it."""
    url = orthanc.similar(instance, frame=frame)["query"]["thumbnailUrl"]
    response = orthanc.http.get(url)
    assert response.status_code == 200, response.text
    return np.asarray(Image.open(io.BytesIO(response.content)).convert("L"), float)


def windowed(values: NDArray[Any], center: float, width: float) -> NDArray[np.float64]:
    """Return the shades of a display window (PS3.3 C.11.2.1.2)."""
    return 255 * np.clip((values.astype(float) - (center - width / 2)) / width, 0, 1)


@pytest.mark.parametrize(
    ("tags", "window", "indexed"),
    [
        ({"WindowCenter": 1000, "WindowWidth": 600}, (1000, 600), True),
        ({"WindowCenter": 1000, "WindowWidth": 600}, (1000, 600), False),
        ({}, (VALUES.min() / 2 + VALUES.max() / 2, float(np.ptp(VALUES))), True),
    ],
    ids=["the header's window", "of a slice not yet indexed", "no window"],
)
def test_a_thumbnail_has_the_greys_of_the_viewer(
    orthanc: OrthancProcess, tags: dict[str, Any], window: tuple[float, float], *, indexed: bool
) -> None:
    instance = orthanc.upload(mr_file(f"P{tags}{indexed}", pixels=VALUES, **tags))
    if indexed:
        orthanc.wait_until_indexed()
    assert np.abs(thumbnail(orthanc, instance) - windowed(VALUES, *window)).mean() < SHADES


def test_the_rescaling_and_the_inversion_of_a_slice_count(orthanc: OrthancProcess) -> None:
    rescaled = mr_file(
        "slope", pixels=VALUES, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=900, WindowWidth=900
    )
    shown = thumbnail(orthanc, orthanc.upload(rescaled))
    assert np.abs(shown - windowed(2.0 * VALUES - 1000, 900, 900)).mean() < SHADES
    inverted = mr_file(
        "mono1", pixels=VALUES, PhotometricInterpretation="MONOCHROME1", WindowCenter=900, WindowWidth=900
    )
    shown = thumbnail(orthanc, orthanc.upload(inverted))
    assert np.abs(shown - (255 - windowed(VALUES, 900, 900))).mean() < SHADES


def test_each_frame_has_its_own_thumbnail_and_a_large_one_is_sent_small(orthanc: OrthancProcess) -> None:
    frames = np.stack([picture(2, size=384), picture(3, size=384)])
    instance = orthanc.upload(mr_file("frames", pixels=frames, WindowCenter=2000, WindowWidth=3000))
    for number in (1, 2):
        shown = thumbnail(orthanc, instance, number)
        assert shown.shape == (192, 192)
        assert abs(shown.mean() - windowed(frames[number - 1], 2000, 3000).mean()) < SHADES
