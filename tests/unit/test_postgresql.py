"""What is peculiar to PostgreSQL; what every catalogue must do is in test_catalogue.py and test_succession.py."""

from __future__ import annotations

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from dicom_files import mr_slice
from orthanc_double import OrthancDouble
from orthanc_process import wait_for
from parts import DIM, MODEL, Workplace, embedded, series, tiny_embedder, units
from postgres_server import PostgresServer

from cbmir.errors import CatalogueError, SettingsError, Unavailable
from cbmir.store.postgresql import catalogue as catalogue_module
from cbmir.store.postgresql.catalogue import SIGN_SECONDS, PostgresCatalogue
from cbmir.store.postgresql.pool import Packed, completed
from cbmir.store.postgresql.statements import quoted, translated
from cbmir.store.sql import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def node(database: str) -> Iterator[Callable[..., PostgresCatalogue]]:
    """Return a function that makes a node over the one database."""
    made: list[PostgresCatalogue] = []

    def make(name: str, **options: Any) -> PostgresCatalogue:
        made.append(PostgresCatalogue(database, name, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def fall_silent(postgres_server: PostgresServer, name: str) -> None:
    """Have so much time pass since a node's last sign of life that its lease is over."""
    postgres_server.execute(f"UPDATE cbmir.node SET until = now() - interval '1 second' WHERE id = '{name}'")  # noqa: S608


def die(catalogue: PostgresCatalogue) -> None:
    """End a node's connections as a kill does: nothing is said to the database."""
    catalogue._pool.close()


# ---- statements ----


@pytest.mark.parametrize(
    ("text", "values", "statement", "bound"),
    [
        ("a = ? AND b = ?", (1, 2), b"a = %s AND b = %s", [1, 2]),
        ("a = ?1 OR b = ?1", (1,), b"a = %(_1)s OR b = %(_1)s", {"_1": 1}),
        ("a = :a, ':b', c::int", {"a": 1}, b"a = %(a)s, ':b', c::int", {"a": 1}),
        ("a LIKE '?%' ESCAPE '!' AND 5 % ? = 1", (2,), b"a LIKE '?%%' ESCAPE '!' AND 5 %% %s = 1", [2]),
        ("a = 'it''s ?' AND b = ?", (1,), b"a = 'it''s ?' AND b = %s", [1]),
    ],
)
def test_marks_for_values_become_those_of_the_driver(text: str, values: Any, statement: bytes, bound: Any) -> None:
    assert translated(text, values) == (statement, bound)


def test_a_text_that_cannot_be_bound_stays_a_text(node: Callable[..., PostgresCatalogue]) -> None:
    for text in ("it's", "'; DROP TABLE slice; --", "100 % ?", ":name", "back\\slash"):
        assert node("a")._pool.execute(f"SELECT {quoted(text)}").fetchone() == (text,)


def test_it_has_all_tables_and_columns_of_sqlite(node: Callable[..., PostgresCatalogue]) -> None:
    file = sqlite3.connect(":memory:")
    file.executescript(SCHEMA)
    wanted = {
        (table.lower(), column.lower())
        for table, column in file.execute(
            "SELECT m.name, c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c"
            " WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'"
        )
    }
    file.close()
    there = node("a")._pool.execute(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'cbmir'"
    )
    assert wanted - set(there) == set()


# ---- connecting ----


@pytest.mark.parametrize(
    ("conninfo", "told"),
    [
        ("host=db password=geheim", "must not tell the password"),
        ("postgresql://cbmir:geheim@db/cbmir", "must not tell the password"),
        ("geheim", "no connection string"),
        ("host=db pasword=geheim", "no connection string"),
    ],
)
def test_a_setting_that_is_wrong_is_refused_without_being_repeated(conninfo: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told) as refused:
        completed(conninfo)
    assert "geheim" not in str(refused.value)


def test_parameters_of_the_connection_are_passed_on_and_go_before_our_defaults() -> None:
    given = completed("host=db sslmode=verify-full sslrootcert=/etc/ca.pem connect_timeout=2 passfile=/etc/pass")
    for part in ("sslmode=verify-full", "sslrootcert=/etc/ca.pem", "connect_timeout=2", "passfile=/etc/pass"):
        assert part in given.split()
    assert "keepalives_idle=10" in given.split()


def test_tables_of_a_later_version_are_refused(node: Callable[..., PostgresCatalogue]) -> None:
    with node("a")._pool.transaction() as database:
        database.execute("UPDATE version SET version = 99")
    with pytest.raises(CatalogueError, match="later version"):
        node("b")


def test_nodes_that_start_together_make_the_tables_once(database: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        nodes = list(threads.map(lambda name: PostgresCatalogue(database, name), "abcd"))
    for one in nodes:
        assert one.counts()["pending"] == 0
        one.close()


def is_answered(catalogue: PostgresCatalogue) -> bool:
    try:
        return bool(catalogue.counts())
    except Unavailable:
        return False


def test_a_server_that_is_away_is_told_and_found_again() -> None:
    server = PostgresServer()
    try:
        with pytest.raises(Unavailable, match="cannot be used now"):
            PostgresCatalogue(server.conninfo(), "a")
        catalogue = PostgresCatalogue(server.start().conninfo(), "a")
        catalogue.enqueue(["x"])
        server.stop()
        for attempt in (catalogue.counts, lambda: catalogue.enqueue(["y"])):
            with pytest.raises(Unavailable, match="please try again"):
                attempt()
        server.start()
        wait_for(lambda: is_answered(catalogue), "the server is found again")
        assert catalogue.counts()["pending"] == 1
        # connections that died while nobody used them are replaced unnoticed
        server.stop()
        server.start()
        assert catalogue.counts()["pending"] == 1
        catalogue.close()
    finally:
        server.end()


def test_a_database_without_pgvector_says_what_to_install(postgres_server: PostgresServer) -> None:
    postgres_server.execute("DROP DATABASE IF EXISTS bare", "CREATE DATABASE bare", "DROP ROLE IF EXISTS weak")
    postgres_server.execute("CREATE ROLE weak LOGIN", "GRANT CREATE ON DATABASE bare TO weak")
    with pytest.raises(CatalogueError, match="CREATE EXTENSION vector"):
        PostgresCatalogue(postgres_server.conninfo("bare").replace("user=cbmir", "user=weak"), "a")


def test_a_role_that_may_make_no_tables_is_told_what_it_lacks(postgres_server: PostgresServer, database: str) -> None:
    PostgresCatalogue(database, "owner").close()
    postgres_server.execute("DROP SCHEMA cbmir CASCADE", "DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN")
    with pytest.raises(CatalogueError, match="GRANT CREATE ON DATABASE"):
        PostgresCatalogue(database.replace("user=cbmir", "user=guest"), "a")


# ---- claims ----


def test_nodes_claim_what_no_other_has(node: Callable[..., PostgresCatalogue]) -> None:
    first, second = node("first"), node("second")
    first.enqueue(list("abcdef"))
    assert first.claim(2) == ["f", "e"]
    assert second.claim(3, without={"d"}) == ["c", "b", "a"]
    assert first.others_at_work()
    assert second.others_at_work()
    # what a node has not finished is its own again
    assert first.claim(9) == ["f", "e", "d"]
    first.close()
    assert second.claim(9) == list("fedcba")
    assert not second.others_at_work()


def test_many_nodes_take_each_instance_once(node: Callable[..., PostgresCatalogue]) -> None:
    names = [f"{number:03}" for number in range(200)]
    nodes = [node(str(number)) for number in range(4)]
    nodes[0].enqueue(names)

    def work(one: PostgresCatalogue) -> list[str]:
        done: list[str] = []
        while batch := one.claim(7):
            for name in batch:
                one.record(embedded(name), MODEL)
            done += batch
        return done

    with ThreadPoolExecutor(len(nodes)) as threads:
        done = [name for some in threads.map(work, nodes) for name in some]
    assert sorted(done) == names
    assert len(nodes[0].live_labels(MODEL)) == len(names)


def test_the_claims_of_a_dead_node_are_taken_over_after_its_lease(
    node: Callable[..., PostgresCatalogue], postgres_server: PostgresServer
) -> None:
    dead, living = node("dead"), node("living")
    dead.enqueue(list("ab"))
    assert dead.claim(9) == ["b", "a"]
    die(dead)
    assert living.claim(9) == []
    fall_silent(postgres_server, "dead")
    assert living.claim(9) == ["b", "a"]


def test_a_node_that_gives_signs_of_life_keeps_its_claims(
    node: Callable[..., PostgresCatalogue], postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, other = node("busy"), node("other")
    busy.enqueue(["a"])
    assert busy.claim(9) == ["a"]
    for signs in range(1, 4):
        fall_silent(postgres_server, "busy")
        later = time.monotonic() + signs * SIGN_SECONDS
        with monkeypatch.context() as clock:
            clock.setattr(catalogue_module, "time", SimpleNamespace(monotonic=lambda later=later: later))
            busy.sign_of_life({MODEL})
        assert other.claim(9) == []


def test_a_node_that_was_killed_gets_its_own_claims_back_at_once(node: Callable[..., PostgresCatalogue]) -> None:
    before = node("same")
    before.enqueue(["a"])
    assert before.claim(9) == ["a"]
    die(before)
    assert node("other").claim(9) == []
    node("same")
    assert node("another").claim(9) == ["a"]


def test_a_late_word_on_a_file_that_was_overwritten_changes_nothing(node: Callable[..., PostgresCatalogue]) -> None:
    slow, other = node("slow"), node("other")
    slow.enqueue(["a", "b"])
    assert slow.claim(9) == ["b", "a"]
    other.enqueue(["a", "b"])
    assert slow.record(embedded("a"), MODEL) == ([], [])
    assert slow.settle("b", "failed", "cut") == []
    assert other.claim(9) == ["b", "a"]
    came, _ = other.record(embedded("a"), MODEL)
    assert slow.live_labels(MODEL).tolist() == came


def test_what_is_known_is_not_made_pending_by_another_node_that_missed_it(
    node: Callable[..., PostgresCatalogue],
) -> None:
    first, second = node("first"), node("second")
    first.enqueue(["a"])
    first.record(embedded("a"), MODEL)
    second.enqueue_new(["a", "b"])
    assert first.counts() == {"pending": 1, "indexed": 1, "skipped": 0, "failed": 0}


# ---- a change of model on several nodes ----


def test_vectors_that_another_living_node_answers_from_are_not_dropped(
    node: Callable[..., PostgresCatalogue], postgres_server: PostgresServer
) -> None:
    old, new = node("old"), node("new")
    old.enqueue(["a"])
    old.record(embedded("a"), MODEL)
    old.sign_of_life({MODEL})
    assert not new.drop_other_models({"new"}, 10)
    assert len(new.live_labels(MODEL)) == 1
    fall_silent(postgres_server, "old")
    assert new.drop_other_models({"new"}, 10)
    assert len(new.live_labels(MODEL)) == 0


def test_two_nodes_change_the_model_together_and_each_instance_is_embedded_once(tmp_path: Path, database: str) -> None:
    orthanc = OrthancDouble()
    models = {"one": tiny_embedder(), "two": tiny_embedder(model="two-0123456789ab")}

    def start(name: str, model: str) -> Workplace:
        (tmp_path / name).mkdir(exist_ok=True)
        return Workplace(tmp_path / name, installed=models, orthanc=orthanc, model=model, database=database)

    first = start("first", "one")
    stored = first.store(*(mr_slice(f"P{number}", number=number) for number in range(12)))
    first.work()
    first.close()
    nodes = [start(name, "two") for name in ("first", "second")]
    for _ in range(60):
        for one in nodes:
            one.indexer._catalogue.sign_of_life(one.spaces.models())
            one.turn()
    for one in nodes:
        assert one.spaces.incoming is None
        assert one.embedder.model_id == "two-0123456789ab"
        assert one.catalogue.counts()["indexed"] == len(stored)
        one.agree()
        one.close()


# ---- the index ----


def scattered(number: int, seed: int = 0) -> Any:
    return units(np.random.default_rng(seed).standard_normal((number, DIM)))


def test_the_index_finds_what_a_comparison_with_all_finds(node: Callable[..., PostgresCatalogue]) -> None:
    catalogue = node("a")
    index = catalogue.own_index(dim=DIM, model=MODEL)
    nothing = np.empty(0, np.int64)
    assert index.restore(nothing, catalogue.vectors).startswith("rebuilt")
    assert index.restore(nothing, catalogue.vectors) == "snapshot"
    assert index.search(np.eye(1, DIM, dtype=np.float32)[0], 5)[0].tolist() == []
    vectors = scattered(500)
    catalogue.enqueue(["a"])
    labels, _ = catalogue.record(embedded("a", vectors=vectors), MODEL)
    for query in scattered(20, seed=1):
        found, similarities = index.search(query, 10)
        exact = np.argsort(-(vectors @ query))[:10]
        assert found.tolist() == np.array(labels)[exact].tolist()
        np.testing.assert_allclose(similarities, (vectors @ query)[exact], atol=1e-6)
    assert len(index.search(vectors[0], 10_000)[0]) == 500
    assert len(catalogue.own_index(dim=DIM, model=MODEL)) == 500


def test_what_is_deleted_is_found_no_more_and_goes_with_the_next_vacuum(node: Callable[..., PostgresCatalogue]) -> None:
    catalogue = node("a")
    index = catalogue.own_index(dim=DIM, model=MODEL)
    index.restore(np.empty(0, np.int64), catalogue.vectors)
    for number, vector in enumerate(scattered(20)):
        catalogue.enqueue([str(number)])
        catalogue.record(embedded(str(number), vectors=vector), MODEL)
    gone = catalogue.forget([str(number) for number in range(10)])
    index.remove(gone)
    assert not index.worn
    assert not set(index.search(scattered(1)[0], 20)[0].tolist()) & set(gone)
    index.rebuild(np.empty(0, np.int64), catalogue.vectors)
    assert len(index.search(scattered(1)[0], 20)[0]) == 10


def test_models_of_different_lengths_have_indexes_of_their_own(node: Callable[..., PostgresCatalogue]) -> None:
    catalogue = node("a")
    for model, dim in ((MODEL, DIM), ("it's wide", 2 * DIM)):
        catalogue.own_index(dim=dim, model=model).restore(np.empty(0, np.int64), catalogue.vectors)
        catalogue.enqueue([model])
        catalogue.record(embedded(model, series(), vectors=np.eye(1, dim)), model)
    for model, dim in ((MODEL, DIM), ("it's wide", 2 * DIM)):
        found, _ = catalogue.own_index(dim=dim, model=model).search(np.eye(1, dim, dtype=np.float32)[0], 5)
        assert found.tolist() == catalogue.live_labels(model).tolist()
    while catalogue.drop_other_models({MODEL}, 10):
        pass
    left = catalogue._pool.execute("SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'slice_near_%'").fetchone()
    assert left == (1,)


def test_the_search_can_use_the_index(node: Callable[..., PostgresCatalogue]) -> None:
    catalogue = node("a")
    index = catalogue.own_index(dim=DIM, model="it's so")
    index.restore(np.empty(0, np.int64), catalogue.vectors)
    with catalogue._pool.alone() as database:
        # of a few rows it would not
        database.execute("SET enable_sort = off")
        plan = database.execute(f"EXPLAIN {index._nearest()}", (Packed.of(scattered(1)[0]), 18, 10)).fetchall()
    assert any("Index Scan using slice_near_" in line for (line,) in plan), plan
