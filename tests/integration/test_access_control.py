"""Whoever may not see a study in Orthanc meets it in no answer: with users, a filter in Lua, a filter in Python."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from dicom_files import to_bytes, uid
from guarded import TOKEN_HEADER, USERS, AuthorizationService, fill, instance, lua_filter, service_filter, study
from orthanc_process import REPOSITORY, wait_for
from reports import structured_report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx
    from orthanc_process import OrthancProcess

PATIENTS = ("asked", "hidden1", "shown1", "hidden2", "shown2", "hidden3", "shown3")
"""The one asked about, and the others by falling likeness."""

HIDDEN = tuple(patient for patient in PATIENTS if patient.startswith("hidden"))
SHOWN = [patient for patient in PATIENTS if patient.startswith("shown")]
NOBODY = "-".join(["00000000"] * 5)


def patients(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [case["patient"]["PatientID"] for case in response.json()["cases"]]


# ---- Orthanc's own users, and a filter in Lua ----


@pytest.fixture(scope="module")
def guarded(make_shared_orthanc: Callable[..., OrthancProcess], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An Orthanc with three users: bob may see neither some studies nor the statistics, carol may see the latter."""
    hidden = [f"/{level}/{of(one)}" for one in HIDDEN for level, of in (("studies", study), ("instances", instance))]
    script = lua_filter(
        tmp_path_factory.mktemp("lua") / "filter.lua", {"bob": [*hidden, "/statistics"], "carol": hidden}
    )
    orthanc = make_shared_orthanc(AuthenticationEnabled=True, RegisteredUsers=USERS, LuaScripts=[str(script)])
    orthanc.http.auth = ("alice", USERS["alice"])
    orthanc.start()
    fill(orthanc, PATIENTS)
    # the map may have been drawn of the first few, and is not drawn again for a few more
    assert orthanc.stop() == 0
    orthanc.http.auth = ("alice", USERS["alice"])
    return orthanc.start()


def ask(orthanc: OrthancProcess, path: str, user: str = "bob", **parameters: Any) -> httpx.Response:
    return orthanc.http.get(f"/cbmir/{path}", params=parameters, auth=(user, USERS[user]))


@pytest.mark.parametrize("credentials", [None, ("alice", "wrong"), ("nobody", "x"), ("", "")])
def test_without_a_user_of_orthanc_there_is_no_answer(
    guarded: OrthancProcess, credentials: tuple[str, str] | None
) -> None:
    for path in (f"similar/{instance('asked')}", "status", "quality", "map", "feedback", "openapi.json", ""):
        assert guarded.http.get(f"/cbmir/{path}", auth=credentials).status_code == 401, path


def test_each_user_meets_only_studies_that_orthanc_shows_them(guarded: OrthancProcess) -> None:
    everything, some = (ask(guarded, f"similar/{instance('asked')}", user) for user in ("alice", "bob"))
    assert sorted(patients(everything)) == sorted(PATIENTS[1:])
    assert sorted(patients(some)) == SHOWN
    assert [case["rank"] for case in some.json()["cases"]] == [1, 2, 3]
    for hidden in HIDDEN:
        assert hidden not in some.text
        assert study(hidden) not in some.text


def test_the_report_of_a_hidden_study_is_answered_like_that_of_no_study(guarded: OrthancProcess) -> None:
    guarded.upload(to_bytes(structured_report("hidden1")))
    of_nobody, of_hidden = (ask(guarded, f"report/{one}") for one in (NOBODY, study("hidden1")))
    assert of_nobody.status_code == 404
    assert (of_hidden.status_code, of_hidden.content) == (of_nobody.status_code, of_nobody.content)
    assert ask(guarded, f"report/{NOBODY}", "alice").content == of_nobody.content
    assert ask(guarded, f"report/{study('hidden1')}", "alice").json()["lines"]


@pytest.mark.parametrize("group", ["patient", "study", "none"])
@pytest.mark.parametrize("level", ["study", "series"])
def test_a_series_or_study_finds_only_studies_that_orthanc_shows(
    guarded: OrthancProcess, level: str, group: str
) -> None:
    above = guarded.http.get(f"/instances/{instance('asked')}/study").json()
    name = above["ID"] if level == "study" else above["Series"][0]
    everything, some = (ask(guarded, f"similar/{name}", user, group=group) for user in ("alice", "bob"))
    assert sorted(patients(everything)) == sorted(PATIENTS[1:])
    assert sorted(patients(some)) == SHOWN
    for hidden in HIDDEN:
        assert hidden not in some.text
        assert study(hidden) not in some.text


