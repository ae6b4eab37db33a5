"""Find similar cases inside Orthanc: the only file that touches the `orthanc` module.

Orthanc runs it through "PythonScript"; a script of your own can call `register(orthanc)` instead. Nothing here may
raise while Orthanc loads it, wait in a callback, or store through the SDK: each can cost the PACS an image or its life.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orthanc

sys.path.insert(0, str(Path(__file__).resolve().parent))

import cbmir  # found through the path above
from cbmir import viewer
from cbmir.settings import Settings, parse
from cbmir.status_page import with_status_page
from cbmir.web import Request, Response, decoded, disabled, failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbmir.app import App

    Handler = Callable[[Request], Response]

REQUEST_THREADS = 32
"""Well above MaxParallelQueries, so that a query too many is refused at once, and asking for the status never waits."""

_ROUTES: list[Callable[..., None]] = []
"""What answers requests, kept for ever: at its end, version 5.0 of Orthanc's Python plugin gives back its references
without Python's lock, and were they the last ones, Orthanc would end with a segmentation fault."""


def register(sdk: Any) -> None:
    """Wire the plugin into Orthanc. Whatever fails leaves Orthanc as it is, with the reason at /cbmir/status."""
    settings, handler = Settings(), None
    try:
        configuration = json.loads(sdk.GetConfiguration())
        settings = parse(configuration.get("Cbmir", {}))
        if not settings.enabled:
            return
        settings = replace(settings, data_directory=str(_data_directory(sdk, configuration, settings)))
        handler = _start_with(sdk, settings)
    except Exception as error:  # noqa: BLE001 - an exception while it loads would stop Orthanc
        sdk.LogError(f"cbmir is disabled: {error}")
        handler = disabled(str(error))
    for uri, answers in (
        ("/cbmir(/.*)?", with_status_page(handler)),
        ("/ohif(/.*)?", _viewer(Path(settings.viewer_directory))),
    ):
        _ROUTES.append(_route(sdk, answers))
        sdk.RegisterRestCallback(uri, _ROUTES[-1])
    _extend_explorer(sdk, Path(settings.viewer_directory))


def _data_directory(sdk: Any, configuration: dict[str, Any], settings: Settings) -> Path:
    """Return where catalogue and index live: as set, or beside Orthanc's own index. Relative to the configuration."""
    beside = configuration.get("IndexDirectory") or configuration.get("StorageDirectory") or "OrthancStorage"
    base = Path(sdk.GetConfigurationPath() or ".").resolve()
    return (base if base.is_dir() else base.parent) / (settings.data_directory or Path(beside) / "cbmir")


def _start_with(sdk: Any, settings: Settings) -> Handler:
    """Connect the app to Orthanc's events. Raises where the packages it needs are not installed."""
    from cbmir.app import App  # noqa: PLC0415 - brings numpy, which may be missing
    from cbmir.archive import Archive  # noqa: PLC0415

    app = App(Archive(sdk), settings, lambda message: sdk.LogWarning(f"cbmir: {message}"))
    sdk.RegisterOnStoredInstanceCallback(lambda _dicom, orthanc_id: app.inbox.put("stored", orthanc_id))
    sdk.RegisterOnChangeCallback(_on_change(sdk, app))
    return _on_own_threads(app.api)


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
        elif kind == change.UPDATED_METADATA and resource in {level.STUDY, level.SERIES}:
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
        script = Path(cbmir.__file__).with_name("explorer.js").read_text(encoding="utf-8")
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


register(orthanc)
