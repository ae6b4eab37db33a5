from __future__ import annotations

import contextlib
import dataclasses
import json
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from dicom_files import CANARY, mr_slice, picture
from parts import MODEL, Workplace, tiny_classifier, tiny_embedder

from cbmir.web import Request, Response

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = "00000000-00000000-00000000-00000000-00000000"


@pytest.fixture
def stored(workplace: Workplace) -> list[str]:
    """Return five patients' instances, of which the second looks most like the first."""
    pictures = [picture(1, kind=0), picture(2, kind=0), picture(3, kind=1), picture(4, kind=2), picture(5, kind=3)]
    stored = workplace.store(*(mr_slice(f"P{n}", n, pixels=pixels) for n, pixels in enumerate(pictures)))
    workplace.work()
    return stored


def body(response: Response) -> Any:
    return json.loads(response.body)


def similar(workplace: Workplace, name: str, **query: str) -> Any:
    response = workplace.get(f"similar/{name}", **query)
    assert response.status == 200, response.body
    return body(response)


def error(response: Response, status: int) -> str:
    """Return the message of an error in the one form that errors take."""
    assert response.status == status, response.body
    document = body(response)
    assert set(document) == {"error"}
    assert set(document["error"]) == {"status", "code", "message"}
    assert document["error"]["status"] == status
    assert CANARY not in document["error"]["message"]
    return str(document["error"]["message"])


def post(workplace: Workplace, path: str, document: Any, content_type: str = "application/json") -> Response:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return workplace.api(Request("POST", path, {}, {"content-type": content_type}, data))


# ---- similar ----


def test_the_most_similar_patient_comes_first(workplace: Workplace, stored: list[str]) -> None:
    answer = similar(workplace, stored[0])
    assert answer["query"]["orthancId"] == stored[0]
    assert answer["query"]["indexed"] is True
    assert answer["model"]["id"] == MODEL
    assert answer["message"] is None
    assert answer["cases"][0]["slices"][0]["orthancId"] == stored[1]
    similarities = [case["similarity"] for case in answer["cases"]]
    assert similarities == sorted(similarities, reverse=True)
    assert stored[0] not in [case["slices"][0]["orthancId"] for case in answer["cases"]]


def test_an_instance_can_be_named_by_its_uid(workplace: Workplace, stored: list[str]) -> None:
    uid = str(mr_slice("P0", 0).SOPInstanceUID)
    assert similar(workplace, uid) == similar(workplace, stored[0])


def test_a_slice_that_is_not_indexed_yet_is_embedded_for_the_query(workplace: Workplace, stored: list[str]) -> None:
    late = workplace.orthanc.store(mr_slice("late", 77, pixels=picture(1, kind=0)))
    answer = similar(workplace, late)
    assert answer["query"]["indexed"] is False
    assert answer["cases"][0]["slices"][0]["orthancId"] in stored[:2]
    assert answer["cases"][0]["similarity"] > 0.99
    assert workplace.catalogue.entry(late) is None
    assert similar(workplace, str(mr_slice("late", 77).SOPInstanceUID))["query"]["orthancId"] == late


def test_indexed_or_not_the_answer_is_the_same(workplace: Workplace, stored: list[str]) -> None:
    indexed = similar(workplace, stored[0])
    workplace.index.remove(workplace.catalogue.forget([stored[0]]))
    fresh = similar(workplace, stored[0])
    assert fresh["cases"] == indexed["cases"]
    assert fresh["query"] == {**indexed["query"], "indexed": False}


def test_frames_are_asked_for_by_number(workplace: Workplace, stored: list[str]) -> None:
    frames = np.stack([picture(1, kind=5), picture(1, kind=0), picture(1, kind=6)])
    (multi,) = workplace.store(mr_slice("multi", 50, pixels=frames))
    workplace.work()
    answer = similar(workplace, multi, frame="2")
    assert (answer["query"]["frame"], answer["query"]["numberOfFrames"]) == (2, 3)
    assert answer["cases"][0]["similarity"] > 0.99
    assert "/frames/1/rendered?" in answer["query"]["thumbnailUrl"]
    assert similar(workplace, multi, frame="1")["cases"][0]["similarity"] < 0.99
    hit = next(case for case in similar(workplace, stored[0])["cases"] if case["slices"][0]["orthancId"] == multi)
    assert hit["slices"][0]["frame"] == 2
    assert error(workplace.get(f"similar/{multi}", frame="4"), 404) == "the instance has frames 1 to 3"


