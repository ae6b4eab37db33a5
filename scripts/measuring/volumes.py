"""How long a query by a whole series takes, step by step: neighbours, candidates, comparison, and the slices found."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

import _library  # noqa: F401 - before cbmir
from cbmir.access import ANYONE
from cbmir.search import Criteria, Search
from cbmir.store.sqlite import SqliteCatalogue
from cbmir.volumes.search import VolumeSearch
from measuring import made
from measuring.indexes import Archive, folder_for

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

STEPS = ((Search, "many"), (Search, "vectors"), (SqliteCatalogue, "series_of"), (SqliteCatalogue, "members"))
"""What is timed within a query; of `slices`, only that of the answer."""


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the milliseconds of queries by the longest series, on the wall and on processors, and of their steps."""
    with folder_for(options) as folder:
        archive = Archive(folder, options.slices, {})
        archive.catalogue.prepare(made.MODEL)
        volumes = VolumeSearch(
            archive.catalogue, Search(archive.catalogue, archive.index, made.MODEL, None), made.MODEL
        )
        spans = [span for span in made.spans(options.slices) if span.stop <= options.slices]
        longest = max(map(len, spans))
        spans = [span for span in spans if len(span) == longest]
        chosen = np.random.default_rng(1).choice(len(spans), min(options.queries, len(spans)), replace=False)
        steps: defaultdict[str, list[float]] = defaultdict(list)
        wall, processor, cases = [], [], []
        with _timed(steps):
            for number in tqdm(chosen.tolist(), desc="queries", disable=None):
                asked = made.series_of(spans[number].start).orthanc_id
                start = time.perf_counter(), time.process_time()
                stacks = volumes.stacks(archive.catalogue.members([asked], made.MODEL))
                cases.append(len(volumes.cases(stacks, Criteria(), ANYONE)))
                wall.append(time.perf_counter() - start[0])
                processor.append(time.process_time() - start[1])
        archive.catalogue.close()
    found = {
        "slices": options.slices,
        "slicesOfTheQuery": longest,
        "queries": len(chosen),
        "fewestCases": min(cases),
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
