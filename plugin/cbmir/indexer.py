"""The write path: one worker thread drives stages 1 to 5 and keeps the catalogue equal to the archive."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from cbmir.errors import CatalogueDamaged, Unavailable
from cbmir.ingest.change import Change
from cbmir.ingest.filling import Filling
from cbmir.ingest.inbox import QUEUE_LIMIT
from cbmir.ingest.own_labels import OwnLabels
from cbmir.ingest.rebuilding import Rebuilding
from cbmir.watching.memory import Memory
from cbmir.watching.selfcheck import SelfChecks
from cbmir.watching.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from numpy.typing import NDArray

    from cbmir.archive import Archive
    from cbmir.catalogue import Catalogue
    from cbmir.ingest.inbox import Inbox, Kind, Progress
    from cbmir.ingest.spaces import Space, Spaces
    from cbmir.records import Settled
    from cbmir.settings import Settings

T = TypeVar("T")

BATCHES_AT_A_TIME = (4, 16)
"""Fewest and most batches between two looks at the queue of events: the network waits for the first to be read, and
what records for the last to come out of it."""

TURN_SECONDS = 1.0
"""How long the batches between two such looks may take, where they are more than the fewest."""

RECONCILE_SECONDS = 24 * 3600.0
HOUSEKEEPING_SECONDS = 5.0
IDLE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 15.0
"""Between two tries of what fails."""

HOLD_UP_SECONDS = 0.25
"""Between two looks at the queue while a burst holds up the indexing."""


class Indexer:
    """Takes events from the inbox, and brings archive, catalogue and index into agreement, on one thread."""

    def __init__(  # noqa: PLR0913 - the stages it drives
        self,
        archive: Archive,
        catalogue: Catalogue,
        spaces: Spaces,
        *,
        settings: Settings,
        inbox: Inbox,
        progress: Progress,
        log: Callable[[str], None],
        switched: Callable[[Space], None] = lambda _: None,
    ) -> None:
        """Take the stages, and what is to be told when another space answers; nothing happens until `run`."""
        self._archive = archive
        self._catalogue = catalogue
        self._spaces = spaces
        self._settings = settings
        self._inbox = inbox
        self._progress = progress
        self._log = log
        self._switched = switched
        self._unapplied: list[tuple[Kind, str]] = []
        self._snapshot_trouble: str | None = None
        self._filling = Filling(
            catalogue,
            spaces,
            inbox=inbox,
            progress=progress,
            stoppable=self._stoppable,
            fetch_labels=self._fetch_labels,
            forget=self._forget,
        )
        self._own_labels = OwnLabels(archive, catalogue)
        self._rebuilding = Rebuilding(catalogue, inbox.closed, log)
        self._change = Change(catalogue, spaces, self._filling, self._answer_with)
        self._checks = self._new_checks()
        self._memory = Memory()

    def run(self) -> None:
        """Index until the inbox is closed. No failure but one ends the loop.

        Raises
        ------
        CatalogueDamaged
            There is nothing to write into any more.

        """
        self._inbox.overflowed.set()
        reconciled = snapshot = time.monotonic()
        housekeeping = -math.inf
        busy, pause = True, IDLE_SECONDS
        while not self._inbox.closed.is_set():
            now = self._progress.beat = time.monotonic()
            try:
                self._catalogue.sign_of_life(self._spaces.models())
                if self._spaces.is_behind(self._spaces.answering):
                    self.restore()
                self._absorb(0 if busy else IDLE_SECONDS)
                if self._inbox.overflowed.is_set() or now - reconciled > RECONCILE_SECONDS:
                    self._reconcile()
                    reconciled = now
                busy = self._held_up() or self._index_next() or self._change_next()
                if not busy:
                    self._fetch_labels(self._own_labels.changed())
                    self._check()
                if now - housekeeping > HOUSEKEEPING_SECONDS:
                    self._publish()
                    self._maintain()
                    self._memory.run_due()
                    housekeeping = now
                if now - snapshot > 60 * self._settings.snapshot_minutes:
                    snapshot = now
                    self._snapshot()
                self._progress.trouble = self._snapshot_trouble or self._change.trouble or self._spaces.trouble
                self._require_sound()
                pause = IDLE_SECONDS
            except Exception as error:  # noqa: BLE001 - a full disk or a locked catalogue may pass
                self._require_sound(error)
                busy = False
                self._report(error)
                self._inbox.closed.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        self._rebuilding.wait()
        self._snapshot()

    def restore(self) -> None:
        """Fill the index that answers from its snapshot and the catalogue."""
        self._restore(self._spaces.answering)
        self._progress.change = self._change.state()

    def _restore(self, space: Space) -> None:
        how = self._spaces.restore(space, self._catalogue.live_labels(space.model), self._vectors)
        if how != "snapshot":
            self._checks.index_rebuilt()
            self._log(f"the index was {how}")

    def _new_checks(self) -> SelfChecks:
        answering = self._spaces.answering
        return SelfChecks(Watched(self._catalogue, answering.index, answering.model, self._progress, self._stoppable))

    def _require_sound(self, error: Exception | None = None) -> None:
        """Raise CatalogueDamaged if this error is a sign of it, or if there was one before, here or in an answer."""
        if error is not None and isinstance(self._catalogue.explained(error), CatalogueDamaged):
            self._progress.damaged = True
        if self._progress.damaged:
            raise CatalogueDamaged

    def _report(self, error: Exception) -> None:
        """Say what interrupts the work: once in the log, and in the status until it passes."""
        # only messages of our own are known to name nobody
        reason = str(error) if isinstance(error, Unavailable) else type(error).__name__
        trouble = f"indexing is interrupted ({reason}); it is tried again"
        if self._progress.trouble != trouble:
            self._log(trouble)
        self._progress.trouble = trouble

    def _absorb(self, seconds: float) -> None:
        """Write the waiting events into the catalogue: from then on a crash cannot lose them."""
        self._unapplied += self._inbox.take(seconds)
        if len(self._unapplied) > QUEUE_LIMIT:
            # the catalogue has taken none for long; once it does, a reconciliation finds them
            self._unapplied = []
            self._inbox.overflowed.set()
        if not self._unapplied:
            return
        if self._progress.waiting_since is None:
            self._progress.waiting_since = time.monotonic()
        last = {orthanc_id: kind for kind, orthanc_id in self._unapplied if kind != "labelled"}
        # overwriting an instance reports it as stored and then as deleted: only the archive knows
        deleted = set(self._archive.gone(orthanc_id for orthanc_id, kind in last.items() if kind == "deleted"))
        self._spaces.remove(self._catalogue.enqueue(one for one in last if one not in deleted))
        self._forget(deleted)
        for orthanc_id in last:
            self._filling.changed(orthanc_id)
            self._change.changed(orthanc_id)
        self._fetch_labels({orthanc_id for kind, orthanc_id in self._unapplied if kind == "labelled"})
        self._unapplied = []

    def _forget(self, orthanc_ids: Collection[str]) -> None:
        """Remove instances that the archive no longer has."""
        self._spaces.remove(self._catalogue.forget(orthanc_ids))
        if self._catalogue.shared:
            # one that another node stored again meanwhile was forgotten with the one before
            self._catalogue.enqueue_new(set(orthanc_ids).difference(self._archive.gone(orthanc_ids)))

    def _fetch_labels(self, orthanc_ids: Iterable[str]) -> None:
        """Bring the labels of known studies, series and instances up to date."""
        for orthanc_id, level in self._stoppable(self._catalogue.levels(orthanc_ids).items()):
            self._catalogue.set_labels(orthanc_id, self._archive.labels(level, orthanc_id))

    def _reconcile(self) -> None:
        """Make pending what the archive has and the catalogue has not; forget what the archive no longer has."""
        self._inbox.overflowed.clear()
        try:
            unseen = self._catalogue.orthanc_ids()
            known = frozenset(unseen)
            for page in self._stoppable(self._archive.instances()):
                if missing := [orthanc_id for orthanc_id in page if orthanc_id not in known]:
                    self._catalogue.enqueue_new(missing)
                unseen.difference_update(page)
            if self._inbox.closed.is_set():
                return
            self._forget(list(self._stoppable(self._archive.gone(unseen))))
            if self._spaces.answering.pipeline is not None:
                self._catalogue.reopen_lacking(self._spaces.answering.model)
            self._change.begin_anew()
            self._fetch_labels(self._catalogue.parents() | self._catalogue.labelled())
        except Exception:
            self._inbox.overflowed.set()
            raise
        self._progress.reconciled = True

    def _held_up(self) -> bool:
        """Return whether images arrive in a burst, after waiting a little if so."""
        return self._inbox.bursts.hold_up() and not self._inbox.closed.wait(HOLD_UP_SECONDS)

    def _index_next(self) -> bool:
        """Index the newest pending instances. Return whether there were any."""
        postponed = self._filling.postponed()
        batch = self._catalogue.claim(self._most(), without=postponed)
        if batch and self._progress.waiting_since is None:
            self._progress.waiting_since = time.monotonic()
        if not batch:
            self._progress.per_second = 0.0
            if not postponed:
                self._progress.waiting_since = None
            return False
        self._filling.fill(self._spaces.writing, batch, self._settle)
        return True

    def _most(self) -> int:
        """Return how many instances may be begun before the next look at the queue of events."""
        fewest, most = BATCHES_AT_A_TIME
        in_time = int(TURN_SECONDS * self._progress.per_second / self._settings.batch_size)
        return min(max(fewest, in_time), most) * self._settings.batch_size

    def _settle(self, settled: Settled) -> None:
        self._spaces.remove(self._catalogue.settle(settled.orthanc_id, settled.state, settled.reason))

    def _change_next(self) -> bool:
        """Bring a change of model forward. Return whether there is more to do."""
        incoming = self._spaces.incoming
        if incoming is not None and self._spaces.is_behind(incoming):
            self._restore(incoming)
        goes_on = self._change.go_on(self._most())
        self._progress.change = self._change.state()
        return goes_on

    def _answer_with(self, before: Space, space: Space) -> None:
        """Have another space answer from now on."""
        self._switched(space)
        self._checks = self._new_checks()
        self._log(f"{space.model} answers instead of {before.model}, with {len(space.index)} slices")
        self._snapshot()

    # ---- the indexes ----

    def _vectors(self, labels: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield the vectors of these labels; those that were damaged on the disk are made anew."""
        found = [np.empty(0, np.int64)]
        for some, rows in self._stoppable(self._catalogue.vectors(labels)):
            found.append(some)
            yield some, rows
        if not self._inbox.closed.is_set():
            self._make_anew(np.setdiff1d(labels, np.concatenate(found)))

    def _make_anew(self, lost: NDArray[np.int64]) -> None:
        """Have instances embedded once more whose vectors were damaged on the disk."""
        if len(lost):
            self._log(f"{len(lost)} vectors in the catalogue are damaged, and made anew")
            self._catalogue.reopen_slices(lost.tolist())

    def _maintain(self) -> None:
        """Have worn indexes rebuilt, and save those that were."""
        lost = self._rebuilding.outcome()
        if lost is not None:
            # what was deleted while the index was rebuilt is not lost
            self._make_anew(np.intersect1d(lost, self._live_labels()) if len(lost) else lost)
            self._checks.index_rebuilt()
            self._snapshot()
        for space in self._spaces:
            if space.index.worn:
                self._rebuilding.begin(space)

    def _live_labels(self) -> NDArray[np.int64]:
        """Return the labels of what all spaces hold."""
        return np.concatenate([self._catalogue.live_labels(space.model) for space in self._spaces])

    def _check(self) -> None:
        """Look into the quality of index and answers. It only informs: a failure interrupts nothing."""
        try:
            self._checks.run_due()
        except Exception as error:  # noqa: BLE001 - as in run
            self._require_sound(error)
            self._log(f"a self-check failed ({type(error).__name__})")

    def _snapshot(self) -> None:
        """Save the indexes that changed. If that fails, the earlier snapshot and the catalogue are still good."""
        for index in [space.index for space in self._spaces if space.index.changes_since_snapshot]:
            try:
                index.snapshot(at_the_end=self._inbox.closed.is_set())
            except OSError as error:
                reason = type(error).__name__
                self._snapshot_trouble = f"the index snapshot cannot be written ({reason}); the earlier one is kept"
                self._log(self._snapshot_trouble)
            else:
                self._snapshot_trouble = None

    def _publish(self) -> None:
        for state, number in self._catalogue.counts().items():
            self._archive.metric(f"cbmir_instances_{state}", number)
        self._archive.metric("cbmir_slices", len(self._spaces.answering.index))
        self._archive.metric("cbmir_lag_seconds", self._progress.lag_seconds())
        for name, value in self._checks.metrics().items():
            self._archive.metric(name, value)

    def _stoppable(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items until the worker is told to stop, with a sign of life for each."""
        for item in items:
            if self._inbox.closed.is_set():
                return
            self._progress.beat = time.monotonic()
            yield item
