from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from dicom_files import mr_slice, picture
from orthanc_double import OrthancDouble
from parts import MODEL, Workplace
from pydicom import dcmread
from storing import Storing

from cbmir.web import Request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOBODY = "00000000-00000000-00000000-00000000-00000000"


class Place:
    """A workplace whose Orthanc takes what is delivered, and slices of three patients."""

    def __init__(self, directory: Path) -> None:
        orthanc = OrthancDouble()
        self.storing = Storing(orthanc)
        self.workplace = Workplace(directory, orthanc=orthanc, delivery=self.storing.delivery)
        frames = mr_slice("P3", pixels=np.stack([picture(number, kind=number) for number in range(3)]))
        self.query, self.hit, self.frames = self.workplace.store(mr_slice("P1", 1), mr_slice("P2", 2), frames)
        self.workplace.work()

    def save(self, body: Any = None, **headers: str) -> tuple[int, Any]:
        asked = {"query": {"instance": self.query}, "hits": [{"instance": self.hit}]} if body is None else body
        told = {"content-type": "application/json", **headers}
        response = self.workplace.api(Request("POST", "save", {}, told, json.dumps(asked).encode()))
        return response.status, json.loads(response.body)

    def similarity(self, hit: str, **parameters: str) -> float:
        cases = json.loads(self.workplace.get(f"similar/{self.query}", group="none", **parameters).body)["cases"]
        return next(case["similarity"] for case in cases if case["slices"][0]["orthancId"] == hit)  # type: ignore[no-any-return]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.storing.close()
    place.workplace.close()


def test_both_documents_are_stored_beside_the_query(place: Place) -> None:
    status, saved = place.save()
    assert status == 201
    study = place.workplace.orthanc.above(place.query)[1]
    for kind, modality in (("report", "SR"), ("keyObjects", "KO")):
        stored = dcmread(io.BytesIO(place.workplace.orthanc.files[saved[kind]["orthancId"]]))
        assert stored.Modality == modality
        assert stored.SOPInstanceUID == saved[kind]["SOPInstanceUID"]
        assert place.workplace.orthanc.above(saved[kind]["orthancId"])[1] == study


def test_the_similarity_is_that_of_the_search_by_slice_region_and_frame(place: Place) -> None:
    _, saved = place.save()
    assert saved["hits"][0]["similarity"] == place.similarity(place.hit)
    roi = "0,0,20,20"
    _, saved = place.save({"query": {"instance": place.query, "roi": roi}, "hits": [{"instance": place.hit}]})
    assert saved["hits"][0]["similarity"] == place.similarity(place.hit, roi=roi) != place.similarity(place.hit)
    _, saved = place.save(
        {"query": {"instance": place.query}, "hits": [{"instance": place.frames, "frame": n} for n in (1, 3)]}
    )
    assert [hit["frame"] for hit in saved["hits"]] == [1, 3]
    assert len({hit["similarity"] for hit in saved["hits"]}) == 2


def test_the_documents_name_the_model_that_answers(place: Place) -> None:
    _, saved = place.save()
    assert MODEL.encode() in place.workplace.orthanc.files[saved["report"]["orthancId"]]


def test_only_the_headers_that_tell_who_the_caller_is_are_handed_on(place: Place) -> None:
    place.save(authorization="Basic x", cookie="secret")
    assert {headers.get("authorization") for headers in place.storing.headers} == {"Basic x"}
    assert not any("cookie" in headers for headers in place.storing.headers)


def test_the_report_leads_to_the_viewer_or_else_to_orthancs_own_page(place: Place) -> None:
    _, saved = place.save()
    assert saved["report"]["viewerUrl"].startswith("/app/explorer.html#instance?uuid=")
    folder = place.workplace.directory / "viewer"
    folder.mkdir()
    (folder / "index.html").write_text("viewer")
    _, saved = place.save()
    assert saved["report"]["viewerUrl"].endswith(f"initialSeriesInstanceUID={saved['report']['SeriesInstanceUID']}")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"query": None, "hits": [{"instance": NOBODY}]},
        {"query": {"instance": "1.2.3"}, "hits": [{"instance": NOBODY}]},
        {"query": {"instance": NOBODY}, "hits": []},
        {"query": {"instance": NOBODY}, "hits": "all"},
        {"query": {"instance": NOBODY}, "hits": [NOBODY]},
        {"query": {"instance": NOBODY}, "hits": [{"instance": NOBODY, "frame": 0}]},
        {"query": {"instance": NOBODY, "roi": 7}, "hits": [{"instance": NOBODY}]},
        {"query": {"instance": NOBODY, "roi": "1,1,0,0"}, "hits": [{"instance": NOBODY}]},
        {"query": {"instance": NOBODY}, "hits": [{"instance": NOBODY}] * 101},
    ],
)
def test_what_is_no_selection_is_refused(place: Place, body: dict[str, Any]) -> None:
    assert place.save(body)[0] == 400


def test_a_hit_that_is_not_indexed_cannot_be_saved(place: Place) -> None:
    pending = place.workplace.orthanc.store(mr_slice("P9", 9))
    for hit in (pending, NOBODY):
        status, answer = place.save({"query": {"instance": place.query}, "hits": [{"instance": hit}]})
        assert (status, answer["error"]["message"]) == (404, "query and hits must be indexed slices")
    assert not place.storing.headers


def test_what_orthanc_refuses_is_told_with_a_status_of_its_own(place: Place) -> None:
    place.storing.status = 403
    assert place.save()[0] == 403
    place.storing.status = 507
    assert place.save()[0] == 503
