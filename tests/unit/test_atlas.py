from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from dicom_files import mr_slice, picture
from parts import Workplace

from cbmir.records import ORTHANC_LABEL, Label

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cbmir.web import Request


@pytest.fixture
def stored(workplace: Workplace) -> list[str]:
    """Return slices of four patients, which have been drawn."""
    slices = [mr_slice(f"P{n}", n, pixels=picture(n, kind=n % 2), Manufacturer="Maker") for n in range(1, 5)]
    stored = workplace.store(*slices)
    workplace.orthanc.say(workplace.orthanc.above(stored[0])[1], [{"label": "glioma"}])
    workplace.work()
    workplace.idle()
    return stored


def points(workplace: Workplace) -> list[Any]:
    response = workplace.get("map")
    assert response.status == 200, response.body
    assert response.headers["Cache-Control"] == "no-store"
    found: list[Any] = json.loads(response.body)["points"]
    return found


def test_a_point_says_what_is_known_of_its_slice_and_where_it_is_seen(workplace: Workplace, stored: list[str]) -> None:
    series = workplace.orthanc.above(stored[0])[0]
    workplace.catalogue.set_labels(series, [Label("to be read", ORTHANC_LABEL)])
    found = {point["orthancId"]: point for point in points(workplace)}
    assert found.keys() == set(stored)
    one = found[stored[0]]
    assert (one["labels"], one["scanner"], one["frame"]) == (["glioma"], "Maker", 1)
    assert one["sequence"] == "T1C"
    assert one["thumbnailUrl"].startswith(f"/instances/{stored[0]}/frames/0/")
    assert one["viewerUrl"] == f"/app/explorer.html#instance?uuid={stored[0]}"
    viewer = workplace.directory / "viewer"
    viewer.mkdir()
    (viewer / "index.html").touch()
    assert all(point["viewerUrl"].startswith("/ohif/viewer?StudyInstanceUIDs=") for point in points(workplace))


def test_what_was_deleted_since_it_was_drawn_is_not_shown(workplace: Workplace, stored: list[str]) -> None:
    workplace.orthanc.delete(stored[1])
    workplace.inbox.put("deleted", stored[1])
    workplace.work()
    assert {point["orthancId"] for point in points(workplace)} == set(stored) - {stored[1]}


def test_a_picture_that_another_model_drew_is_not_shown(workplace: Workplace, stored: list[str]) -> None:
    assert stored
    drawn = workplace.progress.atlas
    assert drawn is not None
    object.__setattr__(drawn, "model", "former-0123456789ab")
    document = json.loads(workplace.get("map").body)
    assert (document["time"], document["slices"], document["points"]) == (None, 0, [])


class Somebody:
    """A caller, and the gatekeeper who lets nobody else in."""

    sees_all = False

    def __init__(self) -> None:
        self.hidden: set[str] = set()
        self.is_told_figures = True

    def caller(self, _request: Request) -> Somebody:
        return self

    def studies(self, orthanc_ids: Iterable[str]) -> set[str]:
        return set(orthanc_ids) - self.hidden

    def sees_statistics(self) -> bool:
        return self.is_told_figures


def test_studies_that_the_caller_may_not_see_are_not_on_the_map(tmp_path: Path) -> None:
    somebody = Somebody()
    workplace = Workplace(tmp_path, gatekeeper=somebody)
    stored = workplace.store(*(mr_slice(f"P{n}", n) for n in range(4)))
    workplace.work()
    workplace.idle()
    somebody.hidden = {workplace.orthanc.above(stored[2])[1]}
    assert {point["orthancId"] for point in points(workplace)} == set(stored) - {stored[2]}
    somebody.is_told_figures = False
    assert workplace.get("map").status == 403
    workplace.close()