def test_a_region_changes_the_answer_but_not_the_query(workplace: Workplace, stored: list[str]) -> None:
    whole, part = similar(workplace, stored[0]), similar(workplace, stored[0], roi="0,0,20,20")
    assert part["query"] == whole["query"]
    assert [case["similarity"] for case in part["cases"]] != [case["similarity"] for case in whole["cases"]]
    everything = similar(workplace, stored[0], roi="0,0,64,64")
    assert [case["similarity"] for case in everything["cases"]] == pytest.approx(
        [case["similarity"] for case in whole["cases"]], abs=1e-3
    )
    assert "outside the picture" in error(workplace.get(f"similar/{stored[0]}", roi="100,100,5,5"), 400)


def test_a_reader_s_marks_move_the_query(workplace: Workplace, stored: list[str]) -> None:
    def of(name: str, answer: Any) -> float:
        found = [case["similarity"] for case in answer["cases"] if case["slices"][0]["orthancId"] == name]
        return float(found[0]) if found else -1.0

    plain = similar(workplace, stored[0])
    towards = similar(workplace, stored[0], more=stored[3])
    assert of(stored[3], towards) > of(stored[3], plain)
    away = similar(workplace, stored[0], less=f"{stored[1]}:1,")
    assert of(stored[1], away) < of(stored[1], plain)
    assert "no such instance" in error(workplace.get(f"similar/{stored[0]}", more=NOBODY), 404)
    assert "at most 100" in error(workplace.get(f"similar/{stored[0]}", less=",".join(stored * 30)), 400)


def test_cases_can_be_kept_to_the_class_that_the_slice_looks_most_like(workplace: Workplace, stored: list[str]) -> None:
    answer = similar(workplace, stored[0])
    looks = answer["prediction"]["looksMostLike"]
    assert looks in workplace.embedder.labels
    assert sum(one["probability"] for one in answer["prediction"]["classes"]) == pytest.approx(1, abs=1e-3)
    kept = {case["slices"][0]["orthancId"] for case in similar(workplace, stored[0], **{"class": "predicted"})["cases"]}
    alike = {name for name in stored[1:] if similar(workplace, name)["prediction"]["looksMostLike"] == looks}
    assert kept == alike & {case["slices"][0]["orthancId"] for case in answer["cases"]}


def test_of_a_slice_that_is_far_from_every_class_the_cases_can_be_kept_to_such_slices(tmp_path: Path) -> None:
    """A reader who had switched the filter on got an error for such a slice, and no cases."""
    embedder = tiny_embedder()
    aloof = dataclasses.replace(tiny_classifier(), far_below=2.0)
    workplace = Workplace(tmp_path, embedder=dataclasses.replace(embedder, classifier=aloof))
    query, other = workplace.store(mr_slice("P1", 1), mr_slice("P2", 2))
    workplace.work()
    answer = similar(workplace, query, **{"class": "predicted"})
    assert answer["prediction"]["noneOfThese"]
    assert [case["slices"][0]["orthancId"] for case in answer["cases"]] == [other]
    workplace.close()


def test_filters_narrow_the_cases(workplace: Workplace, stored: list[str]) -> None:
    assert len(similar(workplace, stored[0], SeriesDescription="t1*")["cases"]) > 0
    answer = similar(workplace, stored[0], SeriesDescription="*FLAIR*")
    assert answer["cases"] == []
    assert answer["message"] == "No similar case fulfils these filters."


def test_nothing_similar_is_said_calmly(tmp_path: Path) -> None:
    workplace = Workplace(tmp_path, min_similarity=0.999)
    (only,) = workplace.store(mr_slice("P1"))
    workplace.work()
    assert "similarity of 0.999" in similar(workplace, only)["message"]
    assert "No other study of this patient" in similar(workplace, only, samePatient="only")["message"]
    workplace.close()


