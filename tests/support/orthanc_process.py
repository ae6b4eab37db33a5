"""A real Orthanc with the plugin, on free ports, in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sysconfig
import time
from pathlib import Path
from typing import Any

import httpx
from dicom_files import CANARY

REPOSITORY = Path(__file__).parents[2]
PLUGINS = Path("/usr/share/orthanc/plugins")
ORTHANC = "/usr/sbin/Orthanc"
START_SECONDS = 60
INDEX_SECONDS = 120


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class OrthancProcess:
    """Starts, stops and kills one Orthanc, and speaks to it."""

    def __init__(self, folder: Path, cbmir: dict[str, Any] | None = None, **configuration: Any) -> None:
        """Write the configuration; `cbmir` is the plugin's section."""
        self.folder = folder
        self.http_port, self.dicom_port = free_port(), free_port()
        self.log = folder / "orthanc.log"
        self.data = folder / "cbmir"
        self.python_path = sysconfig.get_paths()["purelib"]
        self.process: subprocess.Popen[bytes] | None = None
        self.configuration: dict[str, Any] = {
            "Name": "test",
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "HttpPort": self.http_port,
            "DicomPort": self.dicom_port,
            "DicomCheckCalledAet": False,
            "DicomAlwaysAllowStore": True,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "HttpThreadsCount": 16,
            "Plugins": [str(PLUGINS / name) for name in ("libOrthancPython.so", "libOrthancDicomWeb.so")],
            "PythonScript": str(REPOSITORY / "plugin" / "main.py"),
            "PythonVerbose": False,
            "Cbmir": {"DataDirectory": str(self.data), "Threads": 1, **(cbmir or {})},
            **configuration,
        }
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.http_port}", timeout=60)

    def start(self) -> OrthancProcess:
        """Start Orthanc and wait until the plugin runs, or says why not."""
        path = self.folder / "orthanc.json"
        path.write_text(json.dumps(self.configuration))
        environment = {**os.environ, "PYTHONPATH": self.python_path, "MALLOC_ARENA_MAX": "5"}
        environment.pop("VIRTUAL_ENV", None)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([ORTHANC, str(path)], stdout=log, stderr=log, env=environment)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                if self.status().get("state") != "starting":
                    return self
            except (httpx.HTTPError, ValueError):
                pass
            time.sleep(0.1)
        raise AssertionError(f"Orthanc did not start:\n{self.log_text()[-3000:]}")

    def stop(self) -> int:
        """Stop Orthanc as a service manager would; return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=30)
        self.process = None
        return code

    def kill(self) -> None:
        """End Orthanc without warning."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def check(self) -> None:
        """Stop, and assert what must hold after every test."""
        if self.process is not None:
            assert self.process.poll() is None, f"Orthanc died:\n{self.log_text()[-3000:]}"
            assert self.stop() == 0
        assert "Traceback" not in self.log_text()
        assert CANARY not in self.log_text()

    def log_text(self) -> str:
        """Return all that Orthanc logged."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    # ---- speaking to it ----

    def status(self) -> dict[str, Any]:
        """Return /cbmir/status, whatever its HTTP status."""
        found: dict[str, Any] = self.http.get("/cbmir/status").json()
        return found

    def upload(self, file: bytes) -> str:
        """Store by REST; return the Orthanc id."""
        response = self.http.post("/instances", content=file)
        assert response.status_code == 200, response.text
        return str(response.json()["ID"])

    def wait_until_indexed(self, instances: int | None = None) -> dict[str, Any]:
        """Wait until nothing is pending, and as many instances as Orthanc has (or as named) are accounted for."""
        deadline = time.monotonic() + INDEX_SECONDS
        status: dict[str, Any] = {}
        while time.monotonic() < deadline:
            status = self.status()
            expected = self.http.get("/statistics").json()["CountInstances"] if instances is None else instances
            known = sum(status.get(state, 0) for state in ("indexed", "skipped", "failed"))
            if status.get("reconciled") and status["queued"] == 0 and known == expected:
                return status
            time.sleep(0.05)
        raise AssertionError(f"not indexed in time: {status}")

    def similar(self, instance: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer for an instance; it must be 200."""
        response = self.http.get(f"/cbmir/similar/{instance}", params=parameters)
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found
