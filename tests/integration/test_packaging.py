"""The scripts that install and start things, as a user meets them."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import stat
import subprocess
from pathlib import Path

import pytest
from orthanc_process import free_port

from deploy.service_config import where
from deploy.write_config import changed, without_comments, write
from watch import Orthanc, progress_line, table

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"
SHELL_SCRIPTS = ("run", "setup", "viewer", "test", "install", "container", "fresh")


def call(*command: str | Path, limit: int = 300) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=limit, check=False, stdin=subprocess.DEVNULL
    )


@pytest.mark.parametrize("name", SHELL_SCRIPTS)
def test_each_script_explains_itself_and_does_nothing(name: str) -> None:
    shown = call(SCRIPTS / name, "--help")
    assert shown.returncode == 0
    assert f"scripts/{name}" in shown.stdout
    assert "set -euo" not in shown.stdout


@pytest.mark.parametrize("name", ["run", "setup", "viewer", "install", "container"])
def test_an_unknown_option_is_an_error_that_points_to_the_help(name: str) -> None:
    shown = call(SCRIPTS / name, "--no-such-option")
    assert shown.returncode == 1
    assert "--help" in shown.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "abc"], "--port needs a number from 1 to 65535, not abc"),
        (["--port"], "--port needs a value"),
        (["--dicom", "/no/such/folder"], "there is no folder /no/such/folder"),
    ],
)
def test_run_says_what_is_wrong_with_an_option(arguments: list[str], message: str) -> None:
    shown = call(SCRIPTS / "run", *arguments)
    assert shown.returncode == 1
    assert message in shown.stderr


def test_comments_go_and_what_looks_like_one_in_a_string_stays() -> None:
    text = '{ // one "two"\n "address": "http://host//x", /* "a": 1,\n */ "quote": "\\"//" }'
    assert json.loads(without_comments(text)) == {"address": "http://host//x", "quote": '"//'}


def test_the_configuration_of_the_project_is_json_with_comments() -> None:
    settings = json.loads(without_comments((ROOT / "orthanc.json").read_text(encoding="utf-8")))
    assert "Cbmir" in settings
    assert settings.get("RemoteAccessAllowed", False) is False


def test_assignments_lead_into_sections() -> None:
    settings = changed({"Cbmir": {"Anonymize": False}}, ["Cbmir.Anonymize=true", "HttpPort=8043", "New.Deep.Key=[1]"])
    assert settings == {"Cbmir": {"Anonymize": True}, "HttpPort": 8043, "New": {"Deep": {"Key": [1]}}}
    with pytest.raises(ValueError, match="KEY=VALUE"):
        changed({}, ["HttpPort"])


def test_only_the_owner_reads_the_written_configuration(tmp_path: Path) -> None:
    target = tmp_path / "orthanc.json"
    target.write_text("{}")
    target.chmod(0o644)
    write(target, {"Name": "Ä"})
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert json.loads(without_comments(target.read_text(encoding="utf-8"))) == {"Name": "Ä"}


def test_the_address_and_the_user_come_from_the_configuration(tmp_path: Path) -> None:
    config = tmp_path / "orthanc.json"
    write(config, {"HttpPort": 8043, "RegisteredUsers": {"me": "secret"}})
    assert Orthanc.of(config, 7) == Orthanc("http://localhost:8043", "me:secret", 7)


def test_progress_tells_what_is_done_what_is_to_come_and_how_long() -> None:
    status = {"indexed": 75, "queued": 25, "etaSeconds": 9.6, "skipped": 2, "failed": 0}
    assert progress_line(status) == "Indexed 75 slices [###############.....] 25 to go, about 10 s, 2 skipped"
    assert progress_line({}) == "Indexed 0 slices [....................]"


def test_the_sample_is_a_table() -> None:
    answer = json.loads((ROOT / "tests/contract/similar.json").read_text(encoding="utf-8"))
    lines = table(answer).splitlines()
    assert lines[0] == "Cases most like a slice of D1 (meningioma; T1 SE TRA +C):"
    assert lines[1].split() == ["rank", "similarity", "label", "patient", "series"]
    assert lines[2].split()[:4] == ["1", "0.931", "meningioma", "D2"]


def test_a_setting_is_found_in_whichever_file_of_a_service_has_it(tmp_path: Path) -> None:
    (tmp_path / "orthanc.json").write_text('{ "Name": "PACS" }')
    (tmp_path / "python.json").write_text('{ /* ours */ "PythonScript": "/srv/ours.py" }')
    (tmp_path / "off.json.disabled").write_text('{ "PythonScript": "/srv/old.py" }')
    assert list(where(tmp_path, "PythonScript")) == [(tmp_path / "python.json", "/srv/ours.py")]


def test_the_virtual_environment_has_the_python_that_is_inside_orthanc() -> None:
    plugin = next(Path("/usr/share/orthanc/plugins").glob("libOrthancPython.so*"))
    inside = re.search(r"libpython(3\.\d+)", call("ldd", plugin).stdout)
    assert inside is not None
    assert (ROOT / ".venv" / "lib" / f"python{inside[1]}" / "site-packages" / "hnswlib").exists() or list(
        (ROOT / ".venv" / "lib" / f"python{inside[1]}" / "site-packages").glob("hnswlib*")
    )


def test_a_second_setup_installs_nothing() -> None:
    shown = call(SCRIPTS / "setup")
    assert (shown.returncode, shown.stdout) == (0, "")


# --- scripts/run with a real Orthanc --------------------------------------------------------------------------------


def run(data: Path, *options: str | int) -> subprocess.CompletedProcess[str]:
    return call(SCRIPTS / "run", "--data", data, "--no-viewer", *map(str, options))


def status(config: Path) -> dict[str, object]:
    return Orthanc.of(config, 0).status()


@pytest.fixture
def data(tmp_path: Path):  # noqa: ANN201 - a generator of the folder
    """Give a folder for scripts/run, whose Orthanc is stopped at the end."""
    folder = tmp_path / "with a blank"
    yield folder
    run(folder, "--stop")


def test_run_starts_finds_its_own_again_and_stops(data: Path) -> None:
    port, dicom_port = free_port(), free_port()
    first = run(data, "--no-demo", "--port", port, "--dicom-port", dicom_port)
    assert first.returncode == 0, first.stdout + first.stderr
    assert f"http://localhost:{port}/app/explorer.html" in first.stdout
    assert status(data / "orthanc.json")["state"] == "running"
    process = (data / "orthanc.pid").read_text().strip()

    second = run(data, "--no-demo")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "already running" in second.stdout
    assert f"http://localhost:{port}/" in second.stdout
    assert (data / "orthanc.pid").read_text().strip() == process

    stopped = run(data, "--stop")
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert not Path(f"/proc/{process}").exists()
    assert "Traceback" not in (data / "orthanc.log").read_text()
    assert "No Orthanc" in run(data, "--stop").stdout


def test_run_loads_the_demo_once_and_prints_a_ranking(data: Path) -> None:
    ports = "--port", free_port(), "--dicom-port", free_port()
    first = run(data, *ports)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "Cases most like a slice of DEMO-" in first.stdout
    assert re.search(r"^ +1 +[01]\.\d{3} +\w+ +DEMO-\d+ ", first.stdout, re.MULTILINE)
    run(data, "--stop")

    again = run(data, *ports)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "Making the demo" not in again.stdout
    assert first.stdout[first.stdout.index("Cases most like") :] in again.stdout


def test_ports_that_are_taken_are_left_to_their_owner(data: Path) -> None:
    with socket.socket() as web, socket.socket() as dicom:
        for taken in (web, dicom):
            taken.bind(("", 0))
            taken.listen()
        ports = web.getsockname()[1], dicom.getsockname()[1]
        shown = run(data, "--no-demo", "--port", ports[0], "--dicom-port", ports[1])
    assert shown.returncode == 0, shown.stdout + shown.stderr
    for port in ports:
        assert f"Port {port} is taken by another program" in shown.stdout
    settings = json.loads(without_comments((data / "orthanc.json").read_text()))
    assert settings["HttpPort"] not in ports
    assert settings["DicomPort"] not in ports


def test_the_process_id_of_another_program_is_not_stopped(data: Path) -> None:
    data.mkdir()
    with subprocess.Popen(["sleep", "600"]) as other:
        (data / "orthanc.pid").write_text(f"{other.pid}\n")
        assert "No Orthanc" in run(data, "--stop").stdout
        assert other.poll() is None
        other.kill()


def test_a_start_that_fails_says_why_and_leaves_nothing_running(data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "project"
    shutil.copytree(SCRIPTS, copy / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "plugin").mkdir()
    (copy / "plugin" / "main.py").write_text("raise SystemExit('the reason')\n")
    (copy / "orthanc.json").write_text('{ "Cbmir": {} }')
    shutil.copy(ROOT / "pyproject.toml", copy)
    (copy / ".venv").symlink_to(ROOT / ".venv")
    shown = call(
        copy / "scripts/run",
        "--data",
        data,
        "--no-demo",
        "--no-viewer",
        "--port",
        free_port(),
        "--dicom-port",
        free_port(),
    )
    assert shown.returncode == 1
    assert "Orthanc ended while starting" in shown.stderr
    assert "the reason" in shown.stderr
    assert not (data / "orthanc.pid").exists() or "No Orthanc" in run(data, "--stop").stdout


def test_the_container_serves_nothing_without_a_password(tmp_path: Path) -> None:
    environment = {**os.environ, "CBMIR_STORAGE": str(tmp_path / "db"), "CBMIR_INDEX": str(tmp_path)}
    environment.pop("ORTHANC_USER", None)
    shown = subprocess.run(
        [SCRIPTS / "container"], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert shown.returncode == 1
    assert "ORTHANC_PASSWORD" in shown.stderr
