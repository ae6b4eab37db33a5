"""Wires the library into Orthanc's SDK, whose module is handed in: callbacks in, HTTP answers out.

Nothing here may raise while Orthanc loads it, wait in a callback, or store through the SDK: each can cost the PACS an
image or its life.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cbmir.loopback import door, gatekeeper
from cbmir.pages import viewer
from cbmir.pages.status_page import with_status_page
from cbmir.saving.delivery import Delivery
from cbmir.settings import Settings, parse
from cbmir.store import forked
from cbmir.web import Request, Response, decoded, disabled, failure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cbmir.access import Gatekeeper
    from cbmir.app import App

    Handler = Callable[[Request], Response]
    OnStored = Callable[[Any, str], None]
    OnChange = Callable[[int, int, str], None]

REQUEST_THREADS = 32
"""Well above MaxParallelQueries, so that a query too many is refused at once, and asking for the status never waits."""

_ROUTES: list[Callable[..., None]] = []
"""What answers requests, kept for ever: at its end, version 5.0 of Orthanc's Python plugin gives back its references
without Python's lock, and were they the last ones, Orthanc would end with a segmentation fault."""


def register(sdk: Any, *, on_stored: OnStored | None = None, on_change: OnChange | None = None) -> None:
    """Wire the plugin into Orthanc. Whatever fails leaves Orthanc as it is, with the reason at /cbmir/status.

    Orthanc takes one OnStoredInstance and one OnChange callback from Python. A script that has such callbacks of its
    own hands them in here instead of registering them; they are called before ours, whatever becomes of the plugin.
    """
    settings, app = Settings(), None
    forked.prepare()
    try:
        configuration = json.loads(sdk.GetConfiguration())
        settings = parse(configuration.get("Cbmir", {}))
        if settings.enabled:
            data = _data_directory(sdk, configuration, settings)
            settings = replace(settings, data_directory=str(data), credential_headers=_telling(configuration, settings))
            app = _app(sdk, settings, gatekeeper(configuration, settings), Delivery(door(configuration)))
            handler = _on_own_threads(app.api)
    except Exception as error:  # noqa: BLE001 - an exception while it loads would stop Orthanc
        handler = _disabled(sdk, error)
    try:
        _listen(sdk, app, on_stored, on_change)
    except Exception as error:  # noqa: BLE001 - as above; another script has taken a callback
        handler = _disabled(sdk, error)
    if settings.enabled:
        _answer(sdk, "/cbmir(/.*)?", with_status_page(handler))
        _answer(sdk, "/ohif(/.*)?", _viewer(Path(settings.viewer_directory)))
        _extend_explorer(sdk, Path(settings.viewer_directory))


def _data_directory(sdk: Any, configuration: dict[str, Any], settings: Settings) -> Path:
    """Return where catalogue and index live: as set, or beside Orthanc's own index. Relative to the configuration."""
    beside = configuration.get("IndexDirectory") or configuration.get("StorageDirectory") or "OrthancStorage"
    base = Path(sdk.GetConfigurationPath() or ".").resolve()
    return (base if base.is_dir() else base.parent) / (settings.data_directory or Path(beside) / "cbmir")


def _telling(configuration: dict[str, Any], settings: Settings) -> tuple[str, ...]:
    """Return the names of the headers that tell who a caller is: those of the settings and the authorization plugin."""
    return (*settings.credential_headers, *configuration.get("Authorization", {}).get("TokenHttpHeaders", []))


def _app(sdk: Any, settings: Settings, gatekeeper: Gatekeeper, delivery: Delivery) -> App:
    """Return the app, not yet started. Raises where the packages it needs are not installed."""
    from cbmir.app import App  # noqa: PLC0415 - brings numpy, which may be missing
    from cbmir.archive import Archive  # noqa: PLC0415

    return App(Archive(sdk), settings, lambda message: sdk.LogWarning(f"cbmir: {message}"), gatekeeper, delivery)


def _disabled(sdk: Any, error: Exception) -> Handler:
    sdk.LogError(f"cbmir is disabled: {error}")
    return disabled(str(error))


