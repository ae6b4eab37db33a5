"""What it costs to share a database: the catalogue and index in PostgreSQL beside those in files, in one run."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from postgres_server import PostgresServer

from cbmir.index import SliceIndex
from cbmir.records import Embedded, Series
from cbmir.store.postgresql.catalogue import PostgresCatalogue
from cbmir.store.sqlite import SqliteCatalogue
from measuring import made
from measuring.machine import load
from measuring.made import DIM

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cbmir.catalogue import Catalogue
    from cbmir.store.protocols import VectorIndex

MODEL = "measured"
FRAMES = 2000
"""Of each instance by which the stores are filled: one transaction."""

NEIGHBOURS = {"10": 10, "80": 80}
"""Asked for: ten, and what a search for ten patients asks for first."""

FILTERED = 0.01
NOISE = 0.02


@dataclass(slots=True)
class Store:
    """A catalogue with its index, and what was measured of them."""

    catalogue: Catalogue
    index: VectorIndex
    seconds: dict[str, list[float]] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)

    def timed(self, what: str, work: Callable[[], Any]) -> Any:
        """Do the work, and note how long it took."""
        start = time.perf_counter()
        outcome = work()
        self.seconds.setdefault(what, []).append(time.perf_counter() - start)
        return outcome


def measure(options: Namespace) -> dict[str, Any]:
    """Return, for both stores, rates of insertion, query times, recall and bytes for each slice; and their ratios."""
    rows = made.slices(options.vectors + options.live)
    queries = _queries(rows[: options.vectors], options.queries)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = PostgresServer()
        stack.callback(server.end)
        server.start("fsync=on", "shared_buffers=512MB", "maintenance_work_mem=512MB")
        file = SqliteCatalogue(folder / "catalogue.sqlite")
        shared = PostgresCatalogue(server.conninfo(), MODEL)
        stack.callback(shared.close)
        stores = {
            "files": Store(file, SliceIndex(folder, dim=DIM, model=MODEL)),
            "postgresql": Store(shared, shared.own_index(dim=DIM, model=MODEL)),
        }
        versions = shared._pool.execute(  # noqa: SLF001 - of what is measured
            "SELECT current_setting('server_version'), extversion FROM pg_extension WHERE extname = 'vector'"
        ).fetchone()
        for name, store in stores.items():
            print(f"filling {name}, load {load()}", file=sys.stderr, flush=True)
            _fill(store, rows[: options.vectors])
        _insert_in_turn(stores, rows[options.vectors :])
        _query_in_turn(stores, rows, queries)
        for store in stores.values():
            _count(store)
        stores["files"].index.snapshot()
        stores["files"].found["bytesPerSlice"] = _bytes_of_files(folder, len(rows))
        stores["postgresql"].found["bytesPerSlice"] = _bytes_of_tables(shared, len(rows))
        return {
            "vectors": options.vectors,
            "dim": DIM,
            "postgresql": versions[0],
            "pgvector": versions[1],
            "stores": {name: store.found for name, store in stores.items()},
            "loadAtEnd": load(),
        }


def _queries(rows: NDArray[np.float32], number: int) -> NDArray[np.float32]:
    """Return (number, DIM) unit vectors: near stored slices, as another slice of the same kind is."""
    random = np.random.default_rng(1)
    near = rows[random.choice(len(rows), number, replace=False)]
    near = near + NOISE * random.standard_normal(near.shape).astype(np.float32)
    queries: NDArray[np.float32] = near / np.linalg.norm(near, axis=1, keepdims=True)
    return queries


def _embedded(name: str, rows: NDArray[np.float32]) -> Embedded:
    """Return an instance whose frames have these vectors; each is a patient of its own."""
    series = Series(f"series-{name}", f"study-{name}", name, name, f"1.{name}", f"1.{name}.1", {"Modality": "MR"})
    return Embedded(name, f"1.{name}.1.1", series, len(rows), dict(enumerate(rows, start=1)))


def _fill(store: Store, rows: NDArray[np.float32]) -> None:
    """Have the catalogue keep all vectors, in the order of their series, then build the index at once."""
    for start in range(0, len(rows), FRAMES):
        name = str(start)
        store.catalogue.enqueue([name])
        some = _embedded(name, rows[start : start + FRAMES])
        store.timed("keep", partial(store.catalogue.record, some, MODEL))
    live = store.catalogue.live_labels(MODEL)
    store.timed("build", lambda: store.index.restore(live, store.catalogue.vectors))


def _insert_in_turn(stores: dict[str, Store], rows: NDArray[np.float32]) -> None:
    """Have each store take slices as they come from the worker, one instance at a time, in turn."""
    for number, row in enumerate(rows):
        embedded = _embedded(f"live{number}", row[np.newaxis])
        for store in stores.values():
            store.catalogue.enqueue([embedded.orthanc_id])
            store.timed("insert", partial(_insert, store, embedded))


def _insert(store: Store, embedded: Embedded) -> None:
    came, _ = store.catalogue.record(embedded, MODEL)
    store.index.add(np.array(came, np.int64), np.stack(list(embedded.vectors.values())))


def _query_in_turn(stores: dict[str, Store], rows: NDArray[np.float32], queries: NDArray[np.float32]) -> None:
    """Ask each store the same in turn; compare the first ten with those of all vectors."""
    recalls: dict[str, list[float]] = {name: [] for name in stores}
    labels = {name: store.catalogue.live_labels(MODEL) for name, store in stores.items()}
    allowed = np.random.default_rng(2).random(len(rows)) < FILTERED
    for query in queries:
        exact = set(np.argpartition(-(rows @ query), 10)[:10].tolist())
        for name, store in stores.items():
            for what, k in NEIGHBOURS.items():
                found, _ = store.timed(what, partial(store.index.search, query, k))
                if k == 10:
                    # labels are given in the order of the rows
                    recalls[name].append(len(exact & set(np.searchsorted(labels[name], found).tolist())) / 10)
            chosen = labels[name][allowed]
            store.timed("filtered", partial(_exact, store, chosen, query))
    for name, store in stores.items():
        store.found["recallAt10"] = round(float(np.mean(recalls[name])), 4)


def _exact(store: Store, labels: NDArray[np.int64], query: NDArray[np.float32]) -> Any:
    """Return similarities of a filtered set, one by one, as a search with a selective filter does."""
    return np.concatenate([rows for _, rows in store.catalogue.vectors(labels)]) @ query


def _count(store: Store) -> None:
    """Turn seconds into what is told."""
    kept, inserted = sum(store.seconds["keep"]), np.array(store.seconds["insert"])
    store.found |= {
        "keepSlicesPerSecond": round(FRAMES * len(store.seconds["keep"]) / kept),
        "buildSeconds": round(sum(store.seconds["build"]), 1),
        "insertSlicesPerSecond": round(1 / float(np.median(inserted))),
        "insertMilliseconds": _milliseconds(inserted),
        "queryMilliseconds": {what: _milliseconds(np.array(store.seconds[what])) for what in NEIGHBOURS},
        "filteredMilliseconds": _milliseconds(np.array(store.seconds["filtered"])),
    }


def _milliseconds(seconds: NDArray[np.float64]) -> dict[str, float]:
    return {name: round(1000 * float(np.quantile(seconds, at)), 2) for name, at in (("p50", 0.5), ("p99", 0.99))}


def _bytes_of_files(folder: Path, slices: int) -> dict[str, int]:
    """Return bytes on the disk; the index is as large in memory, of every Orthanc."""
    catalogue = sum(file.stat().st_size for file in folder.glob("catalogue.sqlite*"))
    index = sum(file.stat().st_size for file in folder.glob("index-*.bin"))
    return {"catalogue": round(catalogue / slices), "index": round(index / slices)}


def _bytes_of_tables(catalogue: PostgresCatalogue, slices: int) -> dict[str, int]:
    """Return bytes on the server's disk; what of them is in memory is the server's choice."""
    index, table = catalogue._pool.execute(  # noqa: SLF001 - of what is measured
        "SELECT sum(pg_relation_size(indexrelid)) FILTER (WHERE indexrelid::regclass::text LIKE '%slice_near_%'),"
        " max(pg_total_relation_size(indrelid)) FROM pg_index WHERE indrelid = 'slice'::regclass"
    ).fetchone()
    return {"catalogue": round(float(table - index) / slices), "index": round(float(index) / slices)}