def test_an_archive_of_one_has_no_other_patients(workplace: Workplace) -> None:
    (only,) = workplace.store(mr_slice("P1"))
    workplace.work()
    answer = similar(workplace, only)
    assert answer["cases"] == []
    assert answer["message"] == "No similar case: no other patient's slices are indexed yet."


def test_priors_are_found_among_the_patient_s_own_studies(workplace: Workplace, stored: list[str]) -> None:
    (prior,) = workplace.store(mr_slice("P0", 90, pixels=picture(9, kind=0)))
    workplace.work()
    (case,) = similar(workplace, stored[0], samePatient="only")["cases"]
    assert case["slices"][0]["orthancId"] == prior
    assert all(c["patient"]["PatientID"] != "P0" for c in similar(workplace, stored[0])["cases"])


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        (NOBODY, 404, "there is no such instance"),
        ("1.2.3.4", 404, "no instance, series or study with this UID"),
        ("", 400, "name an instance"),
        ("x", 400, "name an instance"),
        ("a/b", 400, "name an instance"),
        ("%252e%252e", 400, "name an instance"),
        ("1" * 8000, 400, "name an instance"),
    ],
)
def test_what_is_no_instance_is_refused_without_repeating_it(
    workplace: Workplace, name: str, status: int, message: str
) -> None:
    said = error(workplace.get(f"similar/{name}"), status)
    assert message in said
    assert len(said) < 200


def test_a_patient_is_told_from_an_instance(workplace: Workplace, stored: list[str]) -> None:
    patient = workplace.orthanc.above(stored[0])[2]
    assert "name one of its instances" in error(workplace.get(f"similar/{patient}"), 400)


def test_a_heat_map_of_a_series_is_refused(workplace: Workplace, stored: list[str]) -> None:
    series = workplace.orthanc.above(stored[0])[0]
    assert "name one of its instances" in error(workplace.get(f"heatmap/{series}", against=stored[1]), 400)


@pytest.mark.parametrize("k", ["0", "-1", "101", "x", "5&k=6"])
def test_a_wrong_parameter_is_refused_with_its_range(workplace: Workplace, stored: list[str], k: str) -> None:
    assert error(workplace.get(f"similar/{stored[0]}", k=k), 400) == "k must be a whole number from 1 to 100"


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"Modality": "CT"}, "modality CT is not indexed"),
        ({"Rows": 0}, "Rows"),
        ({"BitsAllocated": 1}, "BitsAllocated"),
        ({"pixels": np.zeros((8, 8), np.uint16)}, "one grey only"),
    ],
)
def test_an_instance_that_cannot_be_compared_is_answered_with_the_reason(
    workplace: Workplace, tags: dict[str, Any], message: str
) -> None:
    (name,) = workplace.store(mr_slice(**tags))
    for _ in ("before indexing", "after indexing"):
        response = workplace.get(f"similar/{name}")
        assert message in error(response, 404)
        assert body(response)["error"]["code"] == "not_indexed"
        workplace.work()


def test_an_orthanc_in_trouble_is_503_and_not_an_empty_answer(workplace: Workplace) -> None:
    name = workplace.orthanc.store(mr_slice())
    workplace.orthanc.failing = {name: 1}
    response = workplace.get(f"similar/{name}")
    assert name in error(response, 503)
    assert "Retry-After" in response.headers


def test_too_many_queries_at_once_are_asked_to_come_again(tmp_path: Path) -> None:
    workplace = Workplace(tmp_path, max_parallel_queries=2)
    workplace.store(mr_slice("P1"), mr_slice("P2", 2))
    workplace.work()
    name = workplace.orthanc.store(mr_slice("P3", 3))
    inside, leave = threading.Semaphore(0), threading.Event()
    fetch = workplace.orthanc.GetDicomForInstance

    def slow(orthanc_id: str) -> bytes:
        inside.release()
        leave.wait(120)
        return fetch(orthanc_id)

    workplace.orthanc.GetDicomForInstance = slow  # type: ignore[method-assign]
    answers: list[Response] = []

    def ask() -> None:
        answers.append(workplace.get(f"similar/{name}"))
        workplace.close()

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert inside.acquire(timeout=120)
    assert "MaxParallelQueries" in error(workplace.get(f"similar/{name}"), 503)
    assert workplace.get("status").status == 200
    leave.set()
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [200, 200]
    # the places are free again, also after a query that failed
    for _ in range(5):
        assert workplace.get(f"similar/{NOBODY}").status == 404
    assert workplace.get(f"similar/{name}").status == 200
    workplace.close()