def _listen(sdk: Any, app: App | None, on_stored: OnStored | None, on_change: OnChange | None) -> None:
    """Have Orthanc tell of events: first the script's own callbacks, then the app."""
    stored, changed = [on_stored], [on_change]
    if app is not None:
        put = app.inbox.put
        stored.append(lambda _dicom, orthanc_id: put("stored", orthanc_id))
        changed.append(_on_change(sdk, app))
    if any(stored):
        sdk.RegisterOnStoredInstanceCallback(_in_turn(sdk, stored))
    if any(changed):
        sdk.RegisterOnChangeCallback(_in_turn(sdk, changed))


def _in_turn(sdk: Any, callbacks: Sequence[Callable[..., None] | None]) -> Callable[..., None]:
    """Return one callback that calls all of these; what one raises is logged and keeps nothing from the others."""
    wanted = [callback for callback in callbacks if callback is not None]

    def call(*arguments: Any) -> None:
        for callback in wanted:
            try:
                callback(*arguments)
            except Exception as error:  # noqa: BLE001 - Orthanc would log the message, which may name a patient
                sdk.LogError(f"a Python callback failed ({type(error).__name__})")

    return call


def _answer(sdk: Any, uri: str, handler: Handler) -> None:
    _ROUTES.append(_route(sdk, handler))
    sdk.RegisterRestCallback(uri, _ROUTES[-1])


def _on_own_threads(handler: Handler) -> Handler:
    """Return the handler, called on threads of Python's own.

    Debian's civetweb gives the threads that Orthanc answers HTTP on a stack of 100 KB: a network run there, or a large
    file read there, ends the whole server.
    """
    threads = ThreadPoolExecutor(REQUEST_THREADS, "cbmir-request")
    return lambda request: threads.submit(handler, request).result()


def _on_change(sdk: Any, app: App) -> Callable[[int, int, str], None]:
    change, level = sdk.ChangeType, sdk.ResourceType

    def on_change(kind: int, resource: int, orthanc_id: str) -> None:
        if kind == change.DELETED and resource == level.INSTANCE:
            app.inbox.put("deleted", orthanc_id)
        elif kind == change.UPDATED_METADATA and resource in {level.STUDY, level.SERIES, level.INSTANCE}:
            app.inbox.put("labelled", orthanc_id)
        elif kind == change.ORTHANC_STARTED:
            app.start()
        elif kind == change.ORTHANC_STOPPED:
            app.stop()

    return on_change


def _viewer(directory: Path) -> Handler:
    def serve(request: Request) -> Response:
        file = viewer.find(directory, request.path)
        if file is None:
            return failure(viewer.missing(directory))
        return Response(200, file.body, file.content_type, {"Cache-Control": file.cache_control})

    return serve


def _extend_explorer(sdk: Any, viewer_directory: Path) -> None:
    """Add links to Orthanc Explorer. Orthanc takes one such script from Python: a later call replaces it."""
    try:
        script = (Path(__file__).parent / "pages" / "explorer.js").read_text(encoding="utf-8")
        installed = json.dumps(viewer.is_installed(viewer_directory))
        sdk.ExtendOrthancExplorer(f"const cbmirViewer = {installed};\n{script}")
    except Exception as error:  # noqa: BLE001 - as above
        sdk.LogWarning(f"cbmir: no links in Orthanc Explorer ({type(error).__name__})")


def _route(sdk: Any, handler: Handler) -> Callable[..., None]:
    """Return a REST callback that answers exactly once, whatever happens."""

    def on_rest(output: Any, _uri: str, **request: Any) -> None:
        try:
            path = (request["groups"][0] or "").strip("/")
            response = handler(
                Request(
                    request["method"],
                    path,
                    decoded(request.get("get", {})),
                    request["headers"],
                    request.get("body", b""),
                )
            )
        except Exception as error:  # noqa: BLE001 - Orthanc would log the message, which may name a patient
            sdk.LogError(f"cbmir: a request failed ({type(error).__name__})")
            response = failure(error)
        _send(output, response)

    return on_rest


def _send(output: Any, response: Response) -> None:
    for name, value in response.headers.items():
        output.SetHttpHeader(name, value)
    if response.status == 200:
        output.AnswerBuffer(response.body, response.content_type)
        return
    if response.status == 405:
        output.SendMethodNotAllowed(response.headers["Allow"])
        return
    output.SetHttpHeader("Content-Type", response.content_type)
    try:
        output.SendHttpStatus(response.status, response.body)
    except TypeError:
        # before version 4.2 of Orthanc's Python plugin, the body was text, and its length had to be told
        output.SendHttpStatus(response.status, response.body.decode(), len(response.body))
