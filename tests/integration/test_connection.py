"""How scripts log in at a real Orthanc behind a proxy that speaks https, and whom they trust."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from orthanc_process import PATIENCE_SECONDS

import labels
from sources.orthanc_client import Orthanc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from orthanc_process import OrthancProcess

NAME, PASSWORD = "reader", "s3cret"

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a certificate of localhost that signs itself; its key is in the same folder."""
    folder = tmp_path_factory.mktemp("certificate")
    wishes = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    command = ["openssl", *wishes.split(), "-keyout", folder / "key.pem", "-out", folder / "certificate.pem"]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "certificate.pem"


@pytest.fixture(scope="module")
def url(make_shared_orthanc: Callable[..., OrthancProcess], certificate: Path) -> Iterator[str]:
    """Return the address of a proxy that speaks https for an Orthanc that wants a password.

    Orthanc 1.10.1 of Debian 12 itself ends with a segmentation fault at the first https connection.
    """
    orthanc = make_shared_orthanc(Plugins=[], AuthenticationEnabled=True, RegisteredUsers={NAME: PASSWORD})
    orthanc.launch()
    with Orthanc(str(orthanc.http.base_url), (NAME, PASSWORD)) as client:
        client.wait(PATIENCE_SECONDS)

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {"Authorization": login} if (login := self.headers["Authorization"]) else {}
            answer = orthanc.http.get(self.path, headers=headers)
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            """Keep the tests quiet."""

    server = ThreadingHTTPServer(("localhost", 0), Proxy)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever).start()
    yield f"https://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out whoever the environment names."""
    for variable in ("ORTHANC_USERNAME", "ORTHANC_PASSWORD"):
        monkeypatch.delenv(variable, raising=False)


def export(url: str, *more: str) -> int:
    return labels.main(["export", "--orthanc", url, *more])


def test_name_and_password_may_stand_in_the_command_the_address_or_the_environment(
    url: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted = ("--ca", str(certificate))
    assert export(url, "--user", f"{NAME}:{PASSWORD}", *trusted) == 0
    assert export(url.replace("://", f"://{NAME}:{PASSWORD}@"), *trusted) == 0
    monkeypatch.setenv("ORTHANC_USERNAME", NAME)
    monkeypatch.setenv("ORTHANC_PASSWORD", PASSWORD)
    assert export(url, *trusted) == 0


def test_a_wrong_password_is_said_without_repeating_it(
    url: str, certificate: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(url.replace("://", f"://{NAME}:guessed@"), "--ca", str(certificate)) == 1
    told = capsys.readouterr().err
    assert "wants another name and password" in told
    assert "guessed" not in told


def test_a_certificate_that_nobody_vouches_for_is_refused_unless_told_otherwise(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    login = ("--user", f"{NAME}:{PASSWORD}")
    assert export(url, *login) == 1
    assert "certificate verify failed" in capsys.readouterr().err
    assert export(url, *login, "--insecure") == 0


def test_a_file_without_certificates_is_named(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.pem").touch()
    assert export(url, "--ca", str(tmp_path / "empty.pem")) == 1
    assert "empty.pem holds no certificates" in capsys.readouterr().err
