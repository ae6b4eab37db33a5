"""The routes below /cbmir/: a Request becomes a Response. Knows no Orthanc and no HTTP server."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cbmir import __version__
from cbmir.answers import DISCLAIMER, Answers
from cbmir.errors import BadRequest, NotFound, Unavailable
from cbmir.pixels import prepare
from cbmir.query import is_orthanc_id, parse
from cbmir.records import CataloguedSlice
from cbmir.web import answer, failure, method_not_allowed

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from cbmir.archive import Archive
    from cbmir.catalogue import Catalogue
    from cbmir.embedding import Embedder
    from cbmir.index import SliceIndex
    from cbmir.indexer import Inbox, Progress
    from cbmir.query import Query
    from cbmir.reader import Reader
    from cbmir.search import Search
    from cbmir.settings import Settings
    from cbmir.web import Request, Response

REASONS_SHOWN = 20
REINDEXED = ("failed", "skipped", "indexed")
_OPENAPI = Path(__file__).parent / "openapi.json"


@dataclass(frozen=True, slots=True)
class Services:
    """The parts that answer, once they are all there."""

    archive: Archive
    catalogue: Catalogue
    embedder: Embedder
    index: SliceIndex
    reader: Reader
    search: Search
    settings: Settings
    inbox: Inbox
    progress: Progress


@dataclass(slots=True)
class State:
    """Where the plugin is in its life. `services` is there from the moment queries can be answered."""

    name: str = "starting"
    reason: str | None = None
    services: Services | None = None


class Api:
    """Answers requests, a few at a time, from whatever state the plugin is in."""

    def __init__(self, state: State, max_parallel_queries: int, log: Callable[[str], None]) -> None:
        """Take the state, which changes while the plugin lives."""
        self._state = state
        self._log = log
        self._slots = threading.BoundedSemaphore(max_parallel_queries)

    def __call__(self, request: Request) -> Response:
        """Return the response. Never raises: what fails becomes an error in the one form."""
        try:
            return self._route(request)
        except Exception as error:  # noqa: BLE001 - the server must always get an answer
            response = failure(error)
            if response.status == 500:
                self._log(f"a request failed ({type(error).__name__})")
            return response

    def _route(self, request: Request) -> Response:
        name, _, rest = request.path.strip("/").partition("/")
        routes: dict[str, tuple[str, Callable[[Request, str], Response]]] = {
            "similar": ("GET", self._similar),
            "status": ("GET", self._status),
            "openapi.json": ("GET", self._openapi),
            "reindex": ("POST", self._reindex),
        }
        if name not in routes or (rest and name != "similar"):
            raise NotFound(f"no such route; there are {', '.join(f'/cbmir/{route}' for route in routes)}")
        method, handler = routes[name]
        return handler(request, rest) if request.method == method else method_not_allowed(method)

    def _services(self) -> Services:
        services = self._state.services
        if services is None:
            raise Unavailable(f"the plugin is {self._state.name}: {self._state.reason or 'please try again'}")
        return services

    # ---- GET /cbmir/similar/<instance> ----

    def _similar(self, request: Request, identifier: str) -> Response:
        services = self._services()
        query = parse(identifier, request.query, services.settings.min_similarity)
        if not self._slots.acquire(blocking=False):
            raise Unavailable("too many queries at once (setting MaxParallelQueries); please try again")
        try:
            return answer(_similar(services, query))
        finally:
            self._slots.release()

    # ---- GET /cbmir/status, /cbmir/openapi.json ----

    def _status(self, _request: Request, _rest: str) -> Response:
        services = self._state.services
        status: dict[str, Any] = {
            "version": __version__,
            "disclaimer": DISCLAIMER,
            "state": self._state.name,
            "reason": self._state.reason,
        }
        if services is None:
            return answer(status, 503 if self._state.name == "disabled" else 200)
        progress, counts = services.progress, services.catalogue.counts()
        if progress.trouble:
            status |= {"state": "degraded", "reason": progress.trouble}
        stalled = progress.stalled()
        rate = progress.per_second
        status |= {
            "worker": "stalled" if stalled else "running",
            "model": {"id": services.embedder.model_id, "name": services.embedder.name},
            "queued": counts["pending"],
            "indexed": counts["indexed"],
            "skipped": counts["skipped"],
            "failed": counts["failed"],
            "slices": len(services.index),
            "modalities": services.catalogue.modalities(),
            "reconciled": progress.reconciled,
            "indexLagSeconds": round(progress.lag_seconds(), 1),
            "instancesPerSecond": round(rate, 1),
            "etaSeconds": round(counts["pending"] / rate) if rate else (0 if not counts["pending"] else None),
            "notIndexed": [
                {"state": state, "reason": reason, "instances": number}
                for state, reason, number in services.catalogue.reasons(REASONS_SHOWN)
            ],
        }
        return answer(status, 503 if stalled else 200)

    def _openapi(self, _request: Request, _rest: str) -> Response:
        return answer(json.loads(_OPENAPI.read_text(encoding="utf-8")))

    # ---- POST /cbmir/reindex ----

    def _reindex(self, request: Request, _rest: str) -> Response:
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type != "application/json":
            # a form of another site can post text, but not JSON without the browser asking first
            raise BadRequest("POST needs the header Content-Type: application/json")
        try:
            states = json.loads(request.body or b"{}").get("states", ["failed", "skipped"])
            wanted = [str(state) for state in states]
        except (ValueError, AttributeError, TypeError):
            raise BadRequest('the body must be a JSON object such as {"states": ["failed"]}') from None
        if not wanted or not set(wanted) <= set(REINDEXED):
            raise BadRequest(f"states must be some of {', '.join(REINDEXED)}")
        services = self._services()
        number = services.catalogue.reopen(wanted)
        services.inbox.reconcile()
        return answer({"queued": number}, 202)


def _similar(services: Services, query: Query) -> dict[str, Any]:
    found, vector, indexed = _query_slice(services, query)
    cases = services.search.cases(vector, found.series, query.criteria)
    settings = services.settings
    answers = Answers(
        services.archive,
        services.catalogue,
        anonymize=settings.anonymize,
        viewer=(Path(settings.viewer_directory) / "index.html").is_file(),
    )
    shown = answers.cases(cases)
    return {
        "disclaimer": DISCLAIMER,
        "model": {"id": services.embedder.model_id, "name": services.embedder.name},
        "query": answers.query(found, indexed=indexed),
        "group": query.criteria.group,
        "samePatient": query.criteria.same_patient,
        "message": None if shown else _nothing(query, settings.min_similarity),
        "cases": shown,
    }


def _query_slice(services: Services, query: Query) -> tuple[CataloguedSlice, NDArray[np.float32], bool]:
    """Return the slice asked about, its vector, and whether it was indexed; otherwise it is embedded now."""
    orthanc_id = _orthanc_id(services, query.identifier)
    known = services.catalogue.slice_vector(orthanc_id, query.frame, services.embedder.model_id)
    if known is not None:
        return (*known, True)
    try:
        instance, series = services.reader.open(orthanc_id)
    except NotFound:
        if services.archive.is_above_instance(orthanc_id):
            raise BadRequest("this is the id of a series, study or patient; name one of its instances") from None
        raise NotFound("there is no such instance") from None
    square = prepare(instance.frame(query.frame), services.embedder.size)
    (vector,) = services.embedder.embed(square[None])
    frames = instance.number_of_frames
    return CataloguedSlice(0, orthanc_id, query.frame, frames, instance.sop_instance_uid, series), vector, False


def _orthanc_id(services: Services, identifier: str) -> str:
    if is_orthanc_id(identifier):
        return identifier
    entry = services.catalogue.entry(identifier)
    found = entry.orthanc_id if entry else services.archive.lookup(identifier)
    if found is None:
        raise NotFound("there is no instance with this SOPInstanceUID")
    return found


def _nothing(query: Query, min_similarity: float) -> str:
    if query.criteria.same_patient == "only":
        return "No other study of this patient has a similar slice."
    if query.criteria.conditions:
        return "No similar case fulfils these filters."
    if min_similarity > 0:
        return f"No similar case: no other patient's slice reaches the similarity of {min_similarity:g}."
    return "No similar case: no other patient's slices are indexed yet."