def test_the_map_holds_only_studies_that_orthanc_shows(guarded: OrthancProcess) -> None:
    wait_for(lambda: ask(guarded, "map", "alice").json()["points"], "the worker has drawn it")
    everything, some = (ask(guarded, "map", user) for user in ("alice", "carol"))
    assert {point["orthancId"] for point in everything.json()["points"]} == set(map(instance, PATIENTS))
    assert {point["orthancId"] for point in some.json()["points"]} == set(map(instance, ["asked", *SHOWN]))


def test_who_may_see_figures_of_the_archive_is_told_none_of_what_a_filter_leaves(guarded: OrthancProcess) -> None:
    """Else a filter that only one hidden study fulfils would tell its diagnosis."""

    def told(user: str, **filters: str) -> int | None:
        answer = ask(guarded, f"similar/{instance('asked')}", user, **filters).json()
        return answer["statistics"]["archivePatients"]

    assert [told(user) is None for user in USERS] == [False, True, False]
    assert [told(user, Modality="MR") for user in USERS] == [None, None, None]


@pytest.mark.parametrize("k", [1, 2, 3])
def test_a_list_is_as_long_as_asked_for_whatever_is_hidden(guarded: OrthancProcess, k: int) -> None:
    found = patients(ask(guarded, f"similar/{instance('asked')}", k=k))
    assert found == patients(ask(guarded, f"similar/{instance('asked')}"))[:k]


@pytest.mark.parametrize("group", ["patient", "study", "none"])
@pytest.mark.parametrize("filters", [{}, {"Modality": "MR"}, {"samePatient": "include"}, {"class": "any"}])
def test_no_way_of_asking_leads_to_what_is_hidden(guarded: OrthancProcess, group: str, filters: dict[str, str]) -> None:
    answer = ask(guarded, f"similar/{instance('asked')}", group=group, **filters)
    assert sorted(patients(answer)) == SHOWN


def test_a_hidden_instance_is_answered_like_one_that_is_not_there(guarded: OrthancProcess) -> None:
    hidden = instance("hidden1")
    of_nobody, of_hidden = (ask(guarded, f"similar/{name}") for name in (NOBODY, hidden))
    assert of_nobody.status_code == 404
    assert (of_hidden.status_code, of_hidden.content) == (of_nobody.status_code, of_nobody.content)
    assert ask(guarded, f"similar/{hidden}", "alice").status_code == 200
    own = instance("asked")
    for path, name in ((f"similar/{own}", "more"), (f"similar/{own}", "less"), (f"heatmap/{own}", "against")):
        answers = {(answer.status_code, answer.content) for answer in (
            ask(guarded, path, **{name: one}) for one in (NOBODY, hidden)
        )}  # fmt: skip
        assert len(answers) == 1
        assert ask(guarded, path, "alice", **{name: hidden}).status_code == 200
    by_uid = guarded.http.get(f"/instances/{hidden}/content/0008,0018").text.strip("\0 ")
    of_hidden, of_nobody = (ask(guarded, f"similar/{name}") for name in (by_uid, "1.2.3"))
    assert (of_hidden.status_code, of_hidden.content) == (of_nobody.status_code, of_nobody.content)


def test_the_series_study_and_patient_of_a_hidden_instance_are_not_there_either(guarded: OrthancProcess) -> None:
    above = guarded.http.get(f"/instances/{instance('hidden1')}/study").json()
    for name in (above["ID"], above["ParentPatient"], above["Series"][0]):
        assert ask(guarded, f"similar/{name}").content == ask(guarded, f"similar/{NOBODY}").content


def test_a_reader_s_word_on_a_hidden_slice_is_neither_taken_nor_told(guarded: OrthancProcess) -> None:
    def say(hit: str, user: str) -> httpx.Response:
        said = {"query": instance("asked"), "hit": hit, "verdict": "similar"}
        return guarded.http.post("/cbmir/feedback", json=said, auth=(user, USERS[user]))

    assert say(instance("hidden1"), "alice").status_code == 201
    assert say(instance("shown1"), "bob").status_code == 201
    assert say(instance("hidden1"), "bob").status_code == 404
    assert say(instance("hidden1"), "bob").content == say(NOBODY, "bob").content
    assert [said["hit"] for said in ask(guarded, "feedback").json()["feedback"]] == [instance("shown1")]
    assert len(ask(guarded, "feedback", "alice").json()["feedback"]) == 2


