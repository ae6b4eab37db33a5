"""What an index finds of what comparing with everything finds, and what it takes to keep it: linked, grown, worn."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cbmir.index import SliceIndex
from cbmir.search import FIRST_FETCH
from measuring import made
from measuring.indexes import Archive, folder_for
from measuring.steps import Step, milliseconds

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from cbmir.store.protocols import VectorIndex

K = 10
ARRIVING, SENT_AGAIN = 0.2, 0.05
"""Shares of the archive: together just below what is let stand unshuffled before the index is built anew."""

THREADS = os.cpu_count() or 1

UNSEEN = 10_000
"""Slices that are asked about and not stored, of series that are not stored."""


class Truth:
    """Slices with the labels they have now, and queries: half of them of stored slices, half of others."""

    def __init__(self, archive: Archive, unseen: NDArray[np.float32]) -> None:
        """Take an archive, and (n, DIM) rows of series that are never stored."""
        self.labels, self.rows = archive.labels, archive.rows
        self._catalogue = archive.catalogue
        self._first_new = int(self.labels.max()) + 1
        self._next = self._first_new
        self._new: dict[int, NDArray[np.float32]] = {}
        self._unseen = unseen

    def labelled(self, rows: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return labels for slices that come, which were never used."""
        labels = np.arange(len(rows)) + self._next
        self._next += len(rows)
        self._new.update(zip(labels.tolist(), rows, strict=True))
        return labels

    def vectors(self, labels: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield the vectors of these labels, from the catalogue as far as they are there."""
        yield from self._catalogue.vectors(labels[labels < self._first_new])
        if len(new := labels[labels >= self._first_new]):
            yield new, np.stack([self._new[label] for label in new.tolist()])

    def put_to(self, index: VectorIndex, queries: int) -> dict[str, Any]:
        """Return what share of the ten nearest an index finds, and its time and that of comparing with all.

        It is asked for as many as a search for ten cases asks for first.
        """
        random = np.random.default_rng(1)
        stored = self.rows[random.choice(len(self.rows), queries // 2, replace=False)]
        others = self._unseen[random.choice(len(self._unseen), queries - len(stored), replace=False)]
        exact, seconds, found = [], [], []
        for vector in np.concatenate([stored, others]):
            start = time.perf_counter()
            nearest = np.argpartition(-(self.rows @ vector), K)[:K]
            compared = time.perf_counter()
            labels = index.search(vector, FIRST_FETCH * K)[0][:K]
            seconds.append(time.perf_counter() - compared)
            exact.append(compared - start)
            found.append(np.isin(self.labels[nearest], labels).mean())
        return {
            "recallAt10": round(float(np.mean(found)), 4),
            "recallAt10OfStored": round(float(np.mean(found[: len(stored)])), 4),
            "recallAt10OfUnseen": round(float(np.mean(found[len(stored) :])), 4),
            "milliseconds": milliseconds(seconds),
            "exactMilliseconds": milliseconds(exact),
        }


def measure(options: Namespace) -> dict[str, Any]:
    """Return what an index takes to link, grow, wear, save and read, and what it finds in each state."""

    def empty(folder: Path, _truth: Truth) -> SliceIndex:
        return SliceIndex(folder, dim=made.DIM, model=made.MODEL, threads=THREADS)

    return _measured(options, empty)


def compressed(options: Namespace) -> dict[str, Any]:
    """Return the same of an index of compressed vectors, whose nearest are compared in full."""
    try:
        from cbmir.compressed import CompressedIndex  # noqa: PLC0415 - needs a package that few have
    except ImportError:
        raise SystemExit("bench.py: compressed needs a package of its own: scripts/setup --compressed") from None

    def empty(folder: Path, truth: Truth) -> SliceIndex:
        return CompressedIndex(folder, dim=made.DIM, model=made.MODEL, vectors=truth.vectors, threads=THREADS)

    return _measured(options, empty)


def _measured(options: Namespace, empty: Callable[[Path, Truth], SliceIndex]) -> dict[str, Any]:
    """Return the figures of such indexes as `empty` makes."""
    steps: dict[str, Any] = {}
    arriving = int(ARRIVING * options.slices)
    every = made.slices(options.slices + arriving + UNSEEN)
    with folder_for(options) as kept, tempfile.TemporaryDirectory(prefix="finding-") as name:
        archive = Archive(kept, options.slices, steps)
        truth = Truth(archive, every[-UNSEEN:])
        # it stays until the other is read, which then takes memory of its own
        linked = empty(Path(name), truth)
        if type(linked) is type(archive.index):
            for file in archive.folder.glob("index*"):
                shutil.copy(file, name)
        else:
            with Step(steps, "link"):
                linked.rebuild(lambda: archive.labels, archive.catalogue.vectors)
            with Step(steps, "save"):
                linked.snapshot()
        index = empty(Path(name), truth)
        with Step(steps, "read"):
            assert index.restore(truth.labels, truth.vectors) == "snapshot"
        del linked
        steps["read"]["bytesPerSlice"] = round(1e6 * steps["read"]["megabytes"] / options.slices)
        steps["link"] |= truth.put_to(index, options.queries)
        with Step(steps, "more arrive"):
            _arrive(index, truth, every[options.slices : options.slices + arriving])
        steps["more arrive"]["addedMilliseconds"] = round(1000 * steps["more arrive"]["seconds"] / arriving, 3)
        steps["more arrive"] |= truth.put_to(index, options.queries)
        with Step(steps, "a month of churn"):
            _churn(index, truth)
        steps["a month of churn"] |= truth.put_to(index, options.queries)
        archive.catalogue.close()
    return {"slices": options.slices, "arriving": arriving, "queries": options.queries, "dim": made.DIM, "steps": steps}


def _arrive(index: SliceIndex, truth: Truth, rows: NDArray[np.float32]) -> None:
    """Add slices as a PACS receives them, series by series."""
    labels = truth.labelled(rows)
    for span in made.spans(len(rows)):
        some = slice(span.start, min(span.stop, len(rows)))
        index.add(labels[some], rows[some])
    truth.labels, truth.rows = np.concatenate([truth.labels, labels]), np.concatenate([truth.rows, rows])


def _churn(index: SliceIndex, truth: Truth) -> None:
    """Take out series and put them in again under new labels, as when they are sent once more."""
    series = made.spans(len(truth.rows))[:-1]
    for number in np.random.default_rng(2).choice(len(series), int(SENT_AGAIN * len(series)), replace=False):
        places = np.array(series[number])
        index.remove(truth.labels[places].tolist())
        truth.labels[places] = truth.labelled(truth.rows[places])
        index.add(truth.labels[places], truth.rows[places])
