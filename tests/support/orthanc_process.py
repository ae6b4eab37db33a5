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
from typing import TYPE_CHECKING, Any

import httpx
from catalogue_file import CatalogueFile
from dicom_files import CANARY, mr_file

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[2]
PLUGINS = Path("/usr/share/orthanc/plugins")
ORTHANC = "/usr/sbin/Orthanc"
PATIENCE_SECONDS = 120
"""What has not come about by then hangs: no wait of the tests says how fast something must be."""

TRANSFER_SECONDS = 1800
"""The same for many files over one association, which a busy machine takes slowly."""


_GIVEN: set[int] = set()


def free_port() -> int:
    """Return a port that nothing listens on, never the same twice.

    The kernel draws by lot: once in fifteen thousand times it drew one for both of Orthanc's servers.
    """
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in _GIVEN:
            _GIVEN.add(port)
            return port


def wait_for(condition: Callable[[], Any], what: str, *, seconds: float = PATIENCE_SECONDS) -> Any:
    """Return what the condition returns as soon as that is true; fail when it is not in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds:g} s: {what}")


def _model() -> dict[str, str]:
    """Return settings for the model folder named by CBMIR_TEST_MODEL, to try a model before it is shipped."""
    folder = os.environ.get("CBMIR_TEST_MODEL")
    return {"ModelDirectory": str(Path(folder).parent), "Model": Path(folder).name} if folder else {}


class OrthancProcess:
    """Starts, stops and kills one Orthanc, and speaks to it."""

    def __init__(self, folder: Path, cbmir: dict[str, Any] | None = None, **configuration: Any) -> None:
        """Prepare the configuration; `cbmir` is the plugin's section. Both may be changed before each start."""
        self.folder = folder
        self.http_port, self.dicom_port = free_port(), free_port()
        self.log = folder / "orthanc.log"
        self.data = Path((cbmir or {}).get("DataDirectory", folder / "cbmir"))
        self.home = folder / "home"
        self.home.mkdir(exist_ok=True)
        self.environment = {
            "PYTHONPATH": sysconfig.get_paths()["purelib"],
            "MALLOC_ARENA_MAX": "5",
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(self.home / ".cache"),
        }
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
            "Python": {"AllowThreads": True},
            "Cbmir": {"DataDirectory": str(self.data), "Threads": 1, **_model(), **(cbmir or {})},
            **configuration,
        }
        self.http = self._client()

    def _client(self) -> httpx.Client:
        # Orthanc closes what was idle for a while; a request on its way just then would be lost. A pool that keeps none
        # alive is not enough: where threads share it, one may be given the connection that another is about to close.
        headers = {"Connection": "close"}
        return httpx.Client(base_url=f"http://127.0.0.1:{self.http_port}", timeout=PATIENCE_SECONDS, headers=headers)

    def start(self) -> OrthancProcess:
        """Start Orthanc and wait until the plugin runs, or says why not."""
        self.launch()
        self.wait_for_start()
        assert self.is_alive(), f"Orthanc did not start:\n{self.log_text()[-3000:]}"
        return self

    def launch(self) -> None:
        """Start Orthanc and wait for nothing."""
        path = self.folder / "orthanc.json"
        path.write_text(json.dumps(self.configuration))
        environment = {**os.environ, **self.environment}
        environment.pop("VIRTUAL_ENV", None)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([ORTHANC, str(path)], stdout=log, stderr=log, env=environment)

    def hold(self, *points: str) -> list[Path]:
        """Have the plugin wait at points such as `embedded:2` after the next start; return the file that ends each."""
        files = [self.folder / f"go-on-{number}" for number, _ in enumerate(points)]
        armed = (f"{point}:until:{file}" for point, file in zip(points, files, strict=True))
        self.environment["CBMIR_FAILPOINT"] = ",".join(armed)
        return files

    def wait_for_start(self) -> None:
        """Wait until the plugin has loaded or said why not, or Orthanc died of it."""
        wait_for(self._has_started, "Orthanc starts")

    def _has_started(self) -> bool:
        try:
            return not self.is_alive() or self.status().get("state") != "starting"
        except (httpx.HTTPError, ValueError):
            return False

    def answers(self) -> bool:
        """Return whether Orthanc itself answers, whatever the plugin does."""
        try:
            return bool(self.http.get("/system").is_success)
        except httpx.HTTPError:
            return False

    def is_alive(self) -> bool:
        """Return whether the process is there."""
        return self.process is not None and self.process.poll() is None

    def stop(self, *, go_on: Path | None = None) -> int:
        """Stop Orthanc as a service manager would; return its exit code. What is held goes on when it has been told."""
        assert self.process is not None
        # Orthanc waits for connections that are kept alive
        self.http.close()
        self.http = self._client()
        self.process.send_signal(signal.SIGTERM)
        if go_on is not None:
            go_on.touch()
        return self.wait_for_end()

    def wait_for_end(self) -> int:
        """Return the exit code of an Orthanc that ends by itself."""
        assert self.process is not None
        code = self.process.wait(timeout=PATIENCE_SECONDS)
        self.process = None
        return code

    def kill(self) -> None:
        """End Orthanc without warning."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def end(self) -> None:
        """Leave no process behind, whatever happened."""
        if self.process is not None:
            self.kill()
        self.http.close()

    def check(self) -> None:
        """Stop, and assert what must hold after every test."""
        try:
            if self.process is not None:
                assert self.is_alive(), f"Orthanc died:\n{self.log_text()[-3000:]}"
                assert self.stop() == 0
        finally:
            self.end()
        assert "Traceback" not in self.log_text()
        assert CANARY not in self.log_text()
        assert not list(self.home.rglob("*")), "some package keeps a file of its own, such as telemetry"
        named = [path for path in self.data.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
        assert not named, "these name a patient"

    def log_text(self) -> str:
        """Return all that Orthanc logged."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_from(self, position: int) -> str:
        """Return what Orthanc logged from this length of the log on."""
        return self.log_text()[position:]

    def errors(self) -> list[str]:
        """Return the lines that Orthanc logged as errors."""
        return [line for line in self.log_text().splitlines() if line.startswith("E")]

    # ---- speaking to it ----

    def status(self) -> dict[str, Any]:
        """Return /cbmir/status, whatever its HTTP status."""
        found: dict[str, Any] = self.http.get("/cbmir/status").json()
        return found

    def upload(self, file: bytes) -> str:
        """Store by REST; return the Orthanc id."""
        response = self.http.post("/instances", content=file)
        while response.status_code == 500 and "Error while accessing the filesystem" in response.text:
            # Orthanc itself, with or without plugins: a delete removed the empty folder that this store had found
            response = self.http.post("/instances", content=file)
        assert response.status_code == 200, response.text + self.log_text()[-2000:]
        return str(response.json()["ID"])

    def store_scu(self, *files: Path, options: tuple[str, ...] = (), check: bool = True) -> None:
        """Store by C-STORE; unless told otherwise, every file must be taken."""
        subprocess.run(
            ["storescu", "--no-halt", *options, "127.0.0.1", str(self.dicom_port), *map(str, files)],
            check=check,
            capture_output=True,
            timeout=TRANSFER_SECONDS,
        )

    def delete(self, uri: str) -> None:
        """Delete a patient, study, series or instance."""
        response = self.http.delete(uri)
        assert response.status_code == 200, response.text

    def instances(self) -> set[str]:
        """Return the Orthanc ids of all instances."""
        return set(self.http.get("/instances").json())

    def clear(self) -> None:
        """Delete all, and wait until the plugin has forgotten it."""
        for patient in self.http.get("/patients").json():
            self.delete(f"/patients/{patient}")
        self.settle()

    def settle(self) -> None:
        """Wait until the plugin has heard of everything that happened before, by an instance that comes and goes."""
        sentinel = self.upload(mr_file("sentinel", StudyDate="19000101"))
        catalogue = CatalogueFile(self.data)
        wait_for(lambda: sentinel in catalogue.states(), "the plugin hears of an instance")
        self.delete(f"/instances/{sentinel}")
        wait_for(lambda: sentinel not in catalogue.states(), "the plugin hears of a deletion")

    def wait_until_indexed(self, instances: int | None = None, *, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """Wait until nothing is pending, and as many instances as Orthanc has (or as named) are accounted for.

        As long as the work goes on, so does the wait: a busy machine is no failure.
        """
        deadline, before = time.monotonic() + seconds, -1
        status: dict[str, Any] = {}
        while time.monotonic() < deadline:
            status = self.status()
            expected = self.http.get("/statistics").json()["CountInstances"] if instances is None else instances
            known = sum(status.get(state, 0) for state in ("indexed", "skipped", "failed"))
            # the index follows the catalogue by a moment, at whose end nothing lags any more
            if (
                status.get("reconciled")
                and known == expected
                and not status["queued"]
                and not status["indexLagSeconds"]
            ):
                return status
            if known != before:
                deadline, before = time.monotonic() + seconds, known
            time.sleep(0.1)
        raise AssertionError(f"nothing was indexed for {seconds:g} s: {status}\n{self.log_text()[-2000:]}")

    def similar(self, instance: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer for an instance; it must be 200."""
        response = self.http.get(f"/cbmir/similar/{instance}", params=parameters)
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found