def test_a_hidden_study_is_labelled_by_nobody_who_may_not_see_it(guarded: OrthancProcess) -> None:
    def say(study_instance_uid: str, user: str, **more: bool) -> httpx.Response:
        labels = [{"StudyInstanceUID": study_instance_uid, "label": "glioma", "provenance": "histology"}]
        return guarded.http.post("/cbmir/labels", json={"labels": labels, **more}, auth=(user, USERS[user]))

    def held() -> httpx.Response:
        return guarded.http.get(f"/studies/{study('hidden1')}/metadata/3872")

    of_hidden, of_nobody = (say(one, "bob") for one in (uid("hidden1", 1), "1.2.3"))
    assert of_nobody.status_code == 404
    assert (of_hidden.status_code, of_hidden.content) == (of_nobody.status_code, of_nobody.content)
    assert held().status_code == 404
    assert say(uid("hidden1", 1), "alice").json()["added"] == 1
    before = held().text
    assert say(uid("hidden1", 1), "bob", replace=True, dryRun=True).content == of_nobody.content
    assert say(uid("hidden1", 1), "bob", replace=True).content == of_nobody.content
    assert held().text == before


def test_figures_of_the_whole_archive_are_for_those_who_may_see_orthanc_s_own(guarded: OrthancProcess) -> None:
    assert ask(guarded, "status", "alice").json()["indexed"] == len(PATIENTS)
    status = ask(guarded, "status").json()
    assert status["state"] == "running"
    schema = json.loads((REPOSITORY / "plugin" / "cbmir" / "openapi.json").read_text())
    jsonschema.Draft202012Validator({**schema, "$ref": "#/components/schemas/LimitedStatus"}).validate(status)
    assert ask(guarded, "quality", "alice").status_code == 200
    assert ask(guarded, "quality").status_code == 403
    assert ask(guarded, "map", "alice").status_code == 200
    assert ask(guarded, "map").status_code == 403
    answer = guarded.http.post("/cbmir/reindex", json={}, auth=("bob", USERS["bob"]))
    assert answer.status_code == 403
    assert guarded.http.post("/cbmir/reindex", json={}).status_code == 202


def test_a_header_that_was_not_named_opens_nothing(guarded: OrthancProcess) -> None:
    forged = {"X-Forwarded-User": "alice", "X-Remote-User": "alice", "Cookie": "user=alice", "auth-token": "alice"}
    answer = guarded.http.get(f"/cbmir/similar/{instance('asked')}", headers=forged, auth=("bob", USERS["bob"]))
    assert sorted(patients(answer)) == SHOWN


def test_another_site_can_change_nothing(guarded: OrthancProcess) -> None:
    before = ask(guarded, "feedback", "alice").content
    said = json.dumps({"query": instance("asked"), "hit": instance("shown2"), "verdict": "similar"})
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        for path in ("feedback", "reindex", "save", "labels"):
            answer = guarded.http.post(f"/cbmir/{path}", content=said, headers={"Content-Type": content_type})
            assert answer.status_code == 400, path
            assert "access-control-allow-origin" not in answer.headers
    for method in ("DELETE", "PUT", "POST"):
        assert guarded.http.get("/cbmir/feedback", params={"_method": method}).status_code != 201
    preflight = guarded.http.options("/cbmir/feedback", headers={"Origin": "https://example.org"})
    assert "access-control-allow-origin" not in preflight.headers
    assert ask(guarded, "feedback", "alice").content == before


def test_the_audit_tells_who_asked_for_what_and_whether_they_got_it(guarded: OrthancProcess) -> None:
    path = guarded.data / "audit.jsonl"
    before = len(path.read_text().splitlines())
    ask(guarded, f"similar/{instance('asked')}")
    ask(guarded, f"similar/{instance('hidden1')}")
    ask(guarded, f"similar/{NOBODY}")
    ask(guarded, f"heatmap/{instance('asked')}", against=instance("shown1"))
    lines = [json.loads(line) for line in path.read_text().splitlines()[before:]]
    assert [line["outcome"] for line in lines] == [0, 8, 4, 0]
    assert [line["event"]["code"] for line in lines] == ["110112", "110112", "110112", "110103"]
    assert {line["user"] for line in lines} == {"bob"}
    assert len(lines[0]["StudyInstanceUIDs"]) == len(SHOWN)
    assert USERS["bob"] not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


# ---- a filter in Python that asks a service, as the authorization plugin does ----


@pytest.fixture(scope="module")
def service() -> Iterator[AuthorizationService]:
    service = AuthorizationService()
    service.studies = {"all": {"*"}, "some": {study(one) for one in ("asked", *SHOWN)}, "one": {study("asked")}}
    service.system = {"all": {"/"}, "some": {"/cbmir/"}, "one": {"/cbmir/"}, None: set()}
    yield service
    service.close()