def test_an_error_that_nobody_thought_of_is_answered_without_its_text(
    workplace: Workplace, stored: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ValueError(CANARY)

    monkeypatch.setattr(workplace.catalogue, "slice_vector", fail)
    assert error(workplace.get(f"similar/{stored[0]}"), 500)
    assert workplace.log == ["a request failed (ValueError)"]


def test_the_same_question_has_the_same_answer(workplace: Workplace, stored: list[str]) -> None:
    assert len({workplace.get(f"similar/{stored[0]}").body for _ in range(10)}) == 1


# ---- heatmap ----


def test_a_heatmap_adds_up_to_the_similarity(workplace: Workplace, stored: list[str]) -> None:
    response = workplace.get(f"heatmap/{stored[0]}", against=stored[1])
    answer = body(response)
    assert response.status == 200
    (case,) = [case for case in similar(workplace, stored[0])["cases"] if case["slices"][0]["orthancId"] == stored[1]]
    assert answer["similarity"] == pytest.approx(case["similarity"], abs=1e-3)
    for side in ("query", "against"):
        assert np.sum(answer[side]["cells"]) == pytest.approx(answer["similarity"], abs=1e-3)
        assert (answer[side]["rows"], answer[side]["columns"]) == (64, 64)


def test_a_heatmap_needs_two_slices(workplace: Workplace, stored: list[str]) -> None:
    assert "against" in error(workplace.get(f"heatmap/{stored[0]}"), 400)
    assert "no such instance" in error(workplace.get(f"heatmap/{stored[0]}", against=NOBODY), 404)


# ---- feedback ----


def test_what_a_reader_says_is_kept_and_listed(workplace: Workplace, stored: list[str]) -> None:
    response = post(workplace, "feedback", {"query": stored[0], "hit": stored[1], "verdict": "similar"})
    assert response.status == 201
    said = body(response)
    assert (said["queryFrame"], said["hitFrame"], said["model"]) == (1, 1, MODEL)
    assert body(workplace.get("feedback")) == {"feedback": [said]}


def test_a_reader_may_take_back_what_was_said_and_nothing_else_goes_with_it(
    workplace: Workplace, stored: list[str]
) -> None:
    given = {"query": stored[0], "hit": stored[1], "verdict": "similar"}
    post(workplace, "feedback", given)
    other = body(post(workplace, "feedback", given | {"hit": stored[2]}))
    for _ in ("taken back", "nothing left to take back"):
        response = post(workplace, "feedback", given | {"verdict": None})
        assert response.status == 200
        assert body(response)["verdict"] is None
        assert body(workplace.get("feedback")) == {"feedback": [other]}


def test_a_verdict_must_be_named_even_to_take_it_back(workplace: Workplace, stored: list[str]) -> None:
    given = {"query": stored[0], "hit": stored[1]}
    post(workplace, "feedback", given | {"verdict": "similar"})
    assert "verdict must be" in error(post(workplace, "feedback", given), 400)
    assert len(body(workplace.get("feedback"))["feedback"]) == 1


def test_one_point_nought_is_a_whole_number_in_json(workplace: Workplace, stored: list[str]) -> None:
    given = {"query": stored[0], "hit": stored[1], "verdict": "similar", "queryFrame": 1.0}
    assert body(post(workplace, "feedback", given))["queryFrame"] == 1


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"verdict": "nice"}, 400, "verdict must be one of similar, different"),
        ({"verdict": ""}, 400, "null to take it back"),
        ({"hit": "x"}, 400, "hit must be the Orthanc id"),
        ({"hit": ["a"]}, 400, "hit must be the Orthanc id"),
        ({"query": None}, 400, "query must be the Orthanc id"),
        ({"hit": NOBODY}, 404, "indexed instances"),
        ({"hitFrame": 0}, 400, "hitFrame must be a whole number"),
        ({"hitFrame": "x"}, 400, "hitFrame must be a whole number"),
        ({"queryFrame": None}, 400, "queryFrame must be a whole number"),
        ({"queryFrame": "1"}, 400, "queryFrame must be a whole number"),
        ({"queryFrame": True}, 400, "queryFrame must be a whole number"),
        ({"queryFrame": 1.5}, 400, "queryFrame must be a whole number"),
        ({"queryFrame": 1e400}, 400, "queryFrame must be a whole number"),
        ({"verdict": ["similar"]}, 400, "verdict"),
        ({"verdict": {"a": 1}}, 400, "verdict"),
    ],
)
def test_senseless_feedback_is_refused(
    workplace: Workplace, stored: list[str], change: dict[str, Any], status: int, message: str
) -> None:
    given = {"query": stored[0], "hit": stored[1], "verdict": "similar", **change}
    assert message in error(post(workplace, "feedback", given), status)
    assert body(workplace.get("feedback")) == {"feedback": []}


