"""Which database the settings name."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from cbmir.errors import SettingsError
from cbmir.store.sqlite import SqliteCatalogue

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbmir.catalogue import Catalogue
    from cbmir.settings import Settings

FILE = "catalogue.sqlite"
CONNECTIONS_OF_THE_WORKER = 2


def open_catalogue(settings: Settings, log: Callable[[str], None]) -> Catalogue:
    """Return the catalogue in the data directory, or in PostgreSQL where the setting "Database" names one.

    Raises
    ------
    SettingsError
        The setting is wrong, or the packages for it are not installed.
    CatalogueError
        It was made by a later version of the plugin; or PostgreSQL lacks pgvector.
    Unavailable
        PostgreSQL cannot be reached now.

    """
    directory = Path(settings.data_directory)
    if not settings.database:
        return SqliteCatalogue.opened(directory / FILE, log)
    try:
        from cbmir.store.postgresql.catalogue import PostgresCatalogue  # noqa: PLC0415 - packages few need
    except ImportError:
        raise SettingsError('"Cbmir.Database" needs Python packages of its own: scripts/setup --postgresql') from None
    connections = settings.max_parallel_queries + CONNECTIONS_OF_THE_WORKER
    return PostgresCatalogue(settings.database, _own_name(directory / "node"), connections=connections)


def _own_name(file: Path) -> str:
    """Return the name of this node, which outlives its process and is no other's: its data directory is its own."""
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(f"{uuid.uuid4()}\n", encoding="ascii")
    return file.read_text(encoding="ascii").strip()
