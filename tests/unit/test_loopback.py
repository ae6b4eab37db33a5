from __future__ import annotations

import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from cbmir import loopback
from cbmir.access import ANYONE
from cbmir.errors import Unavailable
from cbmir.loopback import CONNECTIONS, Door, Loopback, gatekeeper
from cbmir.settings import Settings
from cbmir.web import Request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cbmir.access import Caller


class Answering:
    """Stands for Orthanc: answers each URI with a status, and remembers what it was asked."""

    def __init__(self) -> None:
        self.statuses: dict[str, int] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.most_at_once = self.at_once = 0
        self.released = threading.Event()
        self.released.set()
        self.protocol = "HTTP/1.1"
        lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def setup(self) -> None:
                self.protocol_version = outer.protocol
                super().setup()

            def do_GET(self) -> None:
                with lock:
                    outer.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                    outer.at_once += 1
                    outer.most_at_once = max(outer.most_at_once, outer.at_once)
                outer.released.wait(120)
                with lock:
                    outer.at_once -= 1
                self.send_response(outer.statuses.get(self.path, 404))
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                """Keep the tests' output clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def orthanc() -> Iterator[Answering]:
    answering = Answering()
    yield answering
    answering.released.set()
    answering.server.shutdown()
    answering.server.server_close()


def keeper(orthanc: Answering, *headers: str) -> Loopback:
    return Loopback(Door(orthanc.port, tls=False), headers or ("Authorization",))


def caller(orthanc: Answering, **headers: str) -> Caller:
    return keeper(orthanc).caller(Request("GET", "similar/x", {}, headers))


@pytest.mark.parametrize(("status", "is_shown"), [(200, True), (401, False), (403, False), (404, False)])
def test_orthanc_decides_what_is_shown(orthanc: Answering, status: int, is_shown: bool) -> None:  # noqa: FBT001
    orthanc.statuses["/studies/a"] = status
    assert caller(orthanc).studies(["a"]) == ({"a"} if is_shown else set())


@pytest.mark.parametrize("status", [204, 301, 400, 405, 429, 500, 502, 503])
def test_any_other_answer_shows_nothing_at_all(orthanc: Answering, status: int) -> None:
    orthanc.statuses |= {"/studies/a": 200, "/studies/b": status}
    with pytest.raises(Unavailable, match="failed to say"):
        caller(orthanc).studies(["a", "b"])


def test_where_nobody_answers_nothing_is_shown() -> None:
    with pytest.raises(Unavailable, match="cannot be asked"):
        Loopback(Door(1, tls=False), ()).caller(Request("GET", "")).studies(["a"])


def test_only_the_named_headers_are_handed_on(orthanc: Answering) -> None:
    shown = {
        "authorization": "Basic YTpi",
        "auth-token": "t",
        "x-forwarded-user": "root",
        "cookie": "c",
        "host": "evil",
    }
    keeper(orthanc, "Authorization", "Auth-Token").caller(Request("GET", "", {}, shown)).studies(["a"])
    ((_, headers),) = orthanc.asked
    assert headers["authorization"] == "Basic YTpi"
    assert headers["auth-token"] == "t"
    assert headers["host"] == f"127.0.0.1:{orthanc.port}"
    assert not {"x-forwarded-user", "cookie"} & set(headers)


@pytest.mark.parametrize("value", ["a\r\nX-Forwarded-User: root", "ż"])
def test_a_header_that_is_none_shows_nothing(orthanc: Answering, value: str) -> None:
    orthanc.statuses["/studies/a"] = 200
    with pytest.raises(Unavailable):
        caller(orthanc, authorization=value).studies(["a"])


def test_a_verdict_holds_for_the_same_credentials_only(orthanc: Answering) -> None:
    gate = keeper(orthanc)

    def ask(authorization: str) -> set[str]:
        return gate.caller(Request("GET", "", {}, {"authorization": authorization})).studies(["a"])

    orthanc.statuses["/studies/a"] = 200
    assert ask("alice") == ask("alice") == {"a"}
    assert len(orthanc.asked) == 1
    orthanc.statuses["/studies/a"] = 403
    assert ask("bob") == set()
    assert ask("") == set()


def test_a_withdrawn_permission_is_noticed_after_the_minute(
    orthanc: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    asking = caller(orthanc)
    orthanc.statuses["/studies/a"] = 200
    assert asking.studies(["a"]) == {"a"}
    orthanc.statuses["/studies/a"] = 403
    now[0] += loopback.VERDICT_SECONDS - 1
    assert asking.studies(["a"]) == {"a"}
    now[0] += 2
    assert asking.studies(["a"]) == set()


def test_a_failure_is_not_remembered(orthanc: Answering) -> None:
    asking = caller(orthanc)
    orthanc.statuses["/studies/a"] = 500
    with pytest.raises(Unavailable):
        asking.studies(["a"])
    orthanc.statuses["/studies/a"] = 200
    assert asking.studies(["a"]) == {"a"}


def test_what_is_remembered_stays_small(orthanc: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback, "MOST_VERDICTS", 10)
    gate = keeper(orthanc)
    asking = gate.caller(Request("GET", ""))
    for number in range(30):
        asking.studies([str(number)])
        assert len(gate._verdicts._found) <= 10


@pytest.mark.parametrize("protocol", ["HTTP/1.0", "HTTP/1.1"])
def test_many_studies_take_few_connections_kept_alive_or_not(orthanc: Answering, protocol: str) -> None:
    orthanc.protocol = protocol
    orthanc.statuses = {f"/studies/{number}": 200 for number in range(0, 100, 2)}
    assert caller(orthanc).studies(map(str, range(100))) == set(map(str, range(0, 100, 2)))
    assert orthanc.most_at_once <= CONNECTIONS


def test_an_orthanc_that_hangs_is_waited_for_a_limited_time(
    orthanc: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loopback, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(loopback, "STATISTICS_SECONDS", 0.2)
    orthanc.released.clear()
    asking = caller(orthanc)
    with pytest.raises(Unavailable):
        asking.studies(map(str, range(20)))
    assert asking.sees_statistics() is False
    orthanc.released.set()
    monkeypatch.setattr(loopback, "ANSWER_SECONDS", 60)
    orthanc.statuses["/studies/a"] = 200
    assert asking.studies(["a"]) == {"a"}


def test_over_tls_orthanc_is_asked_as_well(orthanc: Answering, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-subj", "/CN=pacs.example", "-days", "2", "-newkey", "rsa:2048", "-nodes"]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    orthanc.server.socket = context.wrap_socket(orthanc.server.socket, server_side=True)
    orthanc.statuses["/studies/a"] = 200
    assert Loopback(Door(orthanc.port, tls=True), ()).caller(Request("GET", "")).studies(["a", "b"]) == {"a"}


def test_nothing_to_ask_is_not_asked(orthanc: Answering) -> None:
    assert caller(orthanc).studies([]) == set()
    assert orthanc.asked == []


@pytest.mark.parametrize(
    ("configuration", "setting", "is_on"),
    [
        ({}, "auto", False),
        ({"AuthenticationEnabled": True}, "auto", True),
        ({"RemoteAccessAllowed": True}, "auto", True),
        ({"RemoteAccessAllowed": True, "AuthenticationEnabled": False}, "auto", False),
        ({"Authorization": {"WebServiceRootUrl": "http://a"}}, "auto", True),
        ({"AuthenticationEnabled": True}, "off", False),
        ({}, "on", True),
    ],
)
def test_it_is_on_where_orthanc_asks_who_its_callers_are(
    configuration: dict[str, Any],
    setting: str,
    is_on: bool,  # noqa: FBT001
) -> None:
    found = gatekeeper(configuration, Settings(access_control=setting))
    assert isinstance(found, Loopback) == is_on
    assert (found is ANYONE) != is_on
