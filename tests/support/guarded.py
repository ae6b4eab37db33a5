"""Orthancs that tell their users apart, in the ways that there are: a filter in Lua, and a service that is asked."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from dicom_files import mr_file, picture, uid
from orthanc_double import orthanc_id
from orthanc_process import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from orthanc_process import OrthancProcess

TOKEN_HEADER = "auth-token"  # noqa: S105 - the name of a header
USERS = {"alice": "for-all", "bob": "for-some", "carol": "for-figures"}


def study(patient: str) -> str:
    """Return the Orthanc id of a patient's first study."""
    return orthanc_id(patient, uid(patient, 1))


def instance(patient: str) -> str:
    """Return the Orthanc id of the first slice of a patient's first study."""
    return orthanc_id(patient, uid(patient, 1), uid(patient, 1, 1), uid(patient, 1, 1, 1))


def fill(orthanc: OrthancProcess, patients: Sequence[str]) -> None:
    """Store a slice of each patient, the later ones ever less like the first, and wait until all are indexed."""
    for number, patient in enumerate(patients):
        blend = 0.9 * picture(1, kind=0) + number * 0.02 * picture(2, kind=3)
        orthanc.upload(mr_file(patient, pixels=blend.astype("uint16")))
    orthanc.wait_until_indexed(len(patients))


def lua_filter(path: Path, hidden: Mapping[str, Iterable[str]]) -> Path:
    """Write a script that keeps from each of these users the URIs that begin with one of their texts."""
    lists = {user: ", ".join(json.dumps(text) for text in texts) for user, texts in hidden.items()}
    names = ", ".join(f"[{json.dumps(user)}] = {{ {texts} }}" for user, texts in lists.items())
    path.write_text(f"""
hidden = {{ {names} }}
function IncomingHttpRequestFilter(method, uri, ip, username, httpHeaders)
  for _, text in ipairs(hidden[username] or {{}}) do
    if string.sub(uri, 1, string.len(text)) == text then return false end
  end
  return true
end
""")
    return path


def service_filter(path: Path, port: int) -> Path:
    """Write a Python script that guards Orthanc as its authorization plugin does, and registers this plugin.

    The authorization plugin itself is not part of Debian. What this script takes from it: which URIs name a resource,
    what its web service is asked (`tokens/validate`), and that whatever else is asked for is of the level "system".
    """
    path.write_text(f"""
import http.client, json, re, sys
from concurrent.futures import ThreadPoolExecutor
import orthanc
sys.path.insert(0, {str(REPOSITORY / "plugin")!r})
from cbmir.plugin import register

RESOURCE = re.compile(r"^/(patient|studie|serie|instance)s?/([a-f0-9-]+)(|/.*)$")
LEVELS = {{"patient": "patient", "studie": "study", "serie": "series", "instance": "instance"}}
threads = ThreadPoolExecutor(8)

def granted(uri, method, headers):
    resource = RESOURCE.match(uri)
    question = {{"method": method, "token-key": {TOKEN_HEADER!r}, "token-value": headers.get({TOKEN_HEADER!r})}}
    if resource:
        question |= {{"level": LEVELS[resource[1]], "orthanc-id": resource[2]}}
    else:
        question |= {{"level": "system", "uri": uri}}
    connection = http.client.HTTPConnection("127.0.0.1", {port}, timeout=60)
    try:
        connection.request("POST", "/tokens/validate", json.dumps(question), {{"Content-Type": "application/json"}})
        return json.loads(connection.getresponse().read())["granted"]
    finally:
        connection.close()

def guard(uri, **request):
    return threads.submit(granted, uri, request["method"], request["headers"]).result()

orthanc.RegisterIncomingHttpRequestFilter(guard)
register(orthanc)
""")
    return path


class AuthorizationService:
    """The web service that a hospital lets its authorization plugin ask."""

    def __init__(self) -> None:
        """Listen on a free port, and grant nothing."""
        service = self
        self.studies: dict[str | None, set[str]] = {}
        self.system: dict[str | None, set[str]] = {}
        self.answers = 0
        self.is_broken = False

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                service.answers += 1
                body = json.dumps({"granted": service.grants(question), "validity": 0}).encode()
                self.send_response(500 if service.is_broken else 200)
                self.end_headers()
                self.wfile.write(b"" if service.is_broken else body)

            def log_message(self, *_: object) -> None:
                """Keep the tests' output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def grants(self, question: dict[str, Any]) -> bool:
        """Return whether a token may do this: "*" is all studies, and a URI stands for those that begin with it."""
        token = question["token-value"]
        if question["level"] == "system":
            return any(question["uri"].startswith(uri) for uri in self.system.get(token, ()))
        allowed = self.studies.get(token, set())
        return "*" in allowed or (question["level"] == "study" and question["orthanc-id"] in allowed)

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
