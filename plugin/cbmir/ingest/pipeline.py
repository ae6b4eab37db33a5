"""Stages 1 to 3 for a batch of instances: fetch, decode, prepare, embed. Whatever goes wrong becomes an outcome.

While what came of one batch is recorded, the network has the next, and the one after that is read and prepared.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cbmir.errors import CbmirError, NotFound, Unavailable, UnreadableSlice, UnsupportedSlice
from cbmir.failpoints import reach
from cbmir.pixels import prepare, shown_window, sketch
from cbmir.records import Embedded, Settled

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from cbmir.embedding import Embedder
    from cbmir.ingest.reader import Reader
    from cbmir.instance import Instance
    from cbmir.records import Series, Window


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
    """An instance whose frames are on their way through the network; its file is let go of once they are read."""

    orthanc_id: str
    sop_instance_uid: str
    number_of_frames: int
    series: Series
    vectors: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    windows: dict[int, Window] = field(default_factory=dict)
    sketches: dict[int, NDArray[np.uint8]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    failed: bool = False
    memory_ran_out: bool = False

    def leave_out(self, error: CbmirError) -> None:
        """Note why a frame is left out; not the error itself, whose traceback would keep the file in memory."""
        self.left_out.append(str(error))
        if not isinstance(error, UnsupportedSlice):
            self.failed = True


_Square = tuple[_Job, int, "NDArray[np.float32]"]


@dataclass(slots=True)
class _Batch:
    """Squares for the network, and the instances none of whose squares come after these."""

    squares: list[_Square] = field(default_factory=list)
    finished: list[_Job | Outcome] = field(default_factory=list)


class Pipeline:
    """Turns Orthanc ids into outcomes, holding at most three batches of squares and one file in memory."""

    def __init__(self, reader: Reader, embedder: Embedder, batch_size: int) -> None:
        """Take where instances come from and the network they go through."""
        self._reader = reader
        self._embedder = embedder
        self._batch_size = batch_size

    def outcomes(self, orthanc_ids: Iterable[str], *, in_turn: bool = False) -> Generator[Outcome | None]:
        """Yield one outcome for each instance, in any order; None after each batch that the network had.

        The ids are taken on a thread that reads ahead. To close this waits for a frame and a batch at most. `in_turn`:
        a batch is read, embedded and recorded before the next is begun, which takes one core and not two.
        """
        closed = threading.Event()
        with ThreadPoolExecutor(2, "cbmir-ahead") as threads:
            try:
                batches = self._batches(orthanc_ids, closed)
                for batch in map(self._through_network, batches) if in_turn else self._embedded(batches, threads):
                    if batch.squares:
                        yield None
                    for one in batch.finished:
                        yield _outcome(one) if isinstance(one, _Job) else one
            finally:
                closed.set()

    def _embedded(self, batches: Iterator[_Batch], threads: ThreadPoolExecutor) -> Iterator[_Batch]:
        """Yield the batches after the network had them, which has the next by then; of the one after, no more is read.

        A batch is handed from thread to thread whole, and changed by one at a time.
        """
        reading = threads.submit(next, batches, None)
        embedding: Future[_Batch] | None = None
        while (batch := reading.result()) is not None:
            reading = threads.submit(next, batches, None)
            done = embedding.result() if embedding else None
            embedding = threads.submit(self._through_network, batch)
            if done:
                yield done
        if embedding:
            yield embedding.result()

    def _through_network(self, batch: _Batch) -> _Batch:
        if batch.squares:
            self._embed(batch.squares)
        return batch

    def _batches(self, orthanc_ids: Iterable[str], closed: threading.Event) -> Iterator[_Batch]:
        """Yield the prepared frames of the instances, a batch at a time: a file may hold thousands."""
        batch = _Batch()
        for orthanc_id in orthanc_ids:
            opened, squares = self._open(orthanc_id)
            for square in squares:
                if closed.is_set():
                    return
                batch.squares.append(square)
                if len(batch.squares) == self._batch_size:
                    yield batch
                    batch = _Batch()
            batch.finished.append(opened)
            if closed.is_set():
                return
        yield batch

    def _squares(self, job: _Job, instance: Instance) -> Iterator[_Square]:
        """Yield the square of each frame that can be prepared; note why the others cannot."""
        for number in range(1, instance.number_of_frames + 1):
            try:
                image = instance.frame(number)
                square = prepare(image, self._embedder.size)
                if (window := shown_window(image)) is not None:
                    job.windows[number] = window
            except (Unavailable, MemoryError):
                job.memory_ran_out = True
                return
            except CbmirError as error:
                job.leave_out(error)
            except Exception as error:  # noqa: BLE001 - one odd frame must not stop the others
                job.leave_out(UnreadableSlice(f"the frame cannot be prepared ({type(error).__name__})"))
            else:
                job.sketches[number] = sketch(square)
                yield job, number, square

    def _open(self, orthanc_id: str) -> tuple[_Job | Outcome, Iterable[_Square]]:
        """Return an instance with its squares, or what comes of it without any."""
        try:
            instance, series = self._reader.open(orthanc_id)
            reach("fetched")
        except NotFound:
            return Gone(orthanc_id), ()
        except UnsupportedSlice as error:
            return Settled(orthanc_id, "skipped", str(error)), ()
        except UnreadableSlice as error:
            return Settled(orthanc_id, "failed", str(error)), ()
        except CbmirError as error:
            return Postponed(orthanc_id, str(error)), ()
        except Exception as error:  # noqa: BLE001 - one odd instance must not stop the others
            return Postponed(orthanc_id, f"reading failed ({type(error).__name__})"), ()
        job = _Job(orthanc_id, instance.sop_instance_uid, instance.number_of_frames, series)
        return job, self._squares(job, instance)

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
                squares[0][0].leave_out(UnreadableSlice(f"the network refused it ({type(error).__name__})"))
            return
        for (job, number, _), vector in zip(squares, vectors, strict=True):
            job.vectors[number] = vector


def _outcome(job: _Job) -> Outcome:
    left_out = job.left_out
    if job.memory_ran_out:
        return Postponed(job.orthanc_id, "there was not enough memory for it")
    if not job.vectors:
        return Settled(job.orthanc_id, "failed" if job.failed else "skipped", left_out[0])
    return Embedded(
        job.orthanc_id,
        job.sop_instance_uid,
        job.series,
        job.number_of_frames,
        job.vectors,
        f"{len(left_out)} frames left out: {left_out[0]}" if left_out else None,
        job.windows,
        job.sketches,
    )
