"""Orthancs for the tests, real ones and a double; a real one must end well and have logged no traceback and no name."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from orthanc_process import OrthancProcess
from parts import Workplace
from postgres_server import PostgresServer

from cbmir.store.postgresql.catalogue import PostgresCatalogue
from cbmir.store.sqlite import SqliteCatalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cbmir.catalogue import Catalogue


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    """Return a whole plugin over a tiny network and a double of Orthanc, not yet at work."""
    workplace = Workplace(tmp_path)
    yield workplace
    workplace.close()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Return a running PostgreSQL with pgvector, which all tests share."""
    server = PostgresServer()
    try:
        yield server.start()
    finally:
        server.end()


@pytest.fixture
def database(postgres_server: PostgresServer) -> str:
    """Return the connection string of a database without our tables."""
    postgres_server.execute("DROP SCHEMA IF EXISTS cbmir CASCADE")
    return postgres_server.conninfo()


@pytest.fixture(params=["sqlite", "postgresql"])
def catalogue(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Catalogue]:
    """Return an empty catalogue over each of the databases, which must be alike: of the first in catalogue.sqlite."""
    if request.param == "sqlite":
        catalogue: Catalogue = SqliteCatalogue(tmp_path / "catalogue.sqlite")
    else:
        catalogue = PostgresCatalogue(request.getfixturevalue("database"), "a node")
    yield catalogue
    catalogue.close()


@pytest.fixture
def make_orthanc(tmp_path: Path) -> Iterator[Callable[..., OrthancProcess]]:
    """Return a function that configures an Orthanc (not yet started); all are checked at the end."""
    with _several(tmp_path) as make:
        yield make


@pytest.fixture
def orthanc(make_orthanc: Callable[..., OrthancProcess]) -> OrthancProcess:
    """Return a running Orthanc with the plugin as shipped."""
    return make_orthanc().start()


@pytest.fixture(scope="module")
def make_shared_orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., OrthancProcess]]:
    """Return the same for an Orthanc that the tests of a module share: starting and stopping one costs seconds."""
    with _several(tmp_path_factory.mktemp("shared")) as make:
        yield make


@contextlib.contextmanager
def _several(folder: Path) -> Iterator[Callable[..., OrthancProcess]]:
    made: list[OrthancProcess] = []

    def make(cbmir: dict[str, Any] | None = None, *, name: str = "orthanc", **configuration: Any) -> OrthancProcess:
        own = folder / f"{name}{len(made)}"
        own.mkdir()
        made.append(OrthancProcess(own, cbmir, **configuration))
        return made[-1]

    try:
        yield make
    except BaseException:
        for orthanc in made:
            orthanc.end()
        raise
    problems = []
    for orthanc in made:
        try:
            orthanc.check()
        except AssertionError as error:
            problems.append(error)
    if problems:
        raise problems[0]
