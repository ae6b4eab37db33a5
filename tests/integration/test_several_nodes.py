"""Several real Orthancs over one PostgreSQL, one storage, one catalogue; and a PostgreSQL that comes and goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from dicom_files import mr_file
from orthanc_process import PLUGINS, wait_for
from postgres_server import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from orthanc_process import OrthancProcess

KILLED = -9
TAKEN_OVER_SECONDS = 600
"""Well above the lease of a node that is dead."""


@pytest.fixture
def archive(postgres_server: PostgresServer) -> str:
    """Return the name of an empty database, for Orthanc's own index and for ours."""
    postgres_server.execute("DROP DATABASE IF EXISTS archive WITH (FORCE)", "CREATE DATABASE archive")
    return "archive"


@pytest.fixture
def make_node(
    make_orthanc: Callable[..., OrthancProcess], postgres_server: PostgresServer, archive: str, tmp_path: Path
) -> Callable[..., OrthancProcess]:
    """Return a function that configures an Orthanc over what all of them share: database and storage."""
    storage = tmp_path / "storage"
    storage.mkdir()

    def make(name: str) -> OrthancProcess:
        orthanc = make_orthanc(
            {"Database": postgres_server.conninfo(archive)},
            name=name,
            StorageDirectory=str(storage),
            PostgreSQL={
                "EnableIndex": True,
                "EnableStorage": False,
                "Host": "127.0.0.1",
                "Port": postgres_server.port,
                "Database": archive,
                "Username": "cbmir",
                "Password": "trusted",
                "Lock": False,
                "IndexConnectionsCount": 3,
            },
        )
        orthanc.configuration["Plugins"].append(str(PLUGINS / "libOrthancPostgreSQLIndex.so"))
        return orthanc

    return make


def rows(server: PostgresServer, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(server.conninfo("archive"), autocommit=True, options="-c search_path=cbmir") as connection:
        return connection.execute(statement.encode()).fetchall()


def assert_whole(server: PostgresServer, orthanc: OrthancProcess) -> None:
    """Assert that the catalogue holds each instance that Orthanc has, with one vector, and nothing else."""
    instances = orthanc.instances()
    assert {name for (name,) in rows(server, "SELECT orthanc_id FROM instance WHERE state = 'indexed'")} == instances
    counted = rows(
        server, "SELECT orthanc_id, count(*) FROM slice JOIN instance ON instance.id = slice.instance GROUP BY 1"
    )
    assert dict(counted) == dict.fromkeys(instances, 1)
    assert rows(server, "SELECT id FROM series WHERE id NOT IN (SELECT series FROM instance)") == []


def assert_alike(nodes: list[OrthancProcess], instances: list[str]) -> None:
    """Assert that every node gives the same cases."""
    for instance in instances:
        first, *others = [node.similar(instance)["cases"] for node in nodes]
        assert first
        assert all(other == first for other in others)


def test_two_orthancs_index_each_slice_once_and_answer_alike(
    make_node: Callable[..., OrthancProcess], postgres_server: PostgresServer
) -> None:
    nodes = [make_node("a").start(), make_node("b").start()]
    stored = [
        nodes[number % 2].upload(mr_file(f"P{patient}", number=number)) for patient in range(8) for number in range(4)
    ]
    for node in nodes:
        node.wait_until_indexed(len(stored))
    assert_whole(postgres_server, nodes[0])
    # labels are never used twice: as many as there are vectors means that none was made in vain
    assert rows(postgres_server, "SELECT last_value FROM slice_label_seq") == [(len(stored),)]
    assert_alike(nodes, stored[::5])
    nodes[1].delete(f"/instances/{stored[0]}")
    wait_for(lambda: len(rows(postgres_server, "SELECT 1 FROM slice")) == len(stored) - 1, "the slice is gone")
    assert all(stored[0] not in str(node.similar(stored[1], samePatient="include")["cases"]) for node in nodes)
    assert_whole(postgres_server, nodes[0])


def test_when_one_orthanc_is_killed_in_mid_ingest_another_finishes_its_work(
    make_node: Callable[..., OrthancProcess], postgres_server: PostgresServer
) -> None:
    doomed, other = make_node("doomed"), make_node("other")
    settings = doomed.configuration["Cbmir"]
    # all are there before the work begins, so that it dies with most of its claims ahead of it
    settings["Enabled"] = False
    doomed.start()
    stored = [doomed.upload(mr_file(f"P{patient}", number=number)) for patient in range(8) for number in range(5)]
    assert doomed.stop() == 0
    settings["Enabled"] = True
    doomed.environment["CBMIR_FAILPOINT"] = "embedded:2:kill"
    doomed.launch()
    assert doomed.wait_for_end() == KILLED
    claimed = rows(postgres_server, "SELECT count(*) FROM instance WHERE claimed_by IS NOT NULL")
    assert claimed[0][0] > 0
    other.start()
    other.wait_until_indexed(seconds=TAKEN_OVER_SECONDS)
    assert set(stored) <= other.instances()
    assert_whole(postgres_server, other)
    del doomed.environment["CBMIR_FAILPOINT"]
    doomed.start()
    doomed.wait_until_indexed()
    assert_whole(postgres_server, doomed)
    assert_alike([doomed, other], stored[::9])


# ---- a database that comes and goes ----


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """Return a PostgreSQL of the test's own, not yet started."""
    server = PostgresServer()
    yield server
    server.end()


def test_orthanc_takes_images_whether_or_not_the_database_is_there(
    make_orthanc: Callable[..., OrthancProcess], server: PostgresServer
) -> None:
    orthanc = make_orthanc({"Database": server.conninfo()})
    orthanc.launch()
    wait_for(orthanc.answers, "Orthanc answers without the database")
    stored = [orthanc.upload(mr_file(patient)) for patient in "AB"]
    wait_for(lambda: "cannot be used now" in (orthanc.status()["reason"] or ""), "the status says what it waits for")
    assert orthanc.status()["state"] == "starting"
    refused = orthanc.http.get(f"/cbmir/similar/{stored[0]}")
    assert refused.status_code == 503
    assert "the database cannot be used now" in refused.json()["error"]["message"]

    server.start()
    wait_for(lambda: orthanc.status()["state"] == "running", "the plugin runs")
    orthanc.wait_until_indexed(2)
    before = orthanc.similar(stored[0])["cases"]

    server.stop()
    stored.append(orthanc.upload(mr_file("C")))
    refused = orthanc.http.get(f"/cbmir/similar/{stored[0]}")
    assert refused.status_code == 503
    assert "the database cannot be" in refused.json()["error"]["message"]
    status = orthanc.status()
    assert status["state"] == "degraded"
    assert "the database cannot be" in status["reason"]

    server.start()
    wait_for(lambda: orthanc.status()["state"] == "running", "the plugin goes on by itself")
    orthanc.wait_until_indexed(3)
    after = orthanc.similar(stored[0])["cases"]
    assert [case["slices"][0]["orthancId"] for case in before] == stored[1:2]
    assert {case["slices"][0]["orthancId"] for case in after} == set(stored[1:])
