"""What an archive of some size costs: to link its index, to save and read it, to start, and to answer a query."""

from __future__ import annotations

import json
import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cbmir.access import ANYONE
from cbmir.answering.matching import parse
from cbmir.index import SliceIndex
from cbmir.search import Criteria, Search
from cbmir.settings import Settings
from cbmir.store.sqlite import SqliteCatalogue
from measuring import made
from measuring.steps import Step, milliseconds

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from numpy.typing import NDArray

BUILT = "built.json"
"""In the folder of an archive that is kept: how many slices, and what it took."""
UNSEEN = 10_000
"""Slices that are asked about and not stored, of series that are not stored."""
K = 10
FILTERS = {"none": {}, "modality": {"Modality": "MR"}, "a hundredth": {"BodyPartExamined": "PART7"}}


class Rows:
    """Vectors by their places in an array, as the catalogue hands them out by label."""

    def __init__(self, rows: NDArray[np.float32]) -> None:
        """Take (n, DIM) unit vectors."""
        self.rows = rows

    def live(self) -> NDArray[np.int64]:
        """Return all places."""
        return np.arange(len(self.rows), dtype=np.int64)

    def __call__(self, wanted: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield the vectors at these places, in portions."""
        for start in range(0, len(wanted), 10_000):
            some = wanted[start : start + 10_000]
            yield some, self.rows[some]


class Asked:
    """Queries, half of them of stored slices, with the ten nearest stored slices of each by comparing with all."""

    def __init__(self, rows: NDArray[np.float32], unseen: NDArray[np.float32], number: int) -> None:
        """Choose them."""
        random = np.random.default_rng(1)
        self.places = random.choice(len(rows), number // 2, replace=False)
        others = unseen[random.choice(len(unseen), number - number // 2, replace=False)]
        self.vectors = np.concatenate([rows[self.places], others])
        self.nearest = np.empty((number, K), np.int64)
        self.exact: list[float] = []
        for place, vector in enumerate(self.vectors):
            start = time.perf_counter()
            self.nearest[place] = np.argpartition(-(rows @ vector), K)[:K]
            self.exact.append(time.perf_counter() - start)

    def put_to(self, index: SliceIndex) -> dict[str, Any]:
        """Return what share of the nearest an index finds, and its time and that of comparing with all."""
        seconds, found = [], []
        for vector, nearest in zip(self.vectors, self.nearest, strict=True):
            start = time.perf_counter()
            labels, _ = index.search(vector, K)
            seconds.append(time.perf_counter() - start)
            found.append(np.isin(nearest, labels).mean())
        half = len(self.places)
        return {
            "recallAt10": round(float(np.mean(found)), 4),
            "recallAt10OfStored": round(float(np.mean(found[:half])), 4),
            "recallAt10OfUnseen": round(float(np.mean(found[half:])), 4),
            "milliseconds": milliseconds(seconds),
            "exactMilliseconds": milliseconds(self.exact),
        }


def measure(options: Namespace) -> dict[str, Any]:
    """Return what it takes to link an index as slices arrive and anew, to save and to read it, and what it finds."""
    rows = made.slices(options.slices + UNSEEN)
    source = Rows(rows[: options.slices])
    asked = Asked(source.rows, rows[options.slices :], options.queries)
    threads = os.cpu_count() or 1
    steps: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        index = SliceIndex(Path(name), dim=made.DIM, model=made.MODEL, threads=threads)
        with Step(steps, "as they arrive"):
            for span in made.spans(options.slices):
                some = np.array(span[: options.slices - span.start])
                index.add(some, source.rows[some])
        steps["as they arrive"] |= asked.put_to(index)
        index = SliceIndex(Path(name), dim=made.DIM, model=made.MODEL, threads=threads)
        with Step(steps, "rebuild"):
            index.rebuild(source.live, source)
        steps["rebuild"] |= asked.put_to(index)
        churn(index, source, steps)
        steps["month of churn"] |= asked.put_to(index)
        for prepared, step in (("0", "snapshot in the process"), ("1", "snapshot by a copy")):
            os.environ["OPENBLAS_NUM_THREADS"] = prepared
            with Step(steps, step):
                index.snapshot()
        started = SliceIndex(Path(name), dim=made.DIM, model=made.MODEL, threads=threads)
        with Step(steps, "read"):
            started.restore(source.live(), source)
    steps["read"]["bytesPerSlice"] = round(1e6 * steps["read"]["megabytes"] / options.slices)
    return {"slices": options.slices, "queries": options.queries, "dim": made.DIM, "threads": threads, "steps": steps}


def churn(index: SliceIndex, source: Rows, steps: dict[str, Any]) -> None:
    """Take out a tenth of the series and put them in again, as in a month in which they are sent once more."""
    series = [np.array(span[: len(source.rows) - span.start]) for span in made.spans(len(source.rows))]
    chosen = np.random.default_rng(2).choice(len(series), max(1, len(series) // 10), replace=False)
    with Step(steps, "month of churn"):
        for number in chosen:
            index.remove(series[number].tolist())
        for number in chosen:
            index.add(series[number], source.rows[series[number]])


def query(options: Namespace) -> dict[str, Any]:
    """Return the time of whole searches: ten patients but the query's own, without a filter and with some."""
    steps: dict[str, Any] = {}
    with folder_for(options) as folder:
        archive = Archive(folder, options.slices, steps)
        found = searches(archive, options.queries)
        archive.catalogue.close()
    return {"slices": options.slices, "queries": options.queries, "filters": found}


def startup(options: Namespace) -> dict[str, Any]:
    """Return the seconds of each step of a start, before which queries are refused with 503."""
    steps: dict[str, Any] = {}
    with folder_for(options) as folder:
        Archive(folder, options.slices, steps).start(steps)
    return {"slices": options.slices, "steps": steps}


def scale(options: Namespace) -> dict[str, Any]:
    """Return what archives of several sizes cost, and the exponents by which that grows with their size."""
    sizes = sorted({max(made.LENGTHS[-1], options.slices // share) for share in (100, 10, 1)})
    found = []
    for slices in sizes:
        steps: dict[str, Any] = {}
        with folder_for(options, slices) as folder:
            archive = Archive(folder, slices, steps)
            filters = searches(archive, options.queries)
            archive.start(steps)
        found.append({"slices": slices, "steps": steps, "filters": filters})
    return {"sizes": found, "exponents": exponents(found)}


@contextmanager
def folder_for(options: Namespace, slices: int | None = None) -> Iterator[Path]:
    """Have a folder for an archive while the block lasts, or one in --keep that stays."""
    if options.keep is None:
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            yield Path(name)
    else:
        folder = options.keep / str(slices or options.slices)
        folder.mkdir(parents=True, exist_ok=True)
        yield folder


def exponents(found: list[dict[str, Any]]) -> dict[str, float]:
    """Return the slopes of the least squares line through the logarithms of size and cost."""
    sizes = [one["slices"] for one in found]
    costs = {
        "link": [one["steps"]["link"]["processorSeconds"] for one in found],
        "start": [sum(one["steps"][step]["processorSeconds"] for step in STARTING) for one in found],
        **{
            f"query, {name}": [one["filters"][name]["processorMilliseconds"]["p50"] for one in found]
            for name in FILTERS
        },
    }
    return {
        name: round(float(np.polyfit(np.log(sizes), np.log(np.maximum(values, 1e-3)), 1)[0]), 2)
        for name, values in costs.items()
    }


class Archive:
    """A catalogue of made slices with an index over it, linked in random order."""

    def __init__(self, folder: Path, slices: int, steps: dict[str, Any]) -> None:
        """Write and link it, and save the index; or open what a run before left in the folder."""
        self.folder = folder
        self.rows = made.slices(slices)
        self.index = SliceIndex(folder, dim=made.DIM, model=made.MODEL, threads=os.cpu_count() or 1)
        file = folder / BUILT
        if file.exists():
            steps |= self._reopened(json.loads(file.read_text(encoding="utf-8")))
            return
        self.catalogue, self.labels = made.catalogue_of(folder, self.rows)
        with Step(steps, "link"):
            self.index.rebuild(lambda: self.labels, self.catalogue.vectors)
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        with Step(steps, "save"):
            self.index.snapshot()
        file.write_text(json.dumps({"slices": slices, "steps": steps}), encoding="utf-8")

    def _reopened(self, built: dict[str, Any]) -> dict[str, Any]:
        """Open what is there; return what it took to build it. Raises SystemExit if it is another archive."""
        if built["slices"] != len(self.rows):
            raise SystemExit(f"bench.py: {self.folder} holds {built['slices']:,} slices, not {len(self.rows):,}")
        self.catalogue = SqliteCatalogue(self.folder / "catalogue.sqlite")
        self.labels = self.catalogue.live_labels(made.MODEL)
        if (how := self.index.restore(self.labels, self.catalogue.vectors)) != "snapshot":
            raise SystemExit(f"bench.py: {self.folder} holds an index that is of no use ({how}): remove the folder")
        steps: dict[str, Any] = built["steps"]
        return steps

    def start(self, steps: dict[str, Any]) -> None:
        """Open it once more, as Orthanc does when it starts."""
        self.catalogue.close()
        with Step(steps, "check the catalogue"):
            catalogue = SqliteCatalogue(self.folder / "catalogue.sqlite")
        index = SliceIndex(self.folder, dim=made.DIM, model=made.MODEL)
        with Step(steps, "read the index"):
            assert index.restore(catalogue.live_labels(made.MODEL), catalogue.vectors) == "snapshot"
        with Step(steps, "whose slices they are"):
            catalogue.prepare(made.MODEL)
        catalogue.close()


STARTING = ("check the catalogue", "read the index", "whose slices they are")


def searches(archive: Archive, queries: int) -> dict[str, Any]:
    """Return the times of the same queries with each filter, in turn."""
    archive.catalogue.prepare(made.MODEL)
    search = Search(archive.catalogue, archive.index, made.MODEL, None, expand=Settings().query_expansion)
    criteria = {
        name: Criteria(conditions=tuple(filter(None, (parse(key, text) for key, text in some.items()))))
        for name, some in FILTERS.items()
    }
    wall: dict[str, list[float]] = {name: [] for name in FILTERS}
    worked: dict[str, list[float]] = {name: [] for name in FILTERS}
    cases: dict[str, list[int]] = {name: [] for name in FILTERS}
    for place in np.random.default_rng(3).choice(len(archive.rows), queries, replace=False).tolist():
        for name, one in criteria.items():
            start, begun = time.perf_counter(), time.thread_time()
            shown = search.cases(archive.rows[place], made.series_of(place), one, ANYONE)
            worked[name].append(time.thread_time() - begun)
            wall[name].append(time.perf_counter() - start)
            cases[name].append(len(shown))
    return {
        name: {
            "milliseconds": milliseconds(wall[name]),
            "processorMilliseconds": milliseconds(worked[name]),
            "fewestCases": min(cases[name]),
        }
        for name in FILTERS
    }
