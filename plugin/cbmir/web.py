"""Requests and responses as plain data, so that the API knows no HTTP server."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from cbmir.errors import (
    BadRequest,
    CatalogueDamaged,
    CbmirError,
    Forbidden,
    Hidden,
    NotFound,
    Unavailable,
    UnreadableSlice,
    UnsupportedSlice,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

RETRY_AFTER_SECONDS = 2

_STATUS: dict[type[CbmirError], tuple[int, str]] = {
    BadRequest: (400, "bad_request"),
    NotFound: (404, "not_found"),
    Hidden: (404, "not_found"),
    Forbidden: (403, "forbidden"),
    UnsupportedSlice: (404, "not_indexed"),
    UnreadableSlice: (404, "not_indexed"),
    Unavailable: (503, "unavailable"),
    CatalogueDamaged: (503, "unavailable"),
}


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked. `path` is what follows /cbmir/, decoded; of a repeated query parameter the last counts."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered. Answers are patient data: no cache may keep them unless said so."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(
        default_factory=lambda: {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    )


def decoded(query: Mapping[str, str]) -> dict[str, str]:
    """Return query parameters as they were meant: Orthanc (1.10 to 1.12) hands them on as they were sent.

    Bytes that are no UTF-8 become lone surrogates, which no parameter accepts.
    """
    return {
        unquote_plus(name, errors="surrogateescape"): unquote_plus(value, errors="surrogateescape")
        for name, value in query.items()
    }


def credentials(request: Request, names: Iterable[str]) -> dict[str, str]:
    """Return those of a request's headers that have these names; Orthanc hands on all names in lower case."""
    return {name.lower(): request.headers[name.lower()] for name in names if name.lower() in request.headers}


def answer(document: Any, status: int = 200) -> Response:
    """Return a JSON response. NaN and infinity are no JSON, and raise ValueError."""
    # nothing but ASCII is written in two thirds of the time
    text = json.dumps(document, allow_nan=False)
    if r"\ud" not in text:
        return Response(status, text.encode("ascii"))
    # perhaps half a letter, which is none
    return Response(status, json.dumps(document, ensure_ascii=False).encode("utf-8", "replace"))


def failure(error: Exception) -> Response:
    """Return the one form that every error takes. What was not raised on purpose is not described."""
    status, code = _STATUS.get(type(error), (500, "internal")) if isinstance(error, CbmirError) else (500, "internal")
    message = str(error) if code != "internal" else "the plugin failed; the log of Orthanc says more"
    response = answer({"error": {"status": status, "code": code, "message": message}}, status)
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def disabled(reason: str) -> Callable[[Request], Response]:
    """Return a handler for a plugin that cannot start: every route says why."""

    def handle(_request: Request) -> Response:
        error = {"status": 503, "code": "disabled", "message": f"the plugin is disabled: {reason}"}
        return answer({"state": "disabled", "reason": reason, "error": error}, 503)

    return handle


def method_not_allowed(allowed: str) -> Response:
    """Return 405 with the methods that the route knows."""
    message = f"this route answers {allowed} only"
    response = answer({"error": {"status": 405, "code": "method_not_allowed", "message": message}}, 405)
    response.headers["Allow"] = allowed
    return response
