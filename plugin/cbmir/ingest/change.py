"""A change of model: the incoming one embeds everything, newest first, then answers at once; the old vectors go."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from cbmir.records import ChangeOfModel

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from cbmir.catalogue import Catalogue
    from cbmir.ingest.filling import Filling
    from cbmir.ingest.spaces import Space, Spaces
    from cbmir.records import Settled

MOST_FAILED = 0.5
"""Share of the instances beyond which what a model cannot take says that it is broken, and not that they are."""

LEFTOVERS_SECONDS = 10.0
"""How long after a change of model the old vectors stay, for queries that began before it."""

LEFTOVERS_AT_A_TIME = 2000

BEYOND = 2**63 - 1
"""A place in the order of arrival that none has reached."""


class Change:
    """Brings a change of model forward, step by step, whenever nothing else is to be indexed."""

    def __init__(
        self, catalogue: Catalogue, spaces: Spaces, filling: Filling, switched: Callable[[Space, Space], None]
    ) -> None:
        """Take the parts, and what is to be told of the space that answers no longer and of the one that does."""
        self._catalogue = catalogue
        self._spaces = spaces
        self._filling = filling
        self._switched = switched
        self._unseen = _Unseen(catalogue)
        self._leftovers_at = time.monotonic()
        self.trouble: str | None = None

    def begin_anew(self) -> None:
        """Try once more what the incoming model could not take."""
        self._unseen, self.trouble = _Unseen(self._catalogue), None

    def changed(self, orthanc_id: str) -> None:
        """Try an instance once more: it is another file now, or none."""
        self._unseen.refused.pop(orthanc_id, None)

    def state(self) -> ChangeOfModel | None:
        """Return how far the change is, or None where there is none."""
        incoming = self._spaces.incoming
        if incoming is None:
            return None
        answering = self._spaces.answering
        return ChangeOfModel(incoming.model, len(incoming.index), len(answering.index), len(self._unseen.refused))

    def go_on(self, most: int) -> bool:
        """Have the incoming model embed at most so many instances; if it has seen all, let it answer.

        Return whether there is more to do.
        """
        incoming, unseen = self._spaces.incoming, self._unseen
        if incoming is None:
            return self._drop_leftovers()
        if self.trouble:
            return False
        postponed = self._filling.postponed()
        batch = unseen.next(incoming.model, most, without=postponed)
        self._filling.fill(incoming, batch, unseen.refuse)
        if unseen.is_empty:
            self._switch(incoming)
            return False
        return bool(batch) or not (postponed or self._catalogue.others_at_work())

    def _switch(self, incoming: Space) -> None:
        """Let the incoming model answer, at once and for good, unless it takes too little."""
        before, refused = self._spaces.answering, self._unseen.refused
        failed = sum(one.state == "failed" for one in refused.values())
        if failed > MOST_FAILED * self._catalogue.counts()["indexed"]:
            self.trouble = f"{incoming.model} cannot take {failed} instances, so {before.model} goes on answering"
            return
        self._catalogue.answer_with(incoming.model, incoming.folder, refused)
        self._spaces.switch()
        self._leftovers_at = time.monotonic() + LEFTOVERS_SECONDS
        self._switched(before, incoming)

    def _drop_leftovers(self) -> bool:
        """Remove some vectors of models that have no part any more. Return whether there were any."""
        # a model that cannot be used now may be repaired, and then needs not begin anew
        if time.monotonic() < self._leftovers_at or self._spaces.trouble:
            return False
        if self._catalogue.drop_other_models(self._spaces.models(), LEFTOVERS_AT_A_TIME):
            return True
        self._leftovers_at = math.inf
        return False


class _Unseen:
    """What a model has not seen: passes over the archive until one finds nothing.

    Attributes
    ----------
    refused
        What the model could not take, by Orthanc id. It is not asked for again.
    is_empty
        Whether the last pass found nothing.

    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._place = BEYOND
        self._found = False
        self.refused: dict[str, Settled] = {}
        self.is_empty = False

    def refuse(self, settled: Settled) -> None:
        """Note what the model cannot take."""
        self.refused[settled.orthanc_id] = settled

    def next(self, model: str, limit: int, *, without: Collection[str]) -> list[str]:
        """Return the next instances, newest first, without some that must wait; none at the end of a pass."""
        while rows := self._catalogue.lacking(model, self._place, limit):
            self._place = rows[-1][0]
            left = [orthanc_id for _, orthanc_id in rows if orthanc_id not in self.refused]
            self._found |= bool(left)
            if batch := [orthanc_id for orthanc_id in left if orthanc_id not in without]:
                return batch
        # what another node is at was passed over
        self.is_empty = not (self._found or self._catalogue.others_at_work())
        self._place, self._found = BEYOND, False
        return []
