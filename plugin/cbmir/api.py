"""The routes below /cbmir/: a Request becomes a Response. Knows no Orthanc and no HTTP server."""

from __future__ import annotations

import contextlib
import json
import threading
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cbmir import __version__
from cbmir.access import require
from cbmir.answering import answers
from cbmir.answering.atlas import atlas
from cbmir.answering.query import is_orthanc_id, parse_comparison, parse_feedback, parse_query, parse_selection
from cbmir.audit import INSTANCES_ACCESSED, INSTANCES_CREATED, LABELS_WRITTEN, QUERY
from cbmir.errors import BadRequest, CatalogueDamaged, Forbidden, NotFound, Unavailable
from cbmir.labelling.posted import parse_labels
from cbmir.labelling.writing import write_labels
from cbmir.saving.save import save
from cbmir.similar import NO_STUDY, heatmap, report, similar
from cbmir.watching.nightly import DRIFT, SCANNERS, measured
from cbmir.web import answer, credentials, failure, method_not_allowed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cbmir.access import Caller
    from cbmir.answering.services import Services, State
    from cbmir.errors import CbmirError
    from cbmir.records import Feedback
    from cbmir.web import Request, Response

REASONS_SHOWN = 20
MOST_BYTES = 1_000_000
"""Of what is posted: as objects of Python, JSON takes many times its length."""
REINDEXED = ("failed", "skipped", "indexed")
_OPENAPI = Path(__file__).parent / "openapi.json"


