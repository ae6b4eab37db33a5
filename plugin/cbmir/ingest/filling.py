"""Instances through a model's pipeline into the catalogue and the model's index; what may pass is tried again."""

from __future__ import annotations

import contextlib
import itertools
import time
from typing import TYPE_CHECKING

import numpy as np

from cbmir.ingest.pipeline import Gone, Postponed
from cbmir.records import Embedded, Settled

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from cbmir.catalogue import Catalogue
    from cbmir.ingest.inbox import Inbox, Progress
    from cbmir.ingest.pipeline import Outcome
    from cbmir.ingest.spaces import Space, Spaces

    Settle = Callable[[Settled], None]
    Stoppable = Callable[[Iterable[Outcome | None]], Iterator[Outcome | None]]

RETRY_AFTER_SECONDS = (2.0, 10.0)
"""Pauses before an instance is tried again; after the last it is parked as failed."""


class Filling:
    """Fills spaces, on the worker's thread."""

    def __init__(  # noqa: PLR0913 - what it stands between
        self,
        catalogue: Catalogue,
        spaces: Spaces,
        *,
        inbox: Inbox,
        progress: Progress,
        stoppable: Stoppable,
        fetch_labels: Callable[[Iterable[str]], None],
        forget: Callable[[Collection[str]], None],
    ) -> None:
        """Take what is filled, what ends or holds up the work, and what asks for labels of new series or forgets."""
        self._catalogue = catalogue
        self._spaces = spaces
        self._inbox = inbox
        self._progress = progress
        self._stoppable = stoppable
        self._fetch_labels = fetch_labels
        self._forget = forget
        self._attempts: dict[str, tuple[int, float]] = {}

    def postponed(self) -> set[str]:
        """Return the instances that are to wait before they are tried again."""
        now = time.monotonic()
        return {orthanc_id for orthanc_id, (_, not_before) in self._attempts.items() if not_before > now}

    def changed(self, orthanc_id: str) -> None:
        """Count the attempts for an instance from the beginning: it is another file now."""
        self._attempts.pop(orthanc_id, None)

    def fill(self, space: Space, batch: Iterable[str], settle: Settle) -> None:
        """Embed instances into a space; `settle` is told what can never be."""
        if space.pipeline is None:
            return
        start, done = time.monotonic(), 0
        begun = itertools.takewhile(lambda _: not self._inbox.bursts.hold_up(), batch)
        # where the work goes on during a burst, what is received still comes first
        in_turn = self._inbox.bursts.goes_on()
        with contextlib.closing(space.pipeline.outcomes(begun, in_turn=in_turn)) as outcomes:
            for outcome in self._stoppable(outcomes):
                self._catalogue.sign_of_life(self._spaces.models())
                if outcome is not None:
                    self._conclude(outcome, space, settle)
                    done += 1
        rate = done / max(1e-6, time.monotonic() - start)
        self._progress.per_second = 0.8 * self._progress.per_second + 0.2 * rate if self._progress.per_second else rate

    def _conclude(self, outcome: Outcome, space: Space, settle: Settle) -> None:
        """Write an instance's outcome to the catalogue, then to the index."""
        attempt, _ = self._attempts.pop(outcome.orthanc_id, (0, 0.0))
        match outcome:
            case Embedded():
                self._keep(outcome, space)
            case Gone(orthanc_id):
                self._forget([orthanc_id])
            case Settled():
                settle(outcome)
            case Postponed(orthanc_id, _) if attempt < len(RETRY_AFTER_SECONDS):
                self._attempts[orthanc_id] = attempt + 1, time.monotonic() + RETRY_AFTER_SECONDS[attempt]
            case Postponed(orthanc_id, reason):
                settle(Settled(orthanc_id, "failed", reason))

    def _keep(self, embedded: Embedded, space: Space) -> None:
        parents = {embedded.series.study_orthanc_id, embedded.series.orthanc_id}
        new = parents.difference(self._catalogue.levels(parents))
        # vectors that answer stay beside those that are to; vectors that are to would be of an older file
        beside = self._spaces.answering.model if space is self._spaces.incoming else None
        came, gone = self._catalogue.record(embedded, space.model, beside=beside)
        self._spaces.remove(gone)
        if came:
            self._spaces.add(space, came, np.stack(list(embedded.vectors.values())))
        self._fetch_labels({*new, embedded.orthanc_id})
