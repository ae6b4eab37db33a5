"""Stages 1 to 3 for a batch of instances: fetch, decode, prepare, embed. Whatever goes wrong becomes an outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from cbmir.errors import CbmirError, NotFound, Unavailable, UnreadableSlice, UnsupportedSlice
from cbmir.failpoints import reach
from cbmir.pixels import prepare, shown_window, sketch
from cbmir.records import Embedded, Settled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from cbmir.embedding import Embedder
    from cbmir.ingest.reader import Reader
    from cbmir.instance import Instance
    from cbmir.records import Series, Window

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Gone:
    """The archive no longer has the instance."""

    orthanc_id: str


@dataclass(frozen=True, slots=True)
class Postponed:
    """Something failed that may pass: the file could not be fetched, memory ran out."""

    orthanc_id: str
    reason: str


Outcome = Embedded | Gone | Settled | Postponed


@dataclass(slots=True)
class _Job:
    """An instance whose frames are on their way through the network."""

    orthanc_id: str
    instance: Instance
    series: Series
    vectors: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    windows: dict[int, Window] = field(default_factory=dict)
    sketches: dict[int, NDArray[np.uint8]] = field(default_factory=dict)
    left_out: list[CbmirError] = field(default_factory=list)
    read: bool = False
    memory_ran_out: bool = False


_Square = tuple[_Job, int, "NDArray[np.float32]"]


class Pipeline:
    """Turns Orthanc ids into outcomes, holding at most one batch of squares in memory."""

    def __init__(self, reader: Reader, embedder: Embedder, batch_size: int) -> None:
        """Take where instances come from and the network they go through."""
        self._reader = reader
        self._embedder = embedder
        self._batch_size = batch_size

    def outcomes(self, orthanc_ids: Iterable[str]) -> Iterator[Outcome | None]:
        """Yield one outcome for each instance, in any order; None after each batch that finished none."""
        jobs: list[_Job] = []
        settled: list[Outcome] = []
        for squares in _batched(self._squares(orthanc_ids, jobs, settled), self._batch_size):
            self._embed(squares)
            yield None
            for job in [job for job in jobs if job.read]:
                jobs.remove(job)
                yield _outcome(job)
        yield from map(_outcome, jobs)
        yield from settled

    def _squares(self, orthanc_ids: Iterable[str], jobs: list[_Job], settled: list[Outcome]) -> Iterator[_Square]:
        """Yield the prepared frames of the instances one at a time: a file may hold thousands."""
        for orthanc_id in orthanc_ids:
            opened = self._open(orthanc_id)
            if not isinstance(opened, _Job):
                settled.append(opened)
                continue
            jobs.append(opened)
            for number in range(1, opened.instance.number_of_frames + 1):
                try:
                    image = opened.instance.frame(number)
                    square = prepare(image, self._embedder.size)
                    if (window := shown_window(image)) is not None:
                        opened.windows[number] = window
                except (Unavailable, MemoryError):
                    opened.memory_ran_out = True
                    break
                except CbmirError as error:
                    opened.left_out.append(error)
                except Exception as error:  # noqa: BLE001 - one odd frame must not stop the others
                    opened.left_out.append(UnreadableSlice(f"the frame cannot be prepared ({type(error).__name__})"))
                else:
                    opened.sketches[number] = sketch(square)
                    yield opened, number, square
            opened.read = True

    def _open(self, orthanc_id: str) -> _Job | Outcome:
        try:
            job = _Job(orthanc_id, *self._reader.open(orthanc_id))
            reach("fetched")
        except NotFound:
            return Gone(orthanc_id)
        except UnsupportedSlice as error:
            return Settled(orthanc_id, "skipped", str(error))
        except UnreadableSlice as error:
            return Settled(orthanc_id, "failed", str(error))
        except CbmirError as error:
            return Postponed(orthanc_id, str(error))
        except Exception as error:  # noqa: BLE001 - one odd instance must not stop the others
            return Postponed(orthanc_id, f"reading failed ({type(error).__name__})")
        return job

    def _embed(self, squares: list[_Square]) -> None:
        """Give each job its vectors; if the batch fails, slice by slice, so that only the poisoned one does."""
        try:
            vectors = self._embedder.embed(np.stack([square for _, _, square in squares]))
            reach("embedded")
        except Exception as error:  # noqa: BLE001 - out of memory, a slice the network cannot take
            if len(squares) > 1:
                for one in squares:
                    self._embed([one])
            else:
                squares[0][0].left_out.append(UnreadableSlice(f"the network refused it ({type(error).__name__})"))
            return
        for (job, number, _), vector in zip(squares, vectors, strict=True):
            job.vectors[number] = vector


def _outcome(job: _Job) -> Outcome:
    left_out = job.left_out
    if job.memory_ran_out:
        return Postponed(job.orthanc_id, "there was not enough memory for it")
    if not job.vectors:
        skipped = all(isinstance(error, UnsupportedSlice) for error in left_out)
        return Settled(job.orthanc_id, "skipped" if skipped else "failed", str(left_out[0]))
    return Embedded(
        job.orthanc_id,
        job.instance.sop_instance_uid,
        job.series,
        job.instance.number_of_frames,
        job.vectors,
        f"{len(left_out)} frames left out: {left_out[0]}" if left_out else None,
        job.windows,
        job.sketches,
    )


def _batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
