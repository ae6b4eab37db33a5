"""Starts the plugin again and again on files with one wrong bit: a program of its own, since it looks for crashes.

    python tests/support/flipped_bits.py FOLDER FLIPS SEED

Ends with 0 if the plugin, after every flip, holds and finds what the archive holds.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import random
import shutil
import sqlite3
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from dicom_files import mr_slice
from orthanc_double import OrthancDouble
from parts import tiny_embedder

from cbmir import app as app_module
from cbmir import indexer as indexer_module
from cbmir.access import ANYONE
from cbmir.app import App
from cbmir.archive import Archive
from cbmir.loopback import Door
from cbmir.saving.delivery import Delivery
from cbmir.settings import Settings
from cbmir.web import Request

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = ("catalogue.sqlite", "catalogue.sqlite", "index-*.bin", "index*.json")
"""What a bit is flipped in, the catalogue as often as the snapshot and its manifest together."""
SLICES = 12
PATIENCE = 60.0


class Damage:
    """An archive whose plugin starts on damaged copies of good files."""

    def __init__(self, folder: Path) -> None:
        self.good, self.copy = folder / "good", folder / "copy"
        self.orthanc = OrthancDouble()
        self.log: list[str] = []
        self.stored = {
            self.orthanc.store(mr_slice(f"P{number // 2}", number, number=number)) for number in range(SLICES)
        }
        self.start(self.good)
        with contextlib.closing(sqlite3.connect(self.good / "catalogue.sqlite")) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def flip(self, choice: random.Random) -> str:
        """Copy the good files and flip a bit. Return where."""
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.good, self.copy)
        file = choice.choice(sorted(self.copy.glob(choice.choice(FILES))))
        content = bytearray(file.read_bytes())
        bit = choice.randrange(8 * len(content))
        content[bit // 8] ^= 1 << bit % 8
        file.write_bytes(content)
        return f"bit {bit} of {file.name}"

    def start(self, directory: Path) -> None:
        """Start the plugin, wait until it is at rest, check it, stop it."""
        app = App(
            Archive(self.orthanc),
            Settings(data_directory=str(directory)),
            self.log.append,
            ANYONE,
            Delivery(Door(1, tls=False)),
        )
        app.start()
        try:
            until(lambda: at_rest(get(app, "status")), lambda: get(app, "status"))
            assert get(app, "status").get("indexed") == SLICES, get(app, "status")
            for query in sorted(self.stored)[:2]:
                answer = get(app, f"similar/{query}", group="none", samePatient="include", k="100")
                assert "cases" in answer, answer
                hits = answer["cases"]
                found = {one["orthancId"]: one["similarity"] for case in hits for one in case["slices"]}
                assert found.keys() == self.stored - {query}, sorted(found)
                assert np.abs(list(found.values())).max() < 1.001, found
        finally:
            app.stop()


def get(app: App, path: str, **query: str) -> Any:
    return json.loads(app.api(Request("GET", path, query)).body)


def at_rest(status: Any) -> bool:
    indexed = status.get("reconciled", False) and status["queued"] == 0 and status["slices"] == status["indexed"]
    return status["state"] == "disabled" or indexed


def until(condition: Callable[[], bool], what: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.005)


def main(folder: str, flips: str, seed: str) -> None:
    """Flip so many bits, each in good files."""
    faulthandler.enable()
    app_module.load = lambda *_args, **_rest: tiny_embedder()
    indexer_module.IDLE_SECONDS = 0.01
    damage = Damage(Path(folder))
    choice = random.Random(seed)
    failures = 0
    for _ in range(int(flips)):
        where = damage.flip(choice)
        try:
            damage.start(damage.copy)
        except AssertionError as error:
            failures += 1
            print(f"{where}: {error}"[:400], damage.log[-2:], flush=True)
    print(f"{failures} of {flips} flips did harm")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
