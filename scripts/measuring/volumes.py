"""How long a query by a whole series takes, step by step: neighbours, candidates, comparison, and the slices found."""

from __future__ import annotations

import os
import tempfile
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

import _library  # noqa: F401 - before cbmir
from cbmir.access import ANYONE
from cbmir.index import SliceIndex
from cbmir.records import Embedded, Series
from cbmir.search import Criteria, Search
from cbmir.store.sqlite import SqliteCatalogue
from cbmir.volumes.search import VolumeSearch
from measuring import made
from measuring.made import DIM

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

MODEL = "made-000000000000"
STEPS = ((Search, "many"), (Search, "vectors"), (SqliteCatalogue, "series_of"), (SqliteCatalogue, "members"))
"""What is timed within a query; of `slices`, only that of the answer."""


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the milliseconds of queries by a series, on the wall and on processors, and those of their steps."""
    with tempfile.TemporaryDirectory(prefix="volumes-") as folder:
        catalogue = SqliteCatalogue(Path(folder) / "catalogue.sqlite")
        index = SliceIndex(Path(folder), dim=DIM, model=MODEL, threads=options.threads)
        series = _fill(catalogue, index, options.slices, options.length)
        volumes = VolumeSearch(catalogue, Search(catalogue, index, MODEL, None), MODEL)
        chosen = np.random.default_rng(1).choice(len(series), min(options.queries, len(series)), replace=False)
        steps: defaultdict[str, list[float]] = defaultdict(list)
        wall, processor = [], []
        with _timed(steps):
            for number in tqdm(chosen.tolist(), desc="queries", disable=None):
                start = time.perf_counter(), time.process_time()
                stacks = volumes.stacks(catalogue.members([series[number]], MODEL))
                cases = volumes.cases(stacks, Criteria(), ANYONE)
                wall.append(time.perf_counter() - start[0])
                processor.append(time.process_time() - start[1])
                assert cases
        catalogue.close()
    found = {
        "slices": options.slices,
        "slicesOfASeries": options.length,
        "queries": len(chosen),
        "wall": _milliseconds(wall),
        "processor": _milliseconds(processor),
        "stepsOnProcessors": {
            name: {"calls": len(seconds), **_milliseconds(seconds)} for name, seconds in steps.items()
        },
        "threadsOfNumpy": os.environ.get("OPENBLAS_NUM_THREADS"),
        "note": "Without HTTP and the writing of the answer.",
    }
    print(
        f"median {found['wall']['median']} ms, on processors {found['processor']['median']} ms",
        found["stepsOnProcessors"],
    )
    return found


def _fill(catalogue: SqliteCatalogue, index: SliceIndex, slices: int, length: int) -> list[str]:
    """Fill catalogue and index with series of one length, each of a patient of its own; return their Orthanc ids."""
    rows = made.slices(slices, length)
    names, labels = [], []
    for number in tqdm(range(slices // length), desc="series", disable=None):
        ids = [f"{number:08d}-{level}" for level in ("series", "study", "patient")]
        series = Series(ids[0], ids[1], ids[2], ids[2], f"1.{number}", f"1.{number}.1", {"Modality": "MR"}, "axial")
        instances = [f"{number:08d}-{place}" for place in range(length)]
        catalogue.enqueue(instances)
        for place, name in enumerate(instances):
            vector = rows[number * length + place]
            came, _ = catalogue.record(Embedded(name, f"1.{number}.1.{place}", series, 1, {1: vector}), MODEL)
            labels += came
        names.append(ids[0])
    places = {label: place for place, label in enumerate(labels)}

    def vectors(wanted: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        yield wanted, rows[[places[label] for label in wanted.tolist()]]

    index.rebuild(lambda: np.array(labels, np.int64), vectors)
    return names


@contextmanager
def _timed(steps: dict[str, list[float]]) -> Iterator[None]:
    """Have the steps told how long each call took, while the block lasts."""
    originals = [(owner, name, getattr(owner, name)) for owner, name in STEPS]
    try:
        for owner, name, original in originals:
            setattr(owner, name, _timing(original, steps[name]))
        yield
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)


def _timing(original: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    def timed(*arguments: Any, **named: Any) -> Any:
        start = time.thread_time()
        try:
            return original(*arguments, **named)
        finally:
            seconds.append(time.thread_time() - start)

    return timed


def _milliseconds(seconds: list[float]) -> dict[str, float]:
    p50, p95 = np.percentile(np.array(seconds) * 1000, (50, 95)).round(1).tolist()
    return {"median": p50, "p95": p95}
