"""The parts that answer, and where the plugin is in its life."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cbmir.search import Search
from cbmir.volumes.search import VolumeSearch

if TYPE_CHECKING:
    from cbmir.access import Gatekeeper
    from cbmir.answering.census import Censuses
    from cbmir.archive import Archive
    from cbmir.audit import Audit
    from cbmir.catalogue import Catalogue
    from cbmir.embedding import Embedder
    from cbmir.ingest.inbox import Inbox, Progress
    from cbmir.ingest.reader import Reader
    from cbmir.ingest.spaces import Space
    from cbmir.reports.studies import Reports
    from cbmir.saving.delivery import Delivery
    from cbmir.settings import Settings
    from cbmir.store.protocols import VectorIndex


@dataclass(frozen=True, slots=True)
class Services:
    """The parts that answer, once they are all there."""

    archive: Archive
    catalogue: Catalogue
    embedder: Embedder
    index: VectorIndex
    reader: Reader
    reports: Reports
    search: Search
    settings: Settings
    inbox: Inbox
    progress: Progress
    gatekeeper: Gatekeeper
    audit: Audit
    censuses: Censuses
    delivery: Delivery

    def of(self, space: Space) -> Services:
        """Return the same parts with another space to answer from."""
        search = searching(self.catalogue, space, self.settings)
        return replace(self, embedder=space.embedder, index=space.index, search=search)

    @property
    def volumes(self) -> VolumeSearch:
        """The search by whole series and studies in the same space."""
        return VolumeSearch(self.catalogue, self.search, self.embedder.model_id)


@dataclass(slots=True)
class State:
    """Where the plugin is in its life. `services` is there from the moment queries can be answered."""

    name: str = "starting"
    reason: str | None = None
    services: Services | None = None

    def become(self, name: str, reason: str | None = None) -> None:
        """Go on to another state. Whoever asks meanwhile never meets it without its reason."""
        self.reason = reason
        self.name = name


def searching(catalogue: Catalogue, space: Space, settings: Settings) -> Search:
    """Return the search in a space, as the settings want it, ready to answer at once."""
    catalogue.prepare(space.model)
    classifier = space.embedder.classifier
    return Search(catalogue, space.index, space.model, classifier, expand=settings.query_expansion)
