"""What query expansion adds to the time of a search, over a catalogue and an index of made vectors."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from cbmir.access import ANYONE
from cbmir.index import SliceIndex
from cbmir.records import Embedded, Series
from cbmir.search import Criteria, Search
from cbmir.settings import Settings
from cbmir.store.sqlite import SqliteCatalogue

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

DIM = 256
SERIES = 100
"""Slices of one series, which lie close together as those of a real one do."""
SPREAD = 0.5
MODEL = "made-000000000000"


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the milliseconds of processor time of searches with and without expansion, by the same queries in turn."""
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        catalogue = SqliteCatalogue(Path(folder) / "catalogue.sqlite")
        index = SliceIndex(Path(folder), dim=DIM, model=MODEL)
        queries = _fill(catalogue, index, options.slices, random)
        hits = Settings().query_expansion
        searches = {n: Search(catalogue, index, MODEL, None, expand=n) for n in (0, hits)}
        seconds: dict[int, list[float]] = {n: [] for n in searches}
        for number, (vector, series) in enumerate(tqdm(queries[: options.queries], desc="queries", disable=None)):
            # in turn, so that what else runs on the machine meets both
            for n in sorted(searches, reverse=bool(number % 2)):
                start = time.thread_time()
                searches[n].cases(vector, series, Criteria(), ANYONE)
                seconds[n].append(time.thread_time() - start)
        catalogue.close()
    without, with_it = (_milliseconds(seconds[n]) for n in (0, hits))
    found = {
        "slices": options.slices,
        "queries": options.queries,
        "hits": hits,
        "without": without,
        "with": with_it,
        "added": round(with_it["median"] / without["median"] - 1, 3),
        "note": "Processor time of the thread that searches index and catalogue; HTTP and the answer come on top.",
    }
    print(f"median {without['median']} ms without, {with_it['median']} ms with: {100 * found['added']:+.1f} %")
    return found


def _fill(
    catalogue: SqliteCatalogue, index: SliceIndex, slices: int, random: np.random.Generator
) -> list[tuple[NDArray[np.float32], Series]]:
    """Fill catalogue and index, one series a patient; return the first slice of each series."""
    queries = []
    for number in tqdm(range(slices // SERIES), desc="series", disable=None):
        ids = [f"{number:08d}-{level}" for level in ("series", "study", "patient")]
        series = Series(ids[0], ids[1], ids[2], ids[2], f"1.{number}", f"1.{number}.1", {"Modality": "MR"})
        vectors = random.standard_normal(DIM) + SPREAD * random.standard_normal((SERIES, DIM))
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        names = [f"{number:08d}-{place}" for place in range(SERIES)]
        catalogue.enqueue(names)
        came = [
            catalogue.record(Embedded(name, f"1.{number}.1.{place}", series, 1, {1: vectors[place]}), MODEL)[0][0]
            for place, name in enumerate(names)
        ]
        index.add(np.array(came, np.int64), vectors)
        queries.append((vectors[0], series))
    return queries


def _milliseconds(seconds: list[float]) -> dict[str, float]:
    p50, p95 = np.percentile(np.array(seconds) * 1000, (50, 95)).round(3).tolist()
    return {"median": p50, "p95": p95}
