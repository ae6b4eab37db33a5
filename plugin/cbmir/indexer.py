"""The write path: one worker thread drives stages 1 to 5 and keeps the catalogue equal to the archive."""

from __future__ import annotations

import contextlib
import itertools
import time
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from cbmir.errors import NotFound, Unavailable
from cbmir.failpoints import reach
from cbmir.pipeline import Gone, Postponed, Settled
from cbmir.records import Embedded
from cbmir.selfcheck import SelfChecks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from cbmir.archive import Archive
    from cbmir.catalogue import Catalogue
    from cbmir.inbox import Inbox, Kind, Progress
    from cbmir.index import SliceIndex
    from cbmir.pipeline import Outcome, Pipeline
    from cbmir.settings import Settings

T = TypeVar("T")

RETRY_AFTER_SECONDS = (2.0, 10.0)
"""Pauses before an instance is tried again; after the last it is parked as failed."""

BATCHES_AT_A_TIME = 4
"""Batches between two looks at the queue of events."""

RECONCILE_SECONDS = 24 * 3600.0
HOUSEKEEPING_SECONDS = 5.0
IDLE_SECONDS = 1.0
HOLD_UP_SECONDS = 0.25
"""Between two looks at the queue while a burst holds up the indexing."""


class Indexer:
    """Takes events from the inbox, and brings archive, catalogue and index into agreement, on one thread."""

    def __init__(  # noqa: PLR0913 - the stages it drives
        self,
        archive: Archive,
        catalogue: Catalogue,
        index: SliceIndex,
        pipeline: Pipeline,
        *,
        model: str,
        settings: Settings,
        inbox: Inbox,
        progress: Progress,
        log: Callable[[str], None],
    ) -> None:
        """Take the stages; nothing happens until `run`."""
        self._archive = archive
        self._catalogue = catalogue
        self._index = index
        self._pipeline = pipeline
        self._model = model
        self._settings = settings
        self._inbox = inbox
        self._progress = progress
        self._log = log
        self._unapplied: list[tuple[Kind, str]] = []
        self._attempts: dict[str, tuple[int, float]] = {}
        self._in_step = False
        self._snapshot_trouble: str | None = None
        self._checks = SelfChecks(catalogue, index, model=model, progress=progress, stoppable=self._stoppable)

    def run(self) -> None:
        """Index until the inbox is closed. No failure ends the loop."""
        self._inbox.overflowed.set()
        housekeeping = reconciled = snapshot = time.monotonic()
        busy = True
        while not self._inbox.closed.is_set():
            now = self._progress.beat = time.monotonic()
            try:
                if not self._in_step:
                    self.restore()
                self._absorb(0 if busy else IDLE_SECONDS)
                if self._inbox.overflowed.is_set() or now - reconciled > RECONCILE_SECONDS:
                    self._reconcile()
                    reconciled = now
                busy = self._held_up() or self._index_next()
                if not busy:
                    self._check()
                if now - housekeeping > HOUSEKEEPING_SECONDS:
                    self._publish()
                    housekeeping = now
                if now - snapshot > 60 * self._settings.snapshot_minutes:
                    snapshot = now
                    self._maintain()
                self._progress.trouble = self._snapshot_trouble
            except Exception as error:  # noqa: BLE001 - a full disk or a locked catalogue may pass
                busy = False
                self._report(error)
                self._inbox.closed.wait(IDLE_SECONDS)
        self._snapshot()

    def restore(self) -> None:
        """Fill the index from its snapshot and the catalogue."""
        how = self._index.restore(self._catalogue.live_labels(self._model), self._vectors)
        self._in_step = True
        if how != "snapshot":
            self._checks.index_rebuilt()
            self._log(f"the index was {how}")

    def _report(self, error: Exception) -> None:
        """Say what interrupts the work: once in the log, and in the status until it passes."""
        trouble = f"indexing is interrupted ({type(error).__name__}); it is tried again"
        if self._progress.trouble != trouble:
            self._log(trouble)
        self._progress.trouble = trouble

    def _absorb(self, seconds: float) -> None:
        """Write the waiting events into the catalogue: from then on a crash cannot lose them."""
        self._unapplied += self._inbox.take(seconds)
        if not self._unapplied:
            return
        if self._progress.waiting_since is None:
            self._progress.waiting_since = time.monotonic()
        last = {orthanc_id: kind for kind, orthanc_id in self._unapplied if kind != "labelled"}
        # overwriting an instance reports it as stored and then as deleted: only the archive knows
        stored = [orthanc_id for orthanc_id, kind in last.items() if kind == "stored" or self._exists(orthanc_id)]
        deleted = last.keys() - set(stored)
        self._remove(self._catalogue.enqueue(stored))
        self._remove(self._catalogue.forget(deleted))
        for orthanc_id in last:
            self._attempts.pop(orthanc_id, None)
        self._fetch_labels({orthanc_id for kind, orthanc_id in self._unapplied if kind == "labelled"})
        self._unapplied = []

    def _exists(self, orthanc_id: str) -> bool:
        """Return whether the archive still has an instance; where it cannot say, reading it will tell."""
        try:
            self._archive.instance(orthanc_id)
        except NotFound:
            return False
        except Unavailable:
            return True
        return True

    def _fetch_labels(self, orthanc_ids: Iterable[str]) -> None:
        """Bring the labels of known studies and series up to date."""
        for orthanc_id in self._stoppable(self._catalogue.known_parents(orthanc_ids)):
            labels = self._archive.labels("studies", orthanc_id) or self._archive.labels("series", orthanc_id)
            self._catalogue.set_labels(orthanc_id, labels)

    def _reconcile(self) -> None:
        """Make pending what the archive has and the catalogue has not; forget what the archive no longer has."""
        self._inbox.overflowed.clear()
        try:
            unseen = self._catalogue.orthanc_ids()
            known = frozenset(unseen)
            for page in self._stoppable(self._archive.instances()):
                if missing := [orthanc_id for orthanc_id in page if orthanc_id not in known]:
                    self._catalogue.enqueue(missing)
                unseen.difference_update(page)
            if self._inbox.closed.is_set():
                return
            gone = [orthanc_id for orthanc_id in self._stoppable(unseen) if not self._exists(orthanc_id)]
            self._remove(self._catalogue.forget(gone))
            self._catalogue.reopen_other_models(self._model)
            self._fetch_labels(self._catalogue.parents())
        except Exception:
            self._inbox.overflowed.set()
            raise
        self._progress.reconciled = True

    def _held_up(self) -> bool:
        """Return whether images arrive in a burst, after waiting a little if so."""
        return self._inbox.bursts.hold_up() and not self._inbox.closed.wait(HOLD_UP_SECONDS)

    def _index_next(self) -> bool:
        """Index the newest pending instances. Return whether there were any."""
        start = time.monotonic()
        postponed = {orthanc_id for orthanc_id, (_, not_before) in self._attempts.items() if not_before > start}
        batch = self._catalogue.pending(BATCHES_AT_A_TIME * self._settings.batch_size, without=postponed)
        if batch and self._progress.waiting_since is None:
            self._progress.waiting_since = start
        if not batch:
            self._progress.per_second = 0.0
            if not postponed:
                self._progress.waiting_since = None
            return False
        done = 0
        begun = itertools.takewhile(lambda _: not self._inbox.bursts.hold_up(), batch)
        for outcome in self._stoppable(self._pipeline.outcomes(begun)):
            if outcome is not None:
                self._conclude(outcome)
                done += 1
        rate = done / max(1e-6, time.monotonic() - start)
        self._progress.per_second = 0.8 * self._progress.per_second + 0.2 * rate if self._progress.per_second else rate
        return True

    def _conclude(self, outcome: Outcome) -> None:
        """Write an instance's outcome to the catalogue, then to the index."""
        attempt, _ = self._attempts.pop(outcome.orthanc_id, (0, 0.0))
        match outcome:
            case Embedded():
                self._keep(outcome)
            case Gone(orthanc_id):
                self._remove(self._catalogue.forget([orthanc_id]))
            case Settled(orthanc_id, state, reason):
                self._remove(self._catalogue.settle(orthanc_id, state, reason))
            case Postponed(orthanc_id, _) if attempt < len(RETRY_AFTER_SECONDS):
                self._attempts[orthanc_id] = attempt + 1, time.monotonic() + RETRY_AFTER_SECONDS[attempt]
            case Postponed(orthanc_id, reason):
                self._remove(self._catalogue.settle(orthanc_id, "failed", reason))

    def _keep(self, embedded: Embedded) -> None:
        parents = {embedded.series.study_orthanc_id, embedded.series.orthanc_id}
        new = parents.difference(self._catalogue.known_parents(parents))
        came, gone = self._catalogue.record(embedded, self._model)
        with self._keeping_step():
            self._index.remove(gone)
            if came:
                reach("before-index")
                self._index.add(np.array(came, np.int64), np.stack(list(embedded.vectors.values())))
        self._fetch_labels(new)

    def _remove(self, labels: list[int]) -> None:
        with self._keeping_step():
            self._index.remove(labels)

    @contextlib.contextmanager
    def _keeping_step(self) -> Iterator[None]:
        """Have the index restored if changing it fails: the catalogue is ahead of it then."""
        try:
            yield
        except Exception:
            self._in_step = False
            raise

    def _vectors(self, labels: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        return self._stoppable(self._catalogue.vectors(labels))

    def _maintain(self) -> None:
        """Rebuild a worn index, and save it."""
        if self._index.worn:
            self._index.rebuild(self._catalogue.live_labels(self._model), self._vectors)
            self._checks.index_rebuilt()
        self._snapshot()

    def _check(self) -> None:
        """Look into the quality of index and answers. It only informs: a failure interrupts nothing."""
        try:
            self._checks.run_due()
        except Exception as error:  # noqa: BLE001 - as in run
            self._log(f"a self-check failed ({type(error).__name__})")

    def _snapshot(self) -> None:
        """Save the index if it changed. If that fails, the earlier snapshot and the catalogue are still good."""
        if not self._index.changes_since_snapshot:
            return
        try:
            self._index.snapshot()
        except OSError as error:
            reason = type(error).__name__
            self._snapshot_trouble = f"the index snapshot cannot be written ({reason}); the earlier one is kept"
            self._log(self._snapshot_trouble)
        else:
            self._snapshot_trouble = None

    def _publish(self) -> None:
        for state, number in self._catalogue.counts().items():
            self._archive.metric(f"cbmir_instances_{state}", number)
        self._archive.metric("cbmir_slices", len(self._index))
        self._archive.metric("cbmir_lag_seconds", self._progress.lag_seconds())

    def _stoppable(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items until the worker is told to stop, with a sign of life for each."""
        for item in items:
            if self._inbox.closed.is_set():
                return
            self._progress.beat = time.monotonic()
            yield item
