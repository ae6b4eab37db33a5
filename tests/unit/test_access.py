from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from dicom_files import mr_slice, picture, uid
from orthanc_process import REPOSITORY
from parts import Workplace

from cbmir.access import ANYONE, NOWHERE, require
from cbmir.audit import FILE
from cbmir.errors import Hidden, NotFound, Unavailable
from cbmir.web import Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from cbmir.access import Caller

OPENAPI = json.loads((REPOSITORY / "plugin" / "cbmir" / "openapi.json").read_text(encoding="utf-8"))
NOBODY = "-".join(["ffffffff"] * 5)


class Guard:
    """A gatekeeper with one kind of caller, who may not see some studies, nor the statistics."""

    sees_all = False

    def __init__(self) -> None:
        self.hidden: set[str] = set()
        self.is_down = False
        self.asked: list[set[str]] = []

    def caller(self, _request: Request) -> Caller:
        return self

    def studies(self, orthanc_ids: Iterable[str]) -> set[str]:
        self.asked.append(set(orthanc_ids))
        if self.is_down:
            raise Unavailable("Orthanc cannot be asked")
        return self.asked[-1] - self.hidden - {NOWHERE}

    def sees_statistics(self) -> bool:
        return False


class Archive:
    """The plugin over ten patients, every third of whom is hidden, or was never stored."""

    def __init__(self, directory: Path, *, stores_hidden: bool) -> None:
        self.guard = Guard()
        directory.mkdir()
        self.workplace = Workplace(directory, gatekeeper=self.guard)
        self.instances: dict[int, str] = {}
        for number in range(10):
            if number % 3 == 1 and not stores_hidden:
                continue
            dataset = mr_slice(f"P{number}", number, pixels=picture(number, kind=number % 4))
            (self.instances[number],) = self.workplace.store(dataset)
            if number % 3 == 1:
                self.guard.hidden.add(self.workplace.orthanc.above(self.instances[number])[1])
        self.workplace.work()

    def get(self, path: str, **query: str) -> tuple[int, Any]:
        response = self.workplace.get(path, **query)
        return response.status, json.loads(response.body)

    def post(self, path: str, document: Any) -> tuple[int, Any]:
        body = json.dumps(document).encode()
        response = self.workplace.api(Request("POST", path, {}, {"content-type": "application/json"}, body))
        return response.status, json.loads(response.body)

    def ask_everything(self, number: int) -> dict[str, tuple[int, Any]]:
        """Return what each route answers about a patient, by the route's name in the description."""
        instance = self.instances[number]
        series, study, _ = self.workplace.orthanc.above(instance)
        hit = {"query": instance, "hit": instance, "verdict": "similar"}
        selection = {"query": {"instance": instance}, "hits": [{"instance": instance}]}
        label = {"StudyInstanceUID": uid(f"P{number}", number), "label": "glioma"}
        return {
            "get /cbmir/similar/{resource}": self.get(f"similar/{instance}"),
            "get /cbmir/similar/{resource} by series": self.get(f"similar/{series}"),
            "get /cbmir/similar/{resource} by study": self.get(f"similar/{study}"),
            "get /cbmir/heatmap/{instance}": self.get(f"heatmap/{instance}", against=instance),
            "get /cbmir/report/{study}": self.get(f"report/{study}"),
            "get /cbmir/status": self.get("status"),
            "get /cbmir/openapi.json": self.get("openapi.json"),
            "get /cbmir/model": self.get("model"),
            "get /cbmir/quality": self.get("quality"),
            "get /cbmir/map": self.get("map"),
            "get /cbmir/feedback": self.get("feedback"),
            "post /cbmir/feedback": self.post("feedback", hit),
            "post /cbmir/labels": self.post("labels", {"labels": [label]}),
            "post /cbmir/save": self.post("save", selection),
            "post /cbmir/reindex": self.post("reindex", {"states": ["failed"]}),
        }

    def audited(self) -> list[tuple[str, int]]:
        """Return route and outcome of every line of the audit."""
        lines = (self.workplace.directory / FILE).read_text(encoding="utf-8").splitlines()
        return [(line["route"], line["outcome"]) for line in map(json.loads, lines)]


@pytest.fixture
def hiding(tmp_path: Path) -> Iterator[Archive]:
    archive = Archive(tmp_path / "hiding", stores_hidden=True)
    yield archive
    archive.workplace.close()


@pytest.fixture
def without(tmp_path: Path) -> Iterator[Archive]:
    archive = Archive(tmp_path / "without", stores_hidden=False)
    yield archive
    archive.workplace.close()


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"k": "1"},
        {"k": "3", "group": "study"},
        {"group": "none"},
        {"samePatient": "include"},
        {"Modality": "MR"},
        {"class": "predicted"},
        {"roi": "10,10,20,20"},
        {"Modality": "CT"},
    ],
)
def test_an_answer_is_that_of_an_archive_without_what_is_hidden(
    hiding: Archive, without: Archive, query: dict[str, str]
) -> None:
    for number, name in without.instances.items():
        assert hiding.instances[number] == name
        assert hiding.get(f"similar/{name}", **query) == without.get(f"similar/{name}", **query)