class Api:
    """Answers requests, a few at a time, from whatever state the plugin is in."""

    def __init__(self, state: State, max_parallel_queries: int, log: Callable[[str], None]) -> None:
        """Take the state, which changes while the plugin lives."""
        self._state = state
        self._log = log
        self._slots = threading.BoundedSemaphore(max_parallel_queries)

    def __call__(self, request: Request) -> Response:
        """Return the response. Never raises: what fails becomes an error in the one form."""
        # another request, or the worker, may find the same damage first, and disable the plugin meanwhile
        services = self._state.services
        try:
            return self._route(request)
        except Exception as error:  # noqa: BLE001 - the server must always get an answer
            response = failure(_explained(error, services) or error)
            if response.status == 500:
                self._log(f"a request failed ({type(error).__name__})")
            return response

    def _route(self, request: Request) -> Response:
        name, _, rest = request.path.strip("/").partition("/")
        routes: dict[str, tuple[str, Callable[[Request, str], Response]]] = {
            "similar": ("GET", self._similar),
            "heatmap": ("GET", self._heatmap),
            "report": ("GET", self._report),
            "status": ("GET", self._status),
            "openapi.json": ("GET", self._openapi),
            "model": ("GET", self._model),
            "quality": ("GET", self._quality),
            "map": ("GET", self._map),
            "reindex": ("POST", self._reindex),
            "feedback": ("GET, POST", self._feedback),
            "save": ("POST", self._save),
            "labels": ("POST", self._labels),
        }
        if name not in routes or (rest and name not in {"similar", "heatmap", "report"}):
            raise NotFound(f"no such route; there are {', '.join(f'/cbmir/{route}' for route in routes)}")
        methods, handler = routes[name]
        return handler(request, rest) if request.method in methods.split(", ") else method_not_allowed(methods)

    def _services(self) -> Services:
        services = self._state.services
        if services is None:
            raise Unavailable(f"the plugin is {self._state.name}: {self._state.reason or 'please try again'}")
        if services.progress.damaged:
            raise CatalogueDamaged
        return services

    # ---- GET /cbmir/similar/<instance>, /cbmir/heatmap/<instance>, /cbmir/report/<study> ----

    def _similar(self, request: Request, identifier: str) -> Response:
        services = self._services()

        def work() -> dict[str, Any]:
            query = parse_query(identifier, request.query, services.settings.min_similarity)
            with self._slot():
                return similar(services, query, services.gatekeeper.caller(request))

        return answer(services.audit.recorded(QUERY, request, work))

    def _heatmap(self, request: Request, identifier: str) -> Response:
        services = self._services()

        def work() -> dict[str, Any]:
            comparison = parse_comparison(identifier, request.query)
            with self._slot():
                return heatmap(services, comparison, services.gatekeeper.caller(request))

        return answer(services.audit.recorded(INSTANCES_ACCESSED, request, work))

    def _report(self, request: Request, study: str) -> Response:
        services = self._services()

        def work() -> dict[str, Any]:
            if not is_orthanc_id(study):
                raise BadRequest("name a study by its Orthanc id")
            require(services.gatekeeper.caller(request), [study], NO_STUDY)
            # holds no place for queries: reading reports has its own
            return report(services, study)

        return answer(services.audit.recorded(INSTANCES_ACCESSED, request, work))

    @contextlib.contextmanager
    def _slot(self) -> Iterator[None]:
        """Hold one of the places for queries, so that Orthanc always has threads left."""
        if not self._slots.acquire(blocking=False):
            raise Unavailable("too many queries at once (setting MaxParallelQueries); please try again")
        try:
            yield
        finally:
            self._slots.release()

    # ---- GET /cbmir/status, /cbmir/openapi.json ----

    def _status(self, request: Request, _rest: str) -> Response:
        services = self._state.services
        status: dict[str, Any] = {
            "version": __version__,
            "disclaimer": answers.DISCLAIMER,
            "state": self._state.name,
            "reason": self._state.reason,
        }
        if services is None:
            return answer(status, 503 if self._state.name == "disabled" else 200)
        progress = services.progress
        if progress.trouble:
            status |= {"state": "degraded", "reason": progress.trouble}
        stalled = progress.stalled()
        status |= {
            "worker": "stalled" if stalled else "running",
            "model": {"id": services.embedder.model_id, "name": services.embedder.name},
            "reconciled": progress.reconciled,
        }
        if services.gatekeeper.caller(request).sees_statistics():
            try:
                status |= _figures(services)
            except Exception as error:
                if (meaning := _explained(error, services)) is None:
                    raise
                status |= {"state": "degraded", "reason": str(meaning)}
        return answer(status, 503 if stalled or progress.damaged else 200)

    def _openapi(self, _request: Request, _rest: str) -> Response:
        return answer(json.loads(_OPENAPI.read_text(encoding="utf-8")))

    # ---- GET /cbmir/model, /cbmir/quality, /cbmir/map ----

    def _model(self, _request: Request, _rest: str) -> Response:
        embedder = self._services().embedder
        return answer({"id": embedder.model_id, **embedder.card})

    def _quality(self, request: Request, _rest: str) -> Response:
        services = self._services()
        _require_statistics(services, request)
        catalogue, model = services.catalogue, services.embedder.model_id
        return answer(
            {
                "model": model,
                "quality": [answers.quality(one) for one in catalogue.quality(model)],
                "drift": measured(catalogue, DRIFT, model),
                "scanners": measured(catalogue, SCANNERS, model),
            }
        )

    def _map(self, request: Request, _rest: str) -> Response:
        services = self._services()

        def work() -> dict[str, Any]:
            _require_statistics(services, request)
            with self._slot():
                return atlas(services, services.gatekeeper.caller(request))

        return answer(services.audit.recorded(QUERY, request, work))

    # ---- POST /cbmir/reindex ----

    def _reindex(self, request: Request, _rest: str) -> Response:
        states = _posted(request, '{"states": ["failed"]}').get("states", ["failed", "skipped"])
        if not isinstance(states, list) or not states or not all(state in REINDEXED for state in states):
            raise BadRequest(f"states must be some of {', '.join(REINDEXED)}")
        services = self._services()
        _require_statistics(services, request)
        number = services.catalogue.reopen(states)
        services.inbox.reconcile()
        return answer({"queued": number}, 202)

    # ---- POST /cbmir/save ----

    def _save(self, request: Request, _rest: str) -> Response:
        services = self._services()

        def work() -> dict[str, Any]:
            selection = parse_selection(
                _posted(request, '{"query": {"instance": "<instance>"}, "hits": [{"instance": "<instance>"}]}')
            )
            shown = credentials(request, services.settings.credential_headers)
            with self._slot():
                return save(services, selection, services.gatekeeper.caller(request), shown)

        return answer(services.audit.recorded(INSTANCES_CREATED, request, work), 201)

    # ---- POST /cbmir/labels ----

    def _labels(self, request: Request, _rest: str) -> Response:
        services = self._services()

        def work() -> dict[str, Any]:
            posted = parse_labels(_posted(request, '{"labels": [{"StudyInstanceUID": "1.2.3", "label": "glioma"}]}'))
            shown = credentials(request, services.settings.credential_headers)
            # holds no place for queries: writing has its own
            return write_labels(services, posted, services.gatekeeper.caller(request), shown)

        return answer(services.audit.recorded(LABELS_WRITTEN, request, work))

    # ---- GET, POST /cbmir/feedback ----

    def _feedback(self, request: Request, _rest: str) -> Response:
        services = self._services()
        caller = services.gatekeeper.caller(request)
        if request.method == "GET":
            return answer({"feedback": [answers.feedback(said) for said in _visible_feedback(services, caller)]})
        feedback = parse_feedback(
            _posted(request, '{"query": "<instance>", "hit": "<instance>", "verdict": "similar"}'),
            services.embedder.model_id,
            datetime.now(UTC),
        )
        absent = "query and hit must be the Orthanc ids of indexed instances"
        if not caller.sees_all:
            require(caller, [services.reader.study(one) for one in (feedback.query, feedback.hit)], absent)
        if feedback.verdict is None:
            services.catalogue.withdraw_feedback(feedback)
            return answer(answers.feedback(feedback))
        if not services.catalogue.add_feedback(feedback):
            raise NotFound(absent)
        return answer(answers.feedback(feedback), 201)


