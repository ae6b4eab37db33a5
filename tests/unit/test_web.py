from __future__ import annotations

import json
from typing import Any

import pytest

from cbmir.errors import (
    BadRequest,
    CatalogueError,
    ModelError,
    NotFound,
    SettingsError,
    Unavailable,
    UnreadableSlice,
    UnsupportedSlice,
)
from cbmir.web import Request, answer, decoded, disabled, failure, method_not_allowed


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (BadRequest("k"), 400, "bad_request"),
        (NotFound("no"), 404, "not_found"),
        (UnsupportedSlice("CT"), 404, "not_indexed"),
        (UnreadableSlice("cut"), 404, "not_indexed"),
        (Unavailable("soon"), 503, "unavailable"),
    ],
)
def test_an_error_raised_on_purpose_is_answered_with_its_message(error: Exception, status: int, code: str) -> None:
    response = failure(error)
    assert response.status == status
    assert json.loads(response.body) == {"error": {"status": status, "code": code, "message": str(error)}}


@pytest.mark.parametrize(
    "error", [ValueError("ZZPHI"), ModelError("ZZPHI"), CatalogueError("ZZPHI"), SettingsError("ZZPHI")]
)
def test_any_other_error_is_not_described(error: Exception) -> None:
    response = failure(error)
    assert response.status == 500
    assert json.loads(response.body)["error"]["code"] == "internal"
    assert b"ZZPHI" not in response.body


def test_only_what_passes_invites_another_try() -> None:
    assert int(failure(Unavailable("soon")).headers["Retry-After"]) > 0
    assert "Retry-After" not in failure(NotFound("no")).headers


@pytest.mark.parametrize("document", [float("nan"), {"a": [float("inf")]}, [-float("inf")]])
def test_what_is_no_json_is_never_answered(document: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        answer(document)


def test_no_cache_may_keep_an_answer_and_no_browser_guess_its_type() -> None:
    for response in (answer({}), failure(NotFound("no")), method_not_allowed("GET"), disabled("x")(Request("GET", ""))):
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.content_type == "application/json"


def test_the_headers_of_one_response_are_not_those_of_the_next() -> None:
    method_not_allowed("GET")
    assert "Allow" not in answer({}).headers


def test_text_of_every_script_survives_and_lone_surrogates_do_no_harm() -> None:
    assert json.loads(answer({"text": "头部 Ä </script>"}).body) == {"text": "头部 Ä </script>"}
    assert json.loads(answer({"text": "a\udcffb"}).body) == {"text": "a?b"}


def test_a_wrong_method_is_told_the_right_one() -> None:
    response = method_not_allowed("POST")
    assert response.status == 405
    assert response.headers["Allow"] == "POST"
    assert "POST" in json.loads(response.body)["error"]["message"]


@pytest.mark.parametrize("path", ["status", "similar/1.2", "nothing"])
def test_a_plugin_that_cannot_start_says_why_on_every_route(path: str) -> None:
    response = disabled("no model")(Request("GET", path))
    document = json.loads(response.body)
    assert response.status == 503
    assert document["state"] == "disabled"
    assert document["reason"] == "no model"
    assert document["error"]["status"] == 503


def test_parameters_are_decoded_as_a_browser_encodes_them() -> None:
    sent = {
        "SeriesDescription": "%2AT1%20TRA+%2BC%2a",
        "StudyInstanceUID": "1.2%2C1.3",
        "more": "a%3A2",
        "k%20": "%C3%A4",
    }
    assert decoded(sent) == {
        "SeriesDescription": "*T1 TRA +C*",
        "StudyInstanceUID": "1.2,1.3",
        "more": "a:2",
        "k ": "ä",
    }


def test_bytes_that_are_no_text_become_what_no_parameter_accepts() -> None:
    assert not decoded({"label": "%ff"})["label"].isprintable()
