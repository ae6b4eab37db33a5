"""The gatekeeper of an Orthanc that tells its users apart: asks it over HTTP, with the caller's own credentials.

Whatever decides in Orthanc - its users, a filter in Lua or Python, the authorization plugin - decides here too. Calls
through the SDK would pass all of them by.
"""

from __future__ import annotations

import hashlib
import http.client
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cbmir.access import ANYONE
from cbmir.errors import Unavailable
from cbmir.web import credentials

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cbmir.access import Caller, Gatekeeper
    from cbmir.settings import Settings
    from cbmir.web import Request

    Credentials = dict[str, str]

CONNECTIONS = 4
"""Connections to Orthanc at the same time, for all callers together: each takes one of its threads for HTTP."""

ANSWER_SECONDS = 10.0
"""Longest wait of a query for all its verdicts: an Orthanc whose threads are all busy with queries must not wait for
itself."""

STATISTICS_SECONDS = 2.0
"""The same for the status, which must be had when nothing else is."""

VERDICT_SECONDS = 60.0
"""How long a verdict is believed: so long after a permission is withdrawn, studies may still be found."""

MOST_VERDICTS = 50_000

_VERDICTS = {200: True, 401: False, 403: False, 404: False}


def gatekeeper(configuration: Mapping[str, Any], settings: Settings) -> Gatekeeper:
    """Return the gatekeeper that fits the configuration of Orthanc."""
    if settings.access_control == "off" or (settings.access_control == "auto" and not _tells_apart(configuration)):
        return ANYONE
    return Loopback(door(configuration), settings.credential_headers)


def door(configuration: Mapping[str, Any]) -> Door:
    """Return where an Orthanc of this configuration listens."""
    return Door(int(configuration.get("HttpPort", 8042)), tls=bool(configuration.get("SslEnabled", False)))


def _tells_apart(configuration: Mapping[str, Any]) -> bool:
    """Return whether Orthanc asks who its callers are. An Orthanc open to the network does so unless told not to."""
    remote = configuration.get("RemoteAccessAllowed", False)
    return bool(configuration.get("AuthenticationEnabled", remote) or configuration.get("Authorization"))


class Door:
    """Where this machine's Orthanc listens."""

    def __init__(self, port: int, *, tls: bool) -> None:
        """Take the port, and whether TLS is spoken there."""
        self._port = port
        self._tls = _own_certificate() if tls else None

    def __str__(self) -> str:
        """Return the address."""
        return f"127.0.0.1:{self._port}"

    def connection(self, until: float) -> http.client.HTTPConnection:
        """Return a connection, not yet opened, that waits for each answer until then at most."""
        seconds = max(0.001, until - time.monotonic())
        if self._tls:
            return http.client.HTTPSConnection("127.0.0.1", self._port, timeout=seconds, context=self._tls)
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=seconds)


class Loopback:
    """Asks this machine's Orthanc. Nothing of a request but the named headers is handed on."""

    def __init__(self, door: Door, headers: Sequence[str]) -> None:
        """Take where Orthanc listens, and the names of the headers that tell who a caller is."""
        self._door = door
        self._headers = headers
        self._threads = ThreadPoolExecutor(CONNECTIONS, "cbmir-access")
        self._verdicts = _Verdicts()

    def caller(self, request: Request) -> Caller:
        """Return who sent a request."""
        return _Asked(self, credentials(request, self._headers))

    def allowed(self, uris: Iterable[str], shown: Credentials, seconds: float) -> set[str]:
        """Return which of these URIs Orthanc answers to such credentials. Raises Unavailable where it does neither."""
        until = time.monotonic() + seconds
        key = hashlib.sha256(repr(sorted(shown.items())).encode()).digest()
        verdicts = self._verdicts.of(key, uris)
        unknown = [uri for uri, verdict in verdicts.items() if verdict is None]
        asked = [
            self._threads.submit(self._ask, unknown[start::CONNECTIONS], shown, until)
            for start in range(min(CONNECTIONS, len(unknown)))
        ]
        _, late = wait(asked, seconds)
        if late:
            for one in late:
                one.cancel()
            raise Unavailable("Orthanc did not say in time what this caller may see; please try again")
        fresh = {uri: verdict for one in asked for uri, verdict in one.result().items()}
        self._verdicts.keep(key, fresh)
        return {uri for uri, verdict in (verdicts | fresh).items() if verdict}

    def _ask(self, uris: list[str], shown: Credentials, until: float) -> dict[str, bool]:
        """Return Orthanc's verdict on each, over one connection, which is then given back."""
        connection = self._door.connection(until)
        verdicts: dict[str, bool] = {}
        try:
            for uri in uris:
                limit(connection, until)
                connection.request("GET", uri, headers=shown)
                with connection.getresponse() as response:
                    response.read()
                    verdicts[uri] = _VERDICTS[response.status]
        except KeyError:
            raise Unavailable("Orthanc failed to say what this caller may see") from None
        except (OSError, http.client.HTTPException, ValueError):
            raise Unavailable(f"Orthanc cannot be asked at {self._door} what this caller may see") from None
        finally:
            connection.close()
        return verdicts


def limit(connection: http.client.HTTPConnection, until: float) -> None:
    """Have the next answer come before the time is over. Raises TimeoutError where it is."""
    seconds = until - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    connection.timeout = seconds
    if connection.sock is not None:
        connection.sock.settimeout(seconds)


def _own_certificate() -> ssl.SSLContext:
    """Return a context for Orthanc's certificate, which names the server as others call it and not this address."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(frozen=True, slots=True)
class _Asked:
    """A caller about whom Orthanc is asked."""

    _loopback: Loopback
    _shown: Credentials
    sees_all: bool = False

    def studies(self, orthanc_ids: Iterable[str]) -> set[str]:
        """Return which of these studies Orthanc would show to the caller."""
        uris = {f"/studies/{orthanc_id}": orthanc_id for orthanc_id in orthanc_ids}
        return {uris[uri] for uri in self._loopback.allowed(uris, self._shown, ANSWER_SECONDS)}

    def sees_statistics(self) -> bool:
        """Return whether Orthanc would tell the caller its own figures of the whole archive."""
        try:
            return bool(self._loopback.allowed(["/statistics"], self._shown, STATISTICS_SECONDS))
        except Unavailable:
            return False


@dataclass(slots=True)
class _Verdicts:
    """Verdicts of the last minute, by credentials and URI."""

    _found: dict[tuple[bytes, str], tuple[bool, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, key: bytes, uris: Iterable[str]) -> dict[str, bool | None]:
        """Return what is still believed of each; None where nothing is."""
        now = time.monotonic()
        with self._lock:
            found = {uri: self._found.get((key, uri)) for uri in uris}
        return {uri: one[0] if one and one[1] > now else None for uri, one in found.items()}

    def keep(self, key: bytes, verdicts: Mapping[str, bool]) -> None:
        """Believe these for a while."""
        until = time.monotonic() + VERDICT_SECONDS
        with self._lock:
            if len(self._found) + len(verdicts) > MOST_VERDICTS:
                self._found.clear()
            self._found.update({(key, uri): (verdict, until) for uri, verdict in verdicts.items()})
