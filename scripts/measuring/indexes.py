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


BUILT = "built.json"
"""In the folder of an archive that is kept: how many slices, and what it took."""
FAR = 100_000_000
"""Slices up to which growth is carried on."""
FILTERS = {"none": {}, "modality": {"Modality": "MR"}, "a hundredth": {"BodyPartExamined": "PART7"}}


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
    return {"sizes": found, "growth": growth(found)}


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


def growth(found: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the slopes of the least squares lines through the logarithms of size and cost, and where they lead.

    `atFar` is the cost of the largest archive that was measured, carried on to FAR slices by the slope.
    """
    sizes = [one["slices"] for one in found]
    costs = {
        "link, seconds of processor": [one["steps"]["link"]["processorSeconds"] for one in found],
        "start, seconds of processor": [
            sum(one["steps"][step]["processorSeconds"] for step in STARTING) for one in found
        ],
        "index in memory, MB": [one["steps"]["read the index"]["megabytes"] for one in found],
        **{
            f"query, filter: {name}, ms of processor": [
                one["filters"][name]["processorMilliseconds"]["p50"] for one in found
            ]
            for name in FILTERS
        },
    }
    told = {}
    for name, values in costs.items():
        exponent = float(np.polyfit(np.log(sizes), np.log(np.maximum(values, 1e-3)), 1)[0])
        told[name] = {"exponent": round(exponent, 2), "atFar": round(values[-1] * (FAR / sizes[-1]) ** exponent, 1)}
    return told


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
