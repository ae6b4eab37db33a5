from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from dicom_files import mr_slice, picture
from parts import Workplace

from cbmir.access import ANYONE, NOWHERE, require
from cbmir.errors import Hidden, NotFound, Unavailable
from cbmir.web import Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from cbmir.access import Caller

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