@pytest.mark.parametrize("path", ["feedback", "save", "reindex"])
def test_a_body_that_would_fill_the_memory_is_refused(workplace: Workplace, path: str) -> None:
    assert "1000000 bytes" in error(post(workplace, path, b"[" + b"[]," * 400_000 + b"[]]"), 400)


# ---- the catalogue in trouble ----


@pytest.mark.parametrize("damage", [b"\0" * 8, b"\xff" * 8])
def test_from_a_damaged_catalogue_nothing_is_answered_but_that_it_is(
    workplace: Workplace, stored: list[str], damage: bytes
) -> None:
    """Nor does the status fail: it is what a health check asks for. The schema's own text is damaged here."""
    file = workplace.directory / "catalogue.sqlite"
    workplace.catalogue._overwrite_deleted()
    workplace.catalogue.close()
    content = bytearray(file.read_bytes())
    at = content.index(b"study_orthanc_id TEXT")
    content[at : at + len(damage)] = damage
    file.write_bytes(content)
    for path in (f"similar/{stored[0]}", "feedback", "quality"):
        message = error(workplace.get(path), 503)
        assert message == "the catalogue is damaged: restart Orthanc, and everything is indexed anew"
    response = workplace.get("status")
    assert response.status == 503
    assert (body(response)["state"], body(response)["reason"]) == ("degraded", message)