@pytest.fixture(scope="module")
def tokens(
    make_shared_orthanc: Callable[..., OrthancProcess],
    service: AuthorizationService,
    tmp_path_factory: pytest.TempPathFactory,
) -> OrthancProcess:
    """An Orthanc that has its callers checked by a web service."""
    script = service_filter(tmp_path_factory.mktemp("python") / "guard.py", service.port)
    orthanc = make_shared_orthanc(PythonScript=str(script), Authorization={"TokenHttpHeaders": [TOKEN_HEADER]})
    orthanc.http.headers[TOKEN_HEADER] = "all"
    orthanc.start()
    fill(orthanc, PATIENTS)
    return orthanc


def with_token(orthanc: OrthancProcess, token: str, path: str, **parameters: Any) -> httpx.Response:
    return orthanc.http.get(f"/cbmir/{path}", params=parameters, headers={TOKEN_HEADER: token})


def test_the_service_decides_what_a_token_finds(tokens: OrthancProcess) -> None:
    assert sorted(patients(with_token(tokens, "all", f"similar/{instance('asked')}"))) == sorted(PATIENTS[1:])
    assert sorted(patients(with_token(tokens, "some", f"similar/{instance('asked')}"))) == SHOWN
    assert with_token(tokens, "none", f"similar/{instance('asked')}").status_code == 403


def test_a_token_for_one_study_never_finds_another(tokens: OrthancProcess) -> None:
    answer = with_token(tokens, "one", f"similar/{instance('asked')}", samePatient="include")
    assert patients(answer) == []
    assert answer.json()["message"] == "No similar case among the studies that you may see."
    assert with_token(tokens, "one", f"similar/{instance('shown1')}").status_code == 404


def test_a_verdict_is_not_asked_for_again_within_the_minute(
    tokens: OrthancProcess, service: AuthorizationService
) -> None:
    with_token(tokens, "some", f"similar/{instance('asked')}")
    before = service.answers
    with_token(tokens, "some", f"similar/{instance('asked')}")
    assert service.answers == before + 1, "for the query itself"


def test_a_service_that_fails_opens_nothing(tokens: OrthancProcess, service: AuthorizationService) -> None:
    service.studies["late"], service.system["late"] = {"*"}, {"/cbmir/"}
    grants = service.grants

    def failing(question: dict[str, Any]) -> bool:
        service.is_broken = question["level"] != "system"
        return grants(question)

    service.grants = failing  # type: ignore[method-assign]
    try:
        answer = with_token(tokens, "late", f"similar/{instance('asked')}")
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert "cases" not in answer.text
    finally:
        service.grants, service.is_broken = grants, False  # type: ignore[method-assign]
    assert len(patients(with_token(tokens, "late", f"similar/{instance('asked')}"))) == len(PATIENTS) - 1


# ---- an Orthanc that has no thread left to answer itself ----


def test_an_orthanc_without_a_free_thread_says_so_instead_of_waiting_for_itself(
    make_orthanc: Callable[..., OrthancProcess],
) -> None:
    orthanc = make_orthanc({"AccessControl": "on"}).start()
    fill(orthanc, PATIENTS[:2])
    assert orthanc.stop() == 0
    orthanc.configuration["HttpThreadsCount"] = 1
    orthanc.http.headers["Connection"] = "close"
    orthanc.start()
    answer = orthanc.http.get(f"/cbmir/similar/{instance('asked')}")
    assert answer.status_code == 503
    assert orthanc.http.get("/system").status_code == 200


def test_many_queries_at_once_leave_orthanc_threads_for_its_verdicts(guarded: OrthancProcess) -> None:
    audit = guarded.data / "audit.jsonl"
    before = len(audit.read_text().splitlines())
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda _: ask(guarded, f"similar/{instance('asked')}"), range(48)))
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert any(answer.status_code == 200 for answer in answers)
    for answer in answers:
        assert answer.status_code == 503 or sorted(patients(answer)) == SHOWN
    outcomes = [json.loads(line)["outcome"] for line in audit.read_text().splitlines()[before:]]
    assert sorted(outcomes) == sorted(0 if answer.status_code == 200 else 8 for answer in answers)


# ---- when it is on ----


def test_an_orthanc_that_asks_nobody_who_they_are_hides_nothing(orthanc: OrthancProcess) -> None:
    fill(orthanc, PATIENTS[:3])
    assert len(orthanc.similar(instance("asked"))["cases"]) == 2
    assert len(orthanc.similar(study("asked"))["cases"]) == 2
    patient = orthanc.http.get(f"/studies/{study('asked')}/patient").json()["ID"]
    assert orthanc.http.get(f"/cbmir/similar/{patient}").status_code == 400