def _explained(error: Exception, services: Services | None) -> CbmirError | None:
    """Return what the catalogue makes of an error. Of damage the worker is told, which has nothing asked then."""
    if services is None:
        return None
    meaning = services.catalogue.explained(error)
    if isinstance(meaning, CatalogueDamaged):
        services.progress.damaged = True
        services.inbox.wake()
    return meaning


def _figures(services: Services) -> dict[str, Any]:
    """Return what the status tells of the whole archive."""
    progress, counts = services.progress, services.catalogue.counts()
    rate = progress.per_second
    return {
        "queued": counts["pending"],
        "indexed": counts["indexed"],
        "skipped": counts["skipped"],
        "failed": counts["failed"],
        "slices": len(services.index),
        "modalities": services.catalogue.modalities(),
        "indexLagSeconds": round(progress.lag_seconds(), 1),
        "instancesPerSecond": round(rate, 1),
        "etaSeconds": round(counts["pending"] / rate) if rate else (0 if not counts["pending"] else None),
        "modelChange": asdict(progress.change) if progress.change else None,
        "indexHealth": answers.index_health(progress.health),
        "notIndexed": [
            {"state": state, "reason": reason, "instances": number}
            for state, reason, number in services.catalogue.reasons(REASONS_SHOWN)
        ],
    }


def _require_statistics(services: Services, request: Request) -> None:
    """Raise Forbidden unless the caller may see figures of the whole archive."""
    if not services.gatekeeper.caller(request).sees_statistics():
        raise Forbidden("this is for those who may see Orthanc's own statistics")


def _visible_feedback(services: Services, caller: Caller) -> list[Feedback]:
    """Return what readers said of slices that the caller may see."""
    said = services.catalogue.feedback()
    study_of = services.catalogue.studies({name for one in said for name in (one.query, one.hit)})
    visible = caller.studies(set(study_of.values()))
    return [one for one in said if {study_of.get(one.query), study_of.get(one.hit)} <= visible]


def _posted(request: Request, example: str) -> dict[str, Any]:
    """Return the JSON object of a POST.

    A form on another site can make a browser post text, but not JSON without asking this server first.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise BadRequest("POST needs the header Content-Type: application/json")
    if len(request.body) > MOST_BYTES:
        raise BadRequest(f"the body may be {MOST_BYTES} bytes long at most")
    try:
        document = json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise BadRequest(f"the body must be a JSON object such as {example}")
    return document
