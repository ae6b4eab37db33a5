from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from dicom_files import CANARY
from orthanc_double import OrthancDouble

from cbmir import plugin
from cbmir.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAIN = Path(__file__).parents[2] / "plugin" / "main.py"


class Sdk(OrthancDouble):
    """A double of the whole module, which remembers what was registered."""

    def __init__(self, directory: Path, cbmir: Any = None, **configuration: Any) -> None:
        super().__init__()
        section = {"Cbmir": {"DataDirectory": str(directory / "cbmir"), **(cbmir or {})}}
        self.configuration = {**section, **configuration}
        self.directory = directory
        self.routes: dict[str, Callable[..., None]] = {}
        self.stored: Callable[..., None] | None = None
        self.changed: Callable[..., None] | None = None
        self.log: list[str] = []

    def GetConfiguration(self) -> str:  # noqa: N802
        return json.dumps(self.configuration)

    def GetConfigurationPath(self) -> str:  # noqa: N802
        return str(self.directory / "orthanc.json")

    def RegisterRestCallback(self, uri: str, callback: Callable[..., None]) -> None:  # noqa: N802
        assert uri not in self.routes
        self.routes[uri] = callback

    def RegisterOnStoredInstanceCallback(self, callback: Callable[..., None]) -> None:  # noqa: N802
        self.stored = callback

    def RegisterOnChangeCallback(self, callback: Callable[..., None]) -> None:  # noqa: N802
        self.changed = callback

    def ExtendOrthancExplorer(self, javascript: str) -> None:  # noqa: N802
        self.explorer = javascript

    def LogError(self, message: str) -> None:  # noqa: N802
        self.log.append(message)

    LogWarning = LogInfo = LogError


