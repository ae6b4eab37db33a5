"""Connections to PostgreSQL, and what passes over them. The only file that knows psycopg.

No error tells what the server says: that may repeat a value.
"""

from __future__ import annotations

import contextlib
import logging
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
import psycopg_pool
from psycopg import errors
from psycopg.adapt import Dumper, Loader
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Format
from psycopg.types import TypeInfo

from cbmir.errors import CatalogueError, SettingsError, Unavailable
from cbmir.failpoints import reach
from cbmir.store.postgresql.schema import MIGRATIONS, NAMESPACE
from cbmir.store.postgresql.statements import translated

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    Native = psycopg.Connection[tuple[Any, ...]]

DEFAULTS = {
    "application_name": "orthanc-cbmir",
    "connect_timeout": "5",
    # a server that is cut off is given up before its clients are
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}
"""Of libpq, where "Database" says nothing else."""

WAIT_SECONDS = 3.0
"""How long whoever asks may wait for a connection."""

GIVE_UP_SECONDS = 10.0
"""How long the pool tries to connect by itself; the next one who asks has it try again."""

EF_SEARCH = 200
MOST_SCANNED = 100_000
SESSION = f"""
SET hnsw.ef_search = {EF_SEARCH};
SET hnsw.iterative_scan = relaxed_order;
SET hnsw.max_scan_tuples = {MOST_SCANNED};
SET lock_timeout = '20s';
SET idle_in_transaction_session_timeout = '60s';
SET tcp_keepalives_idle = 10;
SET tcp_keepalives_interval = 5;
SET tcp_keepalives_count = 3;
"""
"""Of each connection. The latter: what a node had locked when its machine lost power is free within a minute."""

MIGRATION_LOCK = 0x63626D6972
"""PostgreSQL's advisory lock by which one node at a time makes tables and indexes."""

# the pool tells its trouble to Python's log, which nobody reads inside Orthanc; here, it becomes Unavailable
logging.getLogger("psycopg").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Packed:
    """A vector on its way to the server, in pgvector's binary form."""

    data: bytes

    @classmethod
    def of(cls, vector: NDArray[np.float32]) -> Packed:
        """Return a (dim,) vector in that form: its length, two bytes of nothing, big-endian numbers."""
        return cls(struct.pack(">HH", len(vector), 0) + np.asarray(vector, ">f4").tobytes())


class _VectorLoader(Loader):
    format = Format.BINARY

    def load(self, data: Any) -> bytes:
        return np.frombuffer(data, ">f4", offset=4).astype(np.float32).tobytes()


class Fetched:
    """All rows of a statement, kept when the connection has gone to the next who needs one."""

    def __init__(self, cursor: psycopg.Cursor[tuple[Any, ...]]) -> None:
        """Take the rows, if the statement gives any."""
        self.rowcount = cursor.rowcount
        self._rows = iter(cursor.fetchall() if cursor.description is not None else ())

    def __iter__(self) -> Iterator[Any]:
        """Yield the rows that are left."""
        return self._rows

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""
        return list(self._rows)


class Writer:
    """Statements of one transaction."""

    def __init__(self, native: Native) -> None:
        """Take the connection."""
        self._native = native

    def execute(self, text: str, values: Any = (), /) -> Fetched:
        """Run a statement."""
        return Fetched(self._native.cursor(binary=True).execute(*translated(text, values)))

    def executemany(self, text: str, values: Iterable[Any], /) -> None:
        """Run a statement with each of these values."""
        bound = [translated(text, one) for one in values]
        if bound:
            self._native.cursor().executemany(bound[0][0], [values for _, values in bound])


class Pool:
    """Connections that threads share. All methods may be called from any thread."""

    def __init__(self, conninfo: str, size: int) -> None:
        """Connect, and bring the tables up to date; at most so many connections are held.

        Raises
        ------
        SettingsError
            The connection string is none, or tells a password.
        Unavailable
            The server cannot be reached now.
        CatalogueError
            The server has no pgvector, or tables of a later version of the plugin.

        """
        self._conninfo = completed(conninfo)
        with _explaining(), psycopg.connect(self._conninfo, autocommit=True) as native:
            _migrate(native)
        self._pool: psycopg_pool.ConnectionPool[Native] = psycopg_pool.ConnectionPool(
            self._conninfo,
            kwargs={"autocommit": True},
            min_size=1,
            max_size=size,
            configure=_configure,
            name="cbmir",
            timeout=WAIT_SECONDS,
            reconnect_timeout=GIVE_UP_SECONDS,
            num_workers=1,
            open=True,
        )

    def execute(self, text: str, values: Any = (), /) -> Fetched:
        """Run a statement that only reads; once more where a server that was restarted has left the connection dead."""
        with _explaining():
            try:
                return self._execute(text, values)
            except psycopg_pool.PoolTimeout:
                raise
            except psycopg.OperationalError:
                self._pool.check()
                return self._execute(text, values)

    def _execute(self, text: str, values: Any) -> Fetched:
        with self._pool.connection() as native:
            return Writer(native).execute(text, values)

    def executemany(self, text: str, values: Iterable[Any], /) -> None:
        """Run a statement with each of these values, all or none."""
        with self.transaction() as database:
            database.executemany(text, values)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Writer]:
        """Return what writes, whole or not at all."""
        with _explaining(), self._pool.connection() as native:
            with native.transaction():
                yield Writer(native)
                reach("before-commit")
            reach("after-commit")

    @contextlib.contextmanager
    def alone(self) -> Iterator[Writer]:
        """Return what makes tables and indexes, each statement by itself, while no other node does."""
        with _explaining(), psycopg.connect(self._conninfo, autocommit=True) as native:
            _configure(native)
            # another node may be at it for long; the lock ends with the connection
            native.execute("SET lock_timeout = 0")
            native.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
            yield Writer(native)

    def close(self) -> None:
        """Close all connections, also those that are at work."""
        self._pool.close(timeout=1)


