"""Move the catalogue from the files of one Orthanc into PostgreSQL, or back, with all vectors.

    .venv/bin/python scripts/migrate.py --to "host=db dbname=cbmir user=cbmir" /var/lib/orthanc-cbmir
    .venv/bin/python scripts/migrate.py --from "host=db dbname=cbmir user=cbmir" /var/lib/orthanc-cbmir

The folder is the plugin's DataDirectory, the text what the setting "Database" is (or was). Every Orthanc that uses
either must be stopped. What is copied stays where it was; the place that it goes to must be empty, and stays so if
anything fails. Afterwards change the setting and start Orthanc: no image is embedded anew, but the index over the
vectors is built, which takes minutes for a million. The password is found as by psql: PGPASSFILE, PGPASSWORD, or a file
named with passfile=.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import _library  # noqa: F401 - before the library
from cbmir.app import exclusive
from cbmir.errors import CbmirError, SettingsError
from cbmir.ingest.spaces import INCOMING
from cbmir.store.opening import FILE
from cbmir.store.postgresql.catalogue import PostgresCatalogue
from cbmir.store.snapshots import MANIFEST
from cbmir.store.sqlite import SqliteCatalogue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cbmir.catalogue import Catalogue

NODE = "migrate.py"


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit code: 0 moved, 1 not, for the reason that is printed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--to", metavar="DATABASE", help="from the folder into this PostgreSQL")
    way.add_argument("--from", dest="source", metavar="DATABASE", help="from this PostgreSQL into the folder")
    parser.add_argument("folder", type=Path, help="the plugin's DataDirectory")
    options = parser.parse_args(argv)
    try:
        with exclusive(options.folder):
            if options.to:
                into_database(options.folder, options.to)
            else:
                into_folder(options.folder, options.source)
    except (CbmirError, OSError, sqlite3.Error) as error:
        print(f"migrate.py: {error}", file=sys.stderr)
        return 1
    return 0


def into_database(folder: Path, conninfo: str) -> None:
    """Copy the files' rows into PostgreSQL."""
    if not (folder / FILE).exists():
        raise SettingsError(f"there is no {folder / FILE}")
    with (
        contextlib.closing(SqliteCatalogue(folder / FILE)) as source,
        contextlib.closing(PostgresCatalogue(conninfo, NODE)) as target,
    ):
        _require_rest(target)
        _copy(source, target)
    print('Now set "Database" for each Orthanc, and start them.')


def into_folder(folder: Path, conninfo: str) -> None:
    """Copy PostgreSQL's rows into files."""
    if (folder / FILE).exists():
        raise SettingsError(f"there is a {folder / FILE}: move it away first")
    written = folder / f"{FILE}.part"
    try:
        with (
            contextlib.closing(PostgresCatalogue(conninfo, NODE)) as source,
            contextlib.closing(SqliteCatalogue(written)) as target,
        ):
            _require_rest(source)
            _copy(source, target)
        # an index of earlier files may know other vectors by the same labels
        (folder / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(folder / INCOMING, ignore_errors=True)
        written.rename(folder / FILE)
    finally:
        for suffix in ("", "-wal", "-shm"):
            written.with_name(written.name + suffix).unlink(missing_ok=True)
    print('Now remove the setting "Database", and start Orthanc.')


def _require_rest(catalogue: PostgresCatalogue) -> None:
    if catalogue.other_nodes():
        raise SettingsError("an Orthanc uses the database, or did half a minute ago: stop it first")


def _copy(source: Catalogue, target: Catalogue) -> None:
    if not target.is_empty():
        raise SettingsError("there are rows where the catalogue is to go; nothing was changed")
    done: dict[str, int] = {}
    for table, number in target.take_over(source):
        done[table] = number
        print(f"\r{table}: {number} rows    ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(", ".join(f"{number} {table}" for table, number in done.items() if number) or "the catalogue was empty")


if __name__ == "__main__":
    sys.exit(main())