class Output:
    """What Orthanc hands to a route: it must be answered exactly once.

    Before version 4.2 of the Python plugin, the body of an error was text (`body_type`) with its length.
    """

    def __init__(self, body_type: type = bytes) -> None:
        self.body_type = body_type
        self.answers: list[tuple[int, Any]] = []
        self.headers: dict[str, str] = {}

    def SetHttpHeader(self, name: str, value: str) -> None:  # noqa: N802
        self.headers[name] = value

    def AnswerBuffer(self, body: bytes, mime: str) -> None:  # noqa: N802
        self.headers["Content-Type"] = mime
        self.answers.append((200, body))

    def SendHttpStatus(self, status: int, body: Any, *size: int) -> None:  # noqa: N802
        if not isinstance(body, self.body_type) or size != ((len(body.encode()),) if self.body_type is str else ()):
            raise TypeError("Bad types for the arguments")
        self.answers.append((status, body))

    def SendMethodNotAllowed(self, allowed: str) -> None:  # noqa: N802
        self.answers.append((405, allowed))


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[OrthancDouble], Any]]:
    """Return a function that loads main.py as Orthanc does, with this double of the module."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    loaded: list[OrthancDouble] = []

    def load(sdk: OrthancDouble) -> Any:
        monkeypatch.setitem(sys.modules, "orthanc", sdk)  # type: ignore[arg-type]
        specification = importlib.util.spec_from_file_location("cbmir_main", MAIN)
        assert specification is not None
        assert specification.loader is not None
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        loaded.append(sdk)
        return module

    yield load
    for sdk in loaded:
        if isinstance(sdk, Sdk) and sdk.changed is not None:
            sdk.changed(sdk.ChangeType.ORTHANC_STOPPED, 0, "")


def ask(sdk: Sdk, path: str, method: str = "GET", *, output: Output | None = None, **request: Any) -> tuple[int, Any]:
    """Call a route as Orthanc does; return the one answer."""
    output = output or Output()
    asked = {"method": method, "groups": [f"/{path}"], "get": {}, "headers": {}, **request}
    sdk.routes["/cbmir(/.*)?"](output, f"/cbmir/{path}", **asked)
    assert len(output.answers) == 1
    status, body = output.answers[0]
    return status, json.loads(body) if status != 405 else body


def test_loading_registers_the_routes_and_the_events(tmp_path: Path, load: Callable[..., Any]) -> None:
    sdk = Sdk(tmp_path)
    load(sdk)
    assert sdk.routes.keys() == {"/cbmir(/.*)?", "/ohif(/.*)?"}
    assert sdk.stored is not None
    assert sdk.changed is not None
    status, document = ask(sdk, "status")
    assert (status, document["state"]) == (200, "starting")
    assert not (tmp_path / "cbmir").exists(), "nothing is done before Orthanc has started"


@pytest.mark.parametrize(
    ("cbmir", "reason"),
    [
        ({"Treshold": 1}, 'unknown setting "Cbmir.Treshold": did you mean "Threads"?'),
        ({"Threads": "many"}, '"Cbmir.Threads" must be a int'),
    ],
)
def test_wrong_settings_disable_the_plugin_and_nothing_else(
    tmp_path: Path, load: Callable[..., Any], cbmir: dict[str, Any], reason: str
) -> None:
    sdk = Sdk(tmp_path, cbmir)
    load(sdk)
    assert any(reason in line for line in sdk.log)
    assert sdk.stored is None
    for path in ("status", "similar/1.2", "reindex"):
        status, document = ask(sdk, path)
        assert status == 503
        assert reason in document["reason"]


def test_a_plugin_that_is_switched_off_registers_nothing(tmp_path: Path, load: Callable[..., Any]) -> None:
    sdk = Sdk(tmp_path, {"Enabled": False})
    load(sdk)
    assert (sdk.routes, sdk.stored, sdk.changed, sdk.log) == ({}, None, None, [])


@pytest.mark.parametrize("section", [[], "on", None, 5])
def test_a_section_that_is_no_object_disables_the_plugin(
    tmp_path: Path, load: Callable[..., Any], section: Any
) -> None:
    sdk = Sdk(tmp_path)
    sdk.configuration = {"Cbmir": section}
    load(sdk)
    assert ask(sdk, "status")[0] == 503


def test_an_event_that_orthanc_does_not_offer_disables_the_plugin_and_nothing_else(
    tmp_path: Path, load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise sdk.OrthancException(9, "already registered")

    sdk = Sdk(tmp_path)
    monkeypatch.setattr(sdk, "RegisterOnChangeCallback", fail)
    load(sdk)
    assert ask(sdk, "status")[0] == 503


def test_events_become_notes_in_the_inbox(
    tmp_path: Path, load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[tuple[str, str]] = []
    monkeypatch.setattr(
        "cbmir.ingest.inbox.Inbox.put", lambda _self, kind, orthanc_id: noted.append((kind, orthanc_id))
    )
    monkeypatch.setattr("cbmir.app.App.start", lambda _self: noted.append(("start", "")))
    sdk = Sdk(tmp_path)
    load(sdk)
    assert sdk.stored is not None
    assert sdk.changed is not None
    change, level = sdk.ChangeType, sdk.ResourceType
    sdk.stored(object(), "a")
    sdk.changed(change.DELETED, level.INSTANCE, "b")
    sdk.changed(change.UPDATED_METADATA, level.STUDY, "c")
    sdk.changed(change.UPDATED_METADATA, level.SERIES, "d")
    sdk.changed(change.UPDATED_METADATA, level.INSTANCE, "e")
    for kind, resource in (
        (change.DELETED, level.SERIES),
        (change.DELETED, level.PATIENT),
        (change.UPDATED_METADATA, level.PATIENT),
        (change.NEW_INSTANCE, level.INSTANCE),
        (99, level.INSTANCE),
    ):
        sdk.changed(kind, resource, "none")
    sdk.changed(change.ORTHANC_STARTED, 0, "")
    labelled = [("labelled", name) for name in "cde"]
    assert noted == [("stored", "a"), ("deleted", "b"), *labelled, ("start", "")]


@pytest.mark.parametrize("body_type", [bytes, str])
def test_errors_are_sent_in_the_form_that_each_version_of_orthanc_takes(
    tmp_path: Path, load: Callable[..., Any], body_type: type
) -> None:
    sdk, output = Sdk(tmp_path), Output(body_type)
    load(sdk)
    status, document = ask(sdk, "nothing", output=output)
    assert (status, document["error"]["status"]) == (404, 404)
    assert output.headers["Content-Type"] == "application/json"
    assert output.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("method", ["DELETE", "PUT", "POST"])
def test_a_wrong_method_is_answered_by_orthanc_s_own_call(
    tmp_path: Path, load: Callable[..., Any], method: str
) -> None:
    sdk = Sdk(tmp_path)
    load(sdk)
    assert ask(sdk, "status", method) == (405, "GET")


@pytest.mark.parametrize("request_", [{"headers": None}, {"groups": []}, {"get": None}])
def test_a_request_that_nobody_thought_of_is_answered_once_and_not_described(
    tmp_path: Path, load: Callable[..., Any], request_: dict[str, Any]
) -> None:
    sdk = Sdk(tmp_path)
    load(sdk)
    output = Output()
    asked = {"method": "POST", "groups": ["/reindex"], "headers": {}, "body": CANARY.encode(), **request_}
    sdk.routes["/cbmir(/.*)?"](output, "/cbmir/reindex", **asked)
    assert len(output.answers) == 1
    assert output.answers[0][0] in {400, 500}
    assert CANARY not in "".join(sdk.log) + str(output.answers)


def test_without_a_data_directory_the_catalogue_lies_beside_orthanc_s_own_index(tmp_path: Path) -> None:
    sdk = Sdk(tmp_path)
    assert plugin._data_directory(sdk, {"IndexDirectory": "/db"}, Settings()) == Path("/db/cbmir")
    assert plugin._data_directory(sdk, {"StorageDirectory": "st"}, Settings()) == tmp_path / "st" / "cbmir"
    assert plugin._data_directory(sdk, {}, Settings()) == tmp_path / "OrthancStorage" / "cbmir"
    chosen = Settings(data_directory="own")
    assert plugin._data_directory(sdk, {"IndexDirectory": "/db"}, chosen) == tmp_path / "own"


@pytest.mark.parametrize("cbmir", [{}, {"Treshold": 1}, {"Enabled": False}], ids=["running", "disabled", "off"])
def test_a_script_s_own_callbacks_are_called_whatever_becomes_of_the_plugin(
    tmp_path: Path, cbmir: dict[str, Any]
) -> None:
    sdk = Sdk(tmp_path, cbmir)
    heard: list[Any] = []
    plugin.register(
        sdk, on_stored=lambda _, orthanc_id: heard.append(orthanc_id), on_change=lambda *change: heard.append(change)
    )
    assert sdk.stored is not None
    assert sdk.changed is not None
    sdk.stored(None, "an-id")
    sdk.changed(sdk.ChangeType.DELETED, sdk.ResourceType.INSTANCE, "an-id")
    assert heard == ["an-id", (sdk.ChangeType.DELETED, sdk.ResourceType.INSTANCE, "an-id")]


def test_a_script_s_own_callback_that_raises_keeps_nothing_from_the_plugin(tmp_path: Path) -> None:
    sdk = Sdk(tmp_path)

    def fails(_dicom: Any, _orthanc_id: str) -> None:
        raise ValueError(CANARY)

    plugin.register(sdk, on_stored=fails)
    assert sdk.stored is not None
    sdk.stored(None, "an-id")
    assert sdk.log == ["a Python callback failed (ValueError)"]


def test_switched_off_the_plugin_registers_nothing(tmp_path: Path) -> None:
    sdk = Sdk(tmp_path, {"Enabled": False})
    plugin.register(sdk)
    assert (sdk.stored, sdk.changed, sdk.routes) == (None, None, {})


def test_the_viewer_s_route_says_when_no_viewer_is_installed(tmp_path: Path, load: Callable[..., Any]) -> None:
    sdk = Sdk(tmp_path, {"ViewerDirectory": str(tmp_path / "none")})
    load(sdk)
    output = Output()
    sdk.routes["/ohif(/.*)?"](output, "/ohif/", method="GET", groups=["/"], get={}, headers={})
    ((status, body),) = output.answers
    assert status == 404
    assert "ViewerDirectory" in json.loads(body)["error"]["message"]


def test_the_status_page_is_served_even_by_a_plugin_that_is_disabled(tmp_path: Path, load: Callable[..., Any]) -> None:
    for cbmir in ({}, {"Treshold": 1}):
        sdk, output = Sdk(tmp_path, cbmir), Output()
        load(sdk)
        sdk.routes["/cbmir(/.*)?"](output, "/cbmir", method="GET", groups=[None], get={}, headers={})
        ((status, body),) = output.answers
        assert status == 200
        assert b"<!doctype html>" in body
        assert output.headers["Content-Type"] == "text/html"
        assert "Content-Security-Policy" in output.headers


@pytest.mark.parametrize("installed", ["true", "false"])
def test_orthanc_explorer_is_told_whether_there_is_a_viewer(
    tmp_path: Path, load: Callable[..., Any], installed: str
) -> None:
    if installed == "true":
        (tmp_path / "index.html").touch()
    sdk = Sdk(tmp_path, {"ViewerDirectory": str(tmp_path)})
    load(sdk)
    assert sdk.explorer.startswith(f"const cbmirViewer = {installed};\n")


def test_an_orthanc_without_explorer_starts_all_the_same(
    tmp_path: Path, load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: Sdk, _javascript: str) -> None:
        raise RuntimeError("no such function")

    monkeypatch.setattr(Sdk, "ExtendOrthancExplorer", refuse)
    sdk = Sdk(tmp_path)
    load(sdk)
    assert sdk.routes.keys() == {"/cbmir(/.*)?", "/ohif(/.*)?"}
    assert sdk.log == ["cbmir: no links in Orthanc Explorer (RuntimeError)"]