def test_damage_that_was_found_by_another_in_the_same_moment_is_damage_too(
    workplace: Workplace, stored: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker had disabled the plugin while a request was under way, whose error nobody could explain then: 500."""

    def damaged(_: str) -> None:
        workplace.state.name, workplace.state.services = "disabled", None
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error

    monkeypatch.setattr(workplace.catalogue, "entry", damaged)
    message = error(workplace.get(f"similar/{stored[0]}"), 503)
    assert message == "the catalogue is damaged: restart Orthanc, and everything is indexed anew"


def test_a_status_whose_figures_cannot_be_read_is_one_without_figures(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable() -> dict[str, int]:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    monkeypatch.setattr(workplace.catalogue, "counts", unreadable)
    response = workplace.get("status")
    assert response.status == 200
    assert body(response)["state"] == "degraded"
    assert "queued" not in body(response)


def test_what_a_locked_catalogue_cannot_take_may_be_tried_again(workplace: Workplace, stored: list[str]) -> None:
    workplace.catalogue._connection().execute("PRAGMA busy_timeout = 0")
    with contextlib.closing(sqlite3.connect(workplace.directory / "catalogue.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        given = {"query": stored[0], "hit": stored[1], "verdict": "similar"}
        response = post(workplace, "feedback", given)
    assert "cannot be read or written at the moment" in error(response, 503)
    assert response.headers["Retry-After"]
    assert post(workplace, "feedback", given).status == 201


# ---- reindex ----


def test_reindexing_makes_failed_and_skipped_instances_pending(workplace: Workplace, stored: list[str]) -> None:
    workplace.store(mr_slice("CT", 9, Modality="CT"))
    workplace.work()
    response = post(workplace, "reindex", {})
    assert response.status == 202
    assert body(response) == {"queued": 1}
    assert workplace.inbox.overflowed.is_set()
    assert body(post(workplace, "reindex", {"states": ["indexed"]})) == {"queued": len(stored)}
    assert len(similar(workplace, stored[0])["cases"]) == 4
    workplace.work()
    assert workplace.catalogue.counts() == {"pending": 0, "indexed": 5, "skipped": 1, "failed": 0}
    workplace.agree()


@pytest.mark.parametrize(
    "document", [b"[]", b"null", b"{", b"\xff", b"[" * 100_000, {"states": []}, {"states": "failed"}, {"states": ["x"]},
                 {"states": [["failed"]]}, {"states": None}, {"states": {"failed": 1}}]
)  # fmt: skip
def test_a_malformed_reindex_changes_nothing(workplace: Workplace, document: Any) -> None:
    workplace.store(mr_slice(Modality="CT"))
    workplace.work()
    error(post(workplace, "reindex", document), 400)
    assert workplace.catalogue.counts()["pending"] == 0


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
@pytest.mark.parametrize("path", ["reindex", "feedback"])
def test_a_form_of_another_site_can_change_nothing(workplace: Workplace, path: str, content_type: str) -> None:
    assert "Content-Type: application/json" in error(post(workplace, path, {}, content_type), 400)


def test_a_charset_in_the_content_type_is_fine(workplace: Workplace) -> None:
    assert post(workplace, "reindex", {}, "Application/JSON; charset=utf-8").status == 202


# ---- status and routes ----


def test_the_status_counts_what_became_of_the_instances(workplace: Workplace, stored: list[str]) -> None:
    workplace.store(mr_slice("CT", 9, Modality="CT"))
    before = body(workplace.get("status"))
    assert before["indexed"] == len(stored)
    workplace.work()
    status = body(workplace.get("status"))
    assert (status["state"], status["worker"], status["reason"]) == ("running", "running", None)
    assert [status[name] for name in ("queued", "indexed", "skipped", "failed", "slices")] == [0, 5, 1, 0, 5]
    assert status["modalities"] == {"MR": 5}
    assert status["notIndexed"] == [
        {"state": "skipped", "reason": "modality CT is not indexed (setting Modalities)", "instances": 1}
    ]


def test_trouble_and_a_stalled_worker_are_seen_in_the_status(workplace: Workplace) -> None:
    workplace.progress.trouble = "indexing is interrupted (OSError); it is tried again"
    response = workplace.get("status")
    assert response.status == 200
    assert (body(response)["state"], body(response)["reason"]) == ("degraded", workplace.progress.trouble)
    workplace.progress.beat -= 3600
    response = workplace.get("status")
    assert response.status == 503
    assert body(response)["worker"] == "stalled"


@pytest.mark.parametrize(("state", "status"), [("starting", 200), ("stopped", 200), ("disabled", 503)])
def test_before_and_after_its_life_the_plugin_says_where_it_is(workplace: Workplace, state: str, status: int) -> None:
    workplace.state.services, workplace.state.name, workplace.state.reason = None, state, "because"
    response = workplace.get("status")
    assert response.status == status
    assert body(response)["state"] == state
    for path in ("similar/1.2", "heatmap/1.2", "feedback"):
        assert f"the plugin is {state}: because" in error(workplace.get(path), 503)
    assert "because" in error(post(workplace, "reindex", {}), 503)


@pytest.mark.parametrize("path", ["", "nothing", "status/x", "reindex/x", "openapi.json/x", "Status", "similar.json"])
def test_an_unknown_route_is_answered_with_those_that_there_are(workplace: Workplace, path: str) -> None:
    assert "/cbmir/similar" in error(workplace.get(path), 404)


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "get", ""])
@pytest.mark.parametrize("path", ["similar/1.2", "heatmap/1.2", "status", "openapi.json", "reindex", "feedback"])
def test_other_methods_are_refused_and_change_nothing(workplace: Workplace, method: str, path: str) -> None:
    response = workplace.api(Request(method, path))
    error(response, 405)
    assert response.headers["Allow"]


def test_nothing_is_changed_by_a_get(workplace: Workplace) -> None:
    assert workplace.get("reindex").status == 405
    assert workplace.api(Request("POST", "similar/1.2")).status == 405