def completed(conninfo: str) -> str:
    """Return the setting "Database" with what it leaves out.

    Raises
    ------
    SettingsError
        It is no connection string of libpq, or tells a password.

    """
    try:
        told = conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError:
        raise SettingsError(
            '"Cbmir.Database" is no connection string of PostgreSQL, such as'
            ' "host=db.example dbname=cbmir user=cbmir sslmode=verify-full"'
        ) from None
    if "password" in told:
        raise SettingsError(
            '"Cbmir.Database" must not tell the password: name a file with passfile=, or set PGPASSFILE or PGPASSWORD'
        )
    return make_conninfo("", **{**DEFAULTS, **{name: value for name, value in told.items() if value is not None}})


@contextlib.contextmanager
def _explaining() -> Iterator[None]:
    """Have Unavailable raised where the server is away, or refuses what it will do later."""
    try:
        yield
    except (psycopg_pool.PoolTimeout, psycopg_pool.PoolClosed):
        raise Unavailable("the database cannot be reached; please try again") from None
    except (psycopg.OperationalError, psycopg.InterfaceError, errors.ReadOnlySqlTransaction) as error:
        raise Unavailable(f"the database cannot be used now ({type(error).__name__}); please try again") from None


def _configure(native: Native) -> None:
    """Have a new connection find our tables, and carry vectors."""
    _find_tables(native)
    native.execute(SESSION.encode())
    info = TypeInfo.fetch(native, "vector")
    if info is None:
        raise psycopg.OperationalError("pgvector has gone from the database")
    native.adapters.register_loader(info.oid, _VectorLoader)
    native.adapters.register_dumper(Packed, _vector_dumper(info.oid))


def _find_tables(native: Native) -> None:
    """Have statements find our tables, and the extension wherever it was made."""
    native.execute(
        "SELECT set_config('search_path', concat_ws(', ', %s::text, (SELECT quote_ident(nspname) FROM pg_extension"
        " JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'vector'), 'public'), false)",
        (NAMESPACE,),
    )


def _vector_dumper(number: int) -> type[Dumper]:
    class VectorDumper(Dumper):
        format = Format.BINARY
        oid = number

        def dump(self, obj: Packed) -> bytes:
            return obj.data

    return VectorDumper


def _migrate(native: Native) -> None:
    """Make the tables, or bring them up to date, while no other node does."""
    try:
        _step_by_step(native)
    except errors.InsufficientPrivilege:
        raise CatalogueError(
            "the role may not make tables in the database: GRANT CREATE ON DATABASE, or give it the schema cbmir"
        ) from None


def _step_by_step(native: Native) -> None:
    with native.transaction():
        native.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
        _ensure_pgvector(native)
        native.execute(f"CREATE SCHEMA IF NOT EXISTS {NAMESPACE}".encode())
        _find_tables(native)
        native.execute("CREATE TABLE IF NOT EXISTS version (version INTEGER NOT NULL)")
        row = native.execute("SELECT version FROM version").fetchone()
        version = row[0] if row else 0
        if version > len(MIGRATIONS):
            raise CatalogueError("the tables in the database were made by a later version of this plugin: upgrade it")
        for step in MIGRATIONS[version:]:
            native.execute(step.encode())
        native.execute("DELETE FROM version")
        native.execute("INSERT INTO version VALUES (%s)", (len(MIGRATIONS),))


def _ensure_pgvector(native: Native) -> None:
    missing = CatalogueError(
        "the database has no pgvector 0.8 or later: install it on the server (postgresql-17-pgvector in Debian 13), and"
        " have a superuser run CREATE EXTENSION vector in this database"
    )
    asked = "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
    found = native.execute(asked.encode()).fetchone()
    if found is None:
        try:
            with native.transaction():
                native.execute("CREATE EXTENSION vector")
        except psycopg.Error as error:
            if isinstance(error, psycopg.OperationalError):
                raise
            raise missing from None
        found = native.execute(asked.encode()).fetchone()
    if found is None or tuple(map(int, found[0].split(".")[:2])) < (0, 8):
        raise missing
