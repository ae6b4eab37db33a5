"""Notices what Orthanc itself calls labels: it tells no plugin when one is given or taken."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cbmir.records import ORTHANC_LABEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbmir.archive import Archive
    from cbmir.catalogue import Catalogue

PAUSE_SECONDS = 20.0
"""Between two looks, at least."""

SHARE = 100
"""A look may take one part of so many of the time: where every study has a label, Orthanc lists long."""


class OwnLabels:
    """Compares Orthanc's labels with those that the catalogue knows, every now and then."""

    def __init__(self, archive: Archive, catalogue: Catalogue, clock: Callable[[], float] = time.monotonic) -> None:
        """Take both; the first look is due at once."""
        self._archive = archive
        self._catalogue = catalogue
        self._clock = clock
        self._due = -float("inf")

    def changed(self) -> set[str]:
        """Return the known studies and series of which a label came or went, as far as it is time to look."""
        start = self._clock()
        if start < self._due:
            return set()
        try:
            given = self._archive.own_labels()
            different = given ^ self._catalogue.labels_on(ORTHANC_LABEL)
            # of what is not indexed labels are not kept, so that they always differ
            return set(self._catalogue.levels({orthanc_id for orthanc_id, _ in different}))
        finally:
            end = self._clock()
            self._due = end + max(PAUSE_SECONDS, SHARE * (end - start))
