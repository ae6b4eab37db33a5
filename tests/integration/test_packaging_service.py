"""scripts/install beside the packaged Orthanc service, and the container's script: only in a system of its own.

scripts/test --fresh trixie runs these; elsewhere they are skipped, as they change /etc, /opt and /var.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.skipif(
    "CBMIR_FRESH" not in os.environ, reason="changes the system: scripts/test --fresh trixie runs it"
)

ROOT = Path(__file__).parents[2]
INSTALL = ROOT / "scripts/install"
CONFIG = Path("/etc/orthanc")
START = ("start-stop-daemon", "--pidfile", "/run/orthanc.pid")
URL = "http://localhost:8042"


def call(*command: str | Path, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, **(environment or {})},
    )


def done(*command: str | Path) -> str:
    shown = call(*command)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    return shown.stdout


def snapshot() -> dict[str, tuple[int, str, bytes]]:
    """Give mode, owner and content of all that an installation could change."""
    everything = [path for top in ("/etc", "/usr/local") for path in Path(top).rglob("*")]
    paths = everything + [path for top in ("/opt", "/var/lib") for path in Path(top).iterdir()]
    return {str(path): (path.stat().st_mode, path.owner(), content(path)) for path in paths if path.exists()}


def content(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b""


def answer(path: str, login: tuple[str, str] | None = None) -> httpx.Response:
    return httpx.get(URL + path, auth=login, timeout=10)


def wait_for_status(login: tuple[str, str] | None = None) -> dict[str, object]:
    for _ in range(120):
        try:
            status = answer("/cbmir/status", login).json()
        except (httpx.HTTPError, ValueError):
            status = {"state": "starting"}
        if status.get("state", "starting") != "starting":
            return dict(status)
        time.sleep(0.5)
    raise AssertionError("no answer")


def start_service() -> None:
    """Start it with the command line of the packaged unit, as its user, and with an empty environment."""
    nothing = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
    daemon = ["--chuid", "orthanc:orthanc", "--background", "--make-pidfile", "--exec", "/usr/sbin/Orthanc"]
    done(*nothing, *START, "--start", *daemon, "--", "--logdir=/var/log/orthanc", "/etc/orthanc")


def stop_service() -> None:
    call(*START, "--stop", "--oknodo", "--retry=TERM/30/KILL/5")


@pytest.fixture
def service():  # noqa: ANN201 - a generator
    """Give back the system as it was."""
    done(ROOT / "scripts/setup")  # what it installs from Debian is no part of the comparison
    done("apt-get", "install", "--yes", "-qq", "curl")  # which docs/operations.md asks with
    before = snapshot()
    yield
    stop_service()
    done(INSTALL, "--uninstall")
    after = snapshot()
    assert {path for path in before.keys() ^ after.keys() if "__pycache__" not in path} == set()
    assert {path for path in before if before[path] != after.get(path)} == set()


@pytest.mark.usefixtures("service")
def test_a_dry_run_changes_nothing() -> None:
    before = snapshot()
    shown = done(INSTALL, "--dry-run")
    assert "/opt/orthanc-cbmir/plugin" in shown
    assert "/etc/orthanc/cbmir.json" in shown
    assert snapshot() == before
    done(INSTALL, "--uninstall", "--dry-run")
    assert snapshot() == before


@pytest.mark.usefixtures("service")
def test_the_packaged_service_runs_the_plugin_and_an_update_keeps_its_settings() -> None:
    done(INSTALL)
    start_service()
    assert wait_for_status()["state"] == "running"
    index = Path("/var/lib/orthanc-cbmir")
    assert (index.owner(), index.stat().st_mode & 0o777) == ("orthanc", 0o700)
    assert any(index.iterdir())
    stop_service()

    settings = CONFIG / "cbmir.json"
    settings.write_text(settings.read_text().replace('"Cbmir": {', '"Cbmir": { "Anonymize": true,'))
    assert "keep /etc/orthanc/cbmir.json" in done(INSTALL)
    start_service()
    assert wait_for_status()["state"] == "running"
    assert '"Anonymize": true' in settings.read_text()
    assert "Traceback" not in Path("/var/log/orthanc/Orthanc.log").read_text()


@pytest.mark.usefixtures("service")
def test_the_index_is_kept_when_asked() -> None:
    done(INSTALL)
    kept = Path("/var/lib/orthanc-cbmir/kept")
    kept.touch()
    done(INSTALL, "--uninstall", "--keep-index")
    assert kept.exists()


@pytest.mark.usefixtures("service")
def test_a_script_of_the_hospital_is_left_alone_and_can_take_the_plugin_in() -> None:
    sample, original = CONFIG / "sample.py", (CONFIG / "sample.py").read_text()
    try:
        sample.write_text(original + "orthanc.LogWarning('ours')\n")
        refused = call(INSTALL)
        assert refused.returncode == 1
        assert "already runs a script" in refused.stderr
        assert "import orthanc_cbmir" in refused.stderr
        assert not (CONFIG / "cbmir.json").exists()

        lines = [line[4:] for line in refused.stderr.splitlines() if line.startswith("    ")]
        sample.write_text(sample.read_text() + "\n".join(lines) + "\n")
        done(INSTALL, "--own-script")
        start_service()
        assert wait_for_status()["state"] == "running"
        assert "ours" in Path("/var/log/orthanc/Orthanc.log").read_text()
    finally:
        sample.write_text(original)


def test_the_container_runs_as_a_user_without_rights_behind_a_password(tmp_path: Path) -> None:
    for folder in ("db", "index"):
        done("install", "-d", "-o", "orthanc", "-m", "700", tmp_path / folder)
    done("chmod", "a+x", tmp_path, tmp_path.parent, tmp_path.parent.parent)
    environment = {
        "CBMIR_STORAGE": str(tmp_path / "db"),
        "CBMIR_INDEX": str(tmp_path / "index"),
        "ORTHANC_USER": "me",
        "ORTHANC_PASSWORD": 'sec"ret',
    }
    user = ("setpriv", "--reuid=orthanc", "--regid=orthanc", "--clear-groups", "--")
    with subprocess.Popen([*user, ROOT / "scripts/container"], env={**os.environ, **environment}) as process:
        try:
            assert wait_for_status(("me", 'sec"ret'))["state"] == "running"
            assert answer("/cbmir/status").status_code == 401
            healthy = call(*user, ROOT / "scripts/container", "healthy", environment=environment)
            assert healthy.returncode == 0, healthy.stderr
        finally:
            process.terminate()
        assert process.wait(30) == 0
    assert call(*user, ROOT / "scripts/container", "healthy", environment=environment).returncode == 1


# --- docs/operations.md ---------------------------------------------------------------------------------------------

SERVICE = """#!/bin/sh
# What `service` does where there is an init system: this one has none.
start() {
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin start-stop-daemon --pidfile /run/orthanc.pid --start --make-pidfile \\
        --background --chuid orthanc:orthanc --exec /usr/sbin/Orthanc -- --logdir=/var/log/orthanc /etc/orthanc
}
# where nobody reaps it, an ended process seems to refuse to die
stop() { start-stop-daemon --pidfile /run/orthanc.pid --stop --oknodo --retry=TERM/30/KILL/5; rm -f /run/orthanc.pid; }
case $2 in start) start ;; stop) stop ;; restart) stop && start ;; esac
"""


OF_ITS_OWN = "## A model of your own"
"""What this section tells needs labels, PyTorch and hours: test_promotion_on_orthanc.py goes that way."""


def commands_of(guide: Path) -> list[str]:
    """Return the indented lines of a guide, without those of the section that is tested elsewhere."""
    text = guide.read_text(encoding="utf-8")
    assert text.count(OF_ITS_OWN) == 1
    before, _, after = text.partition(OF_ITS_OWN)
    lines = f"{before}## {after.partition(chr(10) + '## ')[2]}".splitlines()
    return [line.strip() for line in lines if line.startswith("    ")]


@pytest.mark.usefixtures("service")
def test_every_command_of_the_operations_guide_does_what_it_should(tmp_path: Path) -> None:
    (tmp_path / "service").write_text(SERVICE)
    (tmp_path / "service").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    for command in commands_of(ROOT / "docs" / "operations.md"):
        if command.startswith("curl"):
            # what is asked right after a start is asked when it is over
            assert wait_for_status()["state"] == "running", command
        shown = call("bash", "-ec", command, environment=environment)
        assert shown.returncode == 0, f"{command}\n{shown.stdout}{shown.stderr}"
        if command == "service orthanc start":
            assert wait_for_status()["state"] == "running"
    for left in (Path("/mnt/orthanc-cbmir"), Path("/root/orthanc-cbmir.tar.gz")):
        assert left.exists()
        done("rm", "-rf", left)
