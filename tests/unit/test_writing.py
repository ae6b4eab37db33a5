"""POST /cbmir/labels through the API, with Orthanc's routes over a double."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from dicom_files import mr_slice, uid
from orthanc_double import OrthancDouble
from parts import Workplace
from readers import Reader
from storing import Storing

from cbmir.access import ANYONE
from cbmir.archive import Archive
from cbmir.audit import FILE
from cbmir.labelling import writing
from cbmir.records import ORTHANC_LABEL, Label
from cbmir.web import Request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cbmir.web import Response

GLIOMA = {"label": "glioma", "provenance": "histology"}


class Desk:
    """A workplace with two patients, where labels are posted."""

    def __init__(self, directory: Path, reader: Reader | None = None) -> None:
        orthanc = OrthancDouble()
        self.storing = Storing(orthanc)
        self.workplace = Workplace(
            directory, orthanc=orthanc, gatekeeper=reader or ANYONE, delivery=self.storing.delivery
        )
        self.first, self.second = self.workplace.store(mr_slice("P1"), mr_slice("P2", 2))
        self.workplace.work()

    def post(self, document: Any, **headers: str) -> Response:
        body = json.dumps(document).encode()
        return self.workplace.api(Request("POST", "labels", {}, {"content-type": "application/json"} | headers, body))

    def posted(self, *labels: dict[str, str], **more: Any) -> dict[str, Any]:
        response = self.post({"labels": labels, **more})
        assert response.status == 200, response.body
        found: dict[str, Any] = json.loads(response.body)
        return found

    def held(self, orthanc_id: str) -> Any:
        return json.loads(self.workplace.orthanc.metadata.get(orthanc_id, "null"))

    def study(self, stored: str) -> str:
        return self.workplace.orthanc.above(stored)[1]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.storing.close()
    desk.workplace.close()


STUDY, SERIES, SLICE = uid("P1", 1), uid("P1", 1, 1), uid("P1", 1, 1, 1)


def test_labels_of_every_level_become_metadata(desk: Desk) -> None:
    told = desk.posted(
        {"StudyInstanceUID": STUDY, **GLIOMA},
        {"SeriesInstanceUID": SERIES, "label": "oedema", "provenance": "report"},
        {"SOPInstanceUID": SLICE, "label": "cyst"},
    )
    assert (told["added"], told["there"], told["failed"], told["problems"]) == (3, 0, 0, [])
    assert told["StudyInstanceUIDs"] == [STUDY]
    series, study, _ = desk.workplace.orthanc.above(desk.first)
    assert desk.held(study) == [GLIOMA]
    assert desk.held(series) == [{"label": "oedema", "provenance": "report"}]
    assert desk.held(desk.first) == [{"label": "cyst", "provenance": ""}]


def test_the_worker_hears_of_them_and_they_are_in_the_answers(desk: Desk) -> None:
    desk.posted({"SOPInstanceUID": SLICE, **GLIOMA})
    desk.workplace.inbox.put("labelled", desk.first)
    desk.workplace.work()
    answer = json.loads(desk.workplace.get(f"similar/{desk.second}").body)
    assert answer["cases"][0]["labels"] == [GLIOMA]


def test_a_label_of_an_instance_is_there_as_soon_as_it_is_indexed_again(desk: Desk) -> None:
    desk.posted({"SOPInstanceUID": SLICE, **GLIOMA})
    desk.workplace.inbox.put("stored", desk.first)
    desk.workplace.work()
    assert desk.workplace.catalogue.labels([desk.first])[desk.first] == [Label("glioma", "histology")]


def test_the_same_twice_changes_nothing(desk: Desk) -> None:
    assert desk.posted({"StudyInstanceUID": STUDY, **GLIOMA})["added"] == 1
    told = desk.posted({"StudyInstanceUID": STUDY, **GLIOMA})
    assert (told["added"], told["there"]) == (0, 1)
    assert len(desk.storing.headers) == 1


def test_a_dry_run_writes_nothing(desk: Desk) -> None:
    told = desk.posted({"StudyInstanceUID": STUDY, **GLIOMA}, dryRun=True)
    assert (told["dryRun"], told["added"]) == (True, 1)
    assert desk.held(desk.study(desk.first)) is None


def test_only_replacing_removes_what_others_wrote(desk: Desk) -> None:
    desk.workplace.orthanc.say(desk.study(desk.first), [{"label": "cyst"}])
    assert desk.posted({"StudyInstanceUID": STUDY, **GLIOMA})["removed"] == 0
    assert desk.posted({"StudyInstanceUID": STUDY, **GLIOMA}, replace=True)["removed"] == 1
    assert desk.held(desk.study(desk.first)) == [GLIOMA]


def test_metadata_of_another_kind_is_not_touched(desk: Desk) -> None:
    desk.workplace.orthanc.say(desk.study(desk.first), "says Dr. X")
    told = desk.posted({"StudyInstanceUID": STUDY, **GLIOMA}, {"StudyInstanceUID": uid("P2", 2), **GLIOMA})
    assert (told["added"], told["failed"]) == (1, 1)
    assert told["problems"] == [{"line": 1, "message": "its metadata holds something else than labels"}]


def test_lines_of_what_is_not_there_are_named_and_the_others_are_done(desk: Desk) -> None:
    told = desk.posted({"StudyInstanceUID": "1.2.3", **GLIOMA}, {"StudyInstanceUID": STUDY, **GLIOMA})
    assert (told["added"], told["problems"]) == (1, [{"line": 1, "message": writing.ABSENT}])
    assert desk.post({"labels": [{"StudyInstanceUID": "1.2.3", **GLIOMA}]}).status == 404


def test_orthanc_decides_who_may_write(desk: Desk) -> None:
    desk.storing.status = 403
    response = desk.post({"labels": [{"StudyInstanceUID": STUDY, **GLIOMA}]}, authorization="Basic x", cookie="y")
    assert response.status == 403
    assert desk.storing.headers[0]["authorization"] == "Basic x"
    assert "cookie" not in desk.storing.headers[0]


def test_a_merge_begins_anew_where_somebody_was_faster(desk: Desk) -> None:
    desk.storing.statuses = [409, 412]
    assert desk.posted({"StudyInstanceUID": STUDY, **GLIOMA})["added"] == 1
    desk.storing.statuses = [409] * 3
    assert desk.post({"labels": [{"StudyInstanceUID": STUDY, "label": "cyst"}]}).status == 503


def test_an_orthanc_that_fails_or_is_not_there_is_said(desk: Desk) -> None:
    desk.storing.status = 500
    assert desk.post({"labels": [{"StudyInstanceUID": STUDY, **GLIOMA}]}).status == 503
    desk.storing.close()
    assert desk.post({"labels": [{"StudyInstanceUID": STUDY, **GLIOMA}]}).status == 503


def test_what_there_is_no_time_for_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "SECONDS", -1.0)
    told = desk.posted({"StudyInstanceUID": STUDY, **GLIOMA})
    assert (told["added"], told["problems"]) == (0, [{"line": 1, "message": writing.LATE}])


def test_a_hidden_study_is_answered_like_one_that_is_not_there(tmp_path: Path) -> None:
    reader = Reader()
    desk = Desk(tmp_path, reader)
    reader.hidden.add(desk.study(desk.first))
    for named in ({"StudyInstanceUID": STUDY}, {"SeriesInstanceUID": SERIES}, {"SOPInstanceUID": SLICE}):
        absent = dict.fromkeys(named, "1.2.3")
        answers = [desk.post({"labels": [{**one, **GLIOMA}]}) for one in (named, absent)]
        assert [one.status for one in answers] == [404, 404]
        assert answers[0].body == answers[1].body
        told = [desk.posted({**one, **GLIOMA}, {"StudyInstanceUID": uid("P2", 2), **GLIOMA}) for one in (named, absent)]
        assert told[0]["problems"] == told[1]["problems"]
        # nor do they differ in what it takes to answer
        assert reader.asked[-4:] == [1, 1, 2, 2]
    assert desk.held(desk.study(desk.first)) is None
    desk.storing.close()
    desk.workplace.close()


def test_the_audit_tells_a_hidden_study_from_one_that_is_not_there(tmp_path: Path) -> None:
    reader = Reader()
    desk = Desk(tmp_path, reader)
    reader.hidden.add(desk.study(desk.first))
    for named in (STUDY, "1.2.3", uid("P2", 2)):
        desk.post({"labels": [{"StudyInstanceUID": named, **GLIOMA}]})
    lines = [json.loads(line) for line in (tmp_path / FILE).read_text().splitlines()]
    assert [(line["route"], line["action"], line["outcome"]) for line in lines] == [
        ("labels", "U", 8),
        ("labels", "U", 4),
        ("labels", "U", 0),
    ]
    assert [line["StudyInstanceUIDs"] for line in lines] == [[], [], [uid("P2", 2)]]
    desk.storing.close()
    desk.workplace.close()


# ---- what Orthanc itself calls labels ----


def test_orthanc_s_own_labels_are_read_where_the_version_has_them(tmp_path: Path) -> None:
    workplace = Workplace(tmp_path)
    workplace.orthanc.own_labels = {}
    (stored,) = workplace.store(mr_slice("P1"))
    study = workplace.orthanc.above(stored)[1]
    workplace.orthanc.own_labels[study] = ["teaching"]
    workplace.orthanc.say(study, [GLIOMA])
    workplace.work()
    assert workplace.catalogue.labels([study])[study] == [
        Label("glioma", "histology"),
        Label("teaching", ORTHANC_LABEL),
    ]
    workplace.close()


def test_an_older_orthanc_is_not_asked_for_labels_of_its_own(desk: Desk) -> None:
    assert Archive(desk.workplace.orthanc).own_labels() == set()
    assert not any(uri.endswith("/labels") for uri in desk.workplace.orthanc.calls)