@pytest.mark.parametrize("group", ["patient", "study", "none"])
@pytest.mark.parametrize("level", [0, 1], ids=["series", "study"])
def test_a_series_or_study_is_answered_as_in_an_archive_without_what_is_hidden(
    hiding: Archive, without: Archive, level: int, group: str
) -> None:
    for instance in without.instances.values():
        name = without.workplace.orthanc.above(instance)[level]
        found = hiding.get(f"similar/{name}", group=group)
        assert found == without.get(f"similar/{name}", group=group)
        assert found[0] == 200


def test_what_is_said_of_hidden_studies_is_in_no_statistics(hiding: Archive, without: Archive) -> None:
    for archive in (hiding, without):
        for number, name in archive.instances.items():
            said = "glioma" if number % 3 == 1 else "meningioma"
            study = archive.workplace.orthanc.above(name)[1]
            archive.workplace.orthanc.say(study, [{"label": said, "provenance": "histology"}])
        archive.workplace.inbox.reconcile()
        archive.workplace.work()
    for name in without.instances.values():
        found = hiding.get(f"similar/{name}", verified="true")
        assert found == without.get(f"similar/{name}", verified="true")
        assert [one["label"] for one in found[1]["statistics"]["labels"]] == ["meningioma"]


def test_what_is_hidden_is_answered_like_what_was_never_stored(hiding: Archive, without: Archive) -> None:
    shown, hidden = hiding.instances[0], hiding.instances[1]
    series, study, patient = hiding.workplace.orthanc.above(hidden)
    for name in (hidden, series, study, patient, str(mr_slice("P1", 1).SOPInstanceUID)):
        for path, query in (
            (f"similar/{name}", {}),
            (f"similar/{shown}", {"more": name}),
            (f"similar/{shown}", {"less": f"{name}:1"}),
            (f"heatmap/{shown}", {"against": name}),
            (f"heatmap/{name}", {"against": shown}),
            (f"report/{name}", {}),
        ):
            found = hiding.get(path, **query)
            assert found == without.get(path, **query)
            assert found[0] in {400, 404}


def test_about_an_absent_instance_as_much_is_asked_as_about_a_hidden_one(hiding: Archive) -> None:
    hiding.get(f"similar/{hiding.instances[1]}")
    hiding.get(f"similar/{NOBODY}")
    assert [len(asked) for asked in hiding.guard.asked] == [1, 1]
    assert hiding.guard.asked[1] == {NOWHERE}


WITHOUT_PATIENTS = {"get /cbmir/status", "get /cbmir/openapi.json", "get /cbmir/model"}
"""Routes that tell nothing of any patient; the status leaves out its figures."""


OF_NO_STUDY = WITHOUT_PATIENTS | {
    "get /cbmir/quality",
    "get /cbmir/map",
    "get /cbmir/feedback",
    "post /cbmir/reindex",
}


def test_no_route_answers_where_orthanc_does_not_say_what_the_caller_may_see(hiding: Archive) -> None:
    hiding.guard.is_down = True
    answers = hiding.ask_everything(0)
    described = {f"{method} {path}" for path, methods in OPENAPI["paths"].items() for method in methods}
    assert {name.partition(" by ")[0] for name in answers} == described, "every route has its place here"
    statuses = {name: status for name, (status, _) in answers.items() if name not in WITHOUT_PATIENTS}
    # of the whole archive only those are told who may see Orthanc's own figures: not being able to ask is no yes
    figures = {name: statuses.pop(name) for name in ("get /cbmir/quality", "get /cbmir/map", "post /cbmir/reindex")}
    assert set(figures.values()) == {403}
    assert set(statuses.values()) == {503}, statuses
    assert "indexed" not in answers["get /cbmir/status"][1]


def test_every_route_answers_about_what_is_hidden_as_about_nothing_and_the_audit_says_so(hiding: Archive) -> None:
    answers = hiding.ask_everything(1)
    of_one_study = {name: status for name, (status, _) in answers.items() if name not in OF_NO_STUDY}
    assert set(of_one_study.values()) == {404}, of_one_study
    assert answers["get /cbmir/feedback"] == (200, {"feedback": []})
    audited = [("similar", 8)] * 3 + [(route, 8) for route in ("heatmap", "report", "map", "labels", "save")]
    assert hiding.audited() == audited


@pytest.mark.parametrize("path", ["similar", "heatmap"])
def test_without_a_verdict_there_is_no_answer(hiding: Archive, path: str) -> None:
    hiding.guard.is_down = True
    status, document = hiding.get(f"{path}/{hiding.instances[0]}", **({"against": NOBODY} if path == "heatmap" else {}))
    assert status == 503
    assert set(document) == {"error"}
    assert hiding.get("status")[0] == 200


def test_anyone_may_see_everything() -> None:
    assert ANYONE.caller(Request("GET", "")) is ANYONE
    assert ANYONE.studies(["a", "b"]) == {"a", "b"}
    assert ANYONE.sees_statistics()


def test_absent_and_hidden_sound_the_same_but_are_told_apart_in_the_audit() -> None:
    guard = Guard()
    guard.hidden = {"hidden"}
    require(guard, ["a", "b"], "absent")
    require(guard, [], "absent")
    with pytest.raises(NotFound, match=r"^absent$") as absent:
        require(guard, ["a", None], "absent")
    with pytest.raises(Hidden, match=r"^absent$"):
        require(guard, ["a", "hidden"], "absent")
    assert not isinstance(absent.value, Hidden)
