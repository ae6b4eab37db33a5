"""One SQLite file with a write-ahead log, and a connection for each thread. The only file that knows SQLite."""

from __future__ import annotations

import contextlib
import errno
import itertools
import sqlite3
import threading
from functools import partial
from typing import TYPE_CHECKING, Self

from cbmir.errors import CatalogueDamaged, CatalogueError, Unavailable
from cbmir.failpoints import reach
from cbmir.store.database import Database
from cbmir.store.remembering import Remembering
from cbmir.store.sql import MIGRATIONS, SCHEMA, SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_PRAGMAS = (
    "journal_mode = WAL",
    # a power cut may cost the last commits, never the file; reconciliation finds what is missing
    "synchronous = NORMAL",
    "foreign_keys = ON",
    # vectors are patient data: deleted ones are overwritten
    "secure_delete = ON",
    # each thread that ever answered a request has a connection: half the usual megabytes of pages, as the system has
    # them at hand too
    "cache_size = -1000",
)

STATEMENTS_KEPT = 64
"""By each connection. Of those that name many rows there is one for each length of `portions`."""

_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}
"""What may pass by itself, or when somebody makes space."""


def _all_columns(database: sqlite3.Connection) -> set[tuple[str, str]]:
    """Return all tables with their columns."""
    return set(
        database.execute(
            "SELECT m.name, c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c WHERE m.type = 'table'"
        )
    )


class SqliteDatabase(Database):
    """The file beneath the catalogue. One transaction at a time writes, any number of threads read."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises
        ------
        sqlite3.DatabaseError
            The file is damaged, or (OperationalError) locked by another process or on a read-only volume.
        CatalogueError
            It was made by a later version of the plugin.

        """
        super().__init__()
        self._path = path
        self._count = itertools.count(1)
        self._read_only = False
        try:
            # vectors are patient data; SQLite gives its log the same mode
            path.touch(mode=0o600)
        except OSError as error:
            if error.errno != errno.EROFS or not path.exists():
                raise
            self._read_only = True
        self._local = threading.local()
        try:
            self._prepare()
        except Exception:
            # before the file is put aside: a connection that closes later would take the new file's log with it
            self.close()
            raise

    @classmethod
    def opened(cls, path: Path, log: Callable[[str], None]) -> Self:
        """Return what is in the file; a damaged one is put aside, and one without content takes its place.

        Raises
        ------
        CatalogueError
            It was made by a later version of the plugin.

        """
        try:
            return cls(path)
        except sqlite3.OperationalError:
            # locked, or the volume is read-only: nothing is wrong with the file
            raise
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            # the latter where SQLite's own message repeats damaged text
            log(f"{path} is damaged; it is kept as {path.name}.damaged, and everything is indexed anew")
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    path.with_name(path.name + suffix).rename(path.with_name(f"{path.name}.damaged{suffix}"))
            return cls(path)

    def _prepare(self) -> None:
        """Check the file, give an empty one its tables, and bring an older one up to date."""
        database = self._connection()
        # not quick_check: that one does not see that a row and its index name different instances
        if database.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError(f"{self._path} is damaged")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version == 0:
            database.executescript(f"BEGIN; {SCHEMA} COMMIT;")
        elif not 0 < version <= SCHEMA_VERSION:
            raise CatalogueError(f"{self._path} was made by another version of this plugin")
        else:
            for step in range(version, SCHEMA_VERSION):
                database.executescript(f"BEGIN; {MIGRATIONS[step]} COMMIT;")
        if not self._has_its_columns():
            raise sqlite3.DatabaseError(f"the names of columns in {self._path} are damaged")

    def _has_its_columns(self) -> bool:
        with contextlib.closing(sqlite3.connect(":memory:")) as sound:
            sound.executescript(SCHEMA)
            return _all_columns(self._connection()) == _all_columns(sound)

    def explained(self, error: Exception) -> CatalogueDamaged | Unavailable | None:
        """Return what an error that SQLite raised means for whoever asked, or None where it is of another kind."""
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None and code & 0xFF in _DAMAGE:
            return CatalogueDamaged()
        if code is not None and code & 0xFF in _PASSING:
            return Unavailable("the catalogue cannot be read or written at the moment; please try again")
        # a name in the schema that is damaged is one that SQLite does not know, or cannot even repeat
        if isinstance(error, (sqlite3.Error, UnicodeDecodeError)):
            try:
                return None if self._has_its_columns() else CatalogueDamaged()
            except (sqlite3.Error, UnicodeDecodeError):
                return CatalogueDamaged()
        return None

    def _columns(self, table: str) -> list[str]:
        rows = self._connection().execute("SELECT name FROM pragma_table_info(?) ORDER BY cid", (table,))
        return [name for (name,) in rows]

    def _overwrite_deleted(self) -> None:
        """Have the file itself hold what was committed, and the log nothing: what was deleted is in neither then.

        Where a reader or a full disk is in the way, the next call or SQLite's own checkpoint does it.
        """
        with contextlib.suppress(sqlite3.Error):
            self._connection().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def leave(self) -> None:
        """Close this thread's connection. Python 3.13 would keep it until it next collects what nobody uses."""
        database: sqlite3.Connection | None = self._local.__dict__.pop("database", None)
        if database is not None:
            database.close()

    def close(self) -> None:
        """Close this thread's connection; the others close with their threads."""
        self.leave()

    def _connection(self) -> sqlite3.Connection:
        database: sqlite3.Connection | None = getattr(self._local, "database", None)
        if database is None:
            database = sqlite3.connect(
                self._uri(), uri=True, isolation_level=None, timeout=5, cached_statements=STATEMENTS_KEPT
            )
            # one flipped bit in a description must not cost an answer
            database.text_factory = partial(str, encoding="utf-8", errors="replace")
            try:
                for pragma in () if self._read_only else _PRAGMAS:
                    database.execute(f"PRAGMA {pragma}")
            except BaseException:
                database.close()
                raise
            self._local.database = database
        return database

    def _uri(self) -> str:
        """Return what SQLite opens; on a read-only volume, a file without a log is one that nobody changes."""
        log = self._path.with_name(f"{self._path.name}-wal")
        options = "?mode=ro" if log.exists() and log.stat().st_size else "?immutable=1"
        return self._path.absolute().as_uri() + (options if self._read_only else "")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        if self._read_only:
            raise Unavailable("the volume of the data directory is read-only: make it writable and restart Orthanc")
        database = self._connection()
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
            reach("before-commit")
            database.execute("COMMIT")
        except BaseException:
            # on a full disk SQLite has often rolled back by itself
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        self.commits = next(self._count)
        reach("after-commit")


class SqliteCatalogue(SqliteDatabase, Remembering):
    """The catalogue in one file, for one node alone."""
