"""Orthanc's routes for storing, over a double of Orthanc: POST /instances, and metadata."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from cbmir.loopback import Door
from cbmir.saving.delivery import Delivery

if TYPE_CHECKING:
    from orthanc_double import OrthancDouble


class Storing:
    """Listens on a free port until it is closed.

    Attributes
    ----------
    status
        What is answered; a file is kept where it is 200.
    statuses
        What the next PUTs are answered, before `status` counts.
    body
        What is answered in place of Orthanc's own words, if anything.
    headers
        Of each request, their names in lower case.
    released
        While cleared, requests wait.

    """

    def __init__(self, orthanc: OrthancDouble) -> None:
        """Listen."""
        self.status = 200
        self.statuses: list[int] = []
        self.body: bytes | None = None
        self.headers: list[dict[str, str]] = []
        self.at_once = self.most_at_once = 0
        self.released = threading.Event()
        self.released.set()
        storing, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                file = self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    storing.headers.append({name.lower(): value for name, value in self.headers.items()})
                    storing.at_once += 1
                    storing.most_at_once = max(storing.most_at_once, storing.at_once)
                storing.released.wait(120)
                with lock:
                    storing.at_once -= 1
                    done = {"ID": orthanc.store(file)} if self.path == "/instances" and storing.status == 200 else {}
                body = json.dumps(done).encode() if storing.body is None else storing.body
                self._send(storing.status, body)

            def do_GET(self) -> None:
                held = orthanc.metadata.get(self.path.split("/")[2])
                self._send(200 if held is not None else 404, (held or "").encode())

            def do_PUT(self) -> None:
                said = self.rfile.read(int(self.headers["Content-Length"])).decode()
                with lock:
                    storing.headers.append({name.lower(): value for name, value in self.headers.items()})
                    status = storing.statuses.pop(0) if storing.statuses else storing.status
                    if status == 200:
                        orthanc.metadata[self.path.split("/")[2]] = said
                self._send(status, b"")

            def _send(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Keep the tests' output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.delivery = Delivery(Door(self._server.server_address[1], tls=False))
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
