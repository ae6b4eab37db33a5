"""Stores files in this machine's Orthanc over HTTP, as whoever asks for it.

Never through the SDK: called from a route, that waits for Python's lock and for Orthanc's own in turn, and both stop
for ever. A thread that waits for an answer over HTTP holds neither. Whatever decides in Orthanc who may store decides
here too.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from cbmir.errors import Forbidden, Unavailable
from cbmir.loopback import Door, limit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

AT_ONCE = 2
"""Deliveries at the same time. Each takes one of Orthanc's threads for HTTP, while another waits for its end."""

SECONDS = 20.0
"""Longest wait for Orthanc to store the files of one delivery."""

NOTHING: Mapping[str, str] = MappingProxyType({})

_REFUSED = frozenset({401, 403, 404, 405})


@dataclass(frozen=True, slots=True)
class Answered:
    """What Orthanc answered: its status, text, and the revision that it is of, if Orthanc tells revisions."""

    status: int
    text: str
    revision: str


class Errand:
    """Asks Orthanc for one thing after the other, as a caller, over one connection."""

    def __init__(self, connection: http.client.HTTPConnection, shown: Mapping[str, str], until: float) -> None:
        """Take the connection, the headers that tell who the caller is, and when the time is over."""
        self._connection = connection
        self._shown = shown
        self._until = until

    @property
    def is_late(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() > self._until

    def ask(self, method: str, uri: str, text: str = "", headers: Mapping[str, str] = NOTHING) -> Answered:
        """Return what Orthanc answers. Raises OSError or HTTPException where it does not."""
        limit(self._connection, self._until)
        self._connection.request(method, uri, text.encode() if text else None, {**self._shown, **headers})
        with self._connection.getresponse() as response:
            body = response.read()
            return Answered(response.status, body.decode("utf-8", "replace"), response.headers.get("ETag", ""))


class Delivery:
    """Stores files, a few at a time."""

    def __init__(self, door: Door) -> None:
        """Take where Orthanc listens."""
        self._door = door
        self._slots = threading.BoundedSemaphore(AT_ONCE)

    def store(self, files: Sequence[bytes], shown: Mapping[str, str]) -> list[str]:
        """Return the Orthanc ids of the files, stored with these headers, which tell who the caller is.

        Raises
        ------
        Forbidden
            Orthanc does not let the caller store.
        Unavailable
            It cannot be reached, fails, or others are storing. What came before the failure stays stored.

        """
        until = time.monotonic() + SECONDS
        if not self._slots.acquire(timeout=SECONDS / 2):
            raise Unavailable("others are saving; please try again")
        connection = self._door.connection(until)
        try:
            return [self._post(connection, file, shown, until) for file in files]
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            raise Unavailable(f"Orthanc at {self._door} did not store what was to be saved") from None
        finally:
            connection.close()
            self._slots.release()

    @contextlib.contextmanager
    def errand(self, shown: Mapping[str, str], seconds: float) -> Iterator[Errand]:
        """Give something to ask Orthanc by, with these headers, for so long. Raises Unavailable as `store`."""
        if not self._slots.acquire(timeout=SECONDS / 2):
            raise Unavailable("others are saving; please try again")
        until = time.monotonic() + seconds
        connection = self._door.connection(until)
        try:
            yield Errand(connection, shown, until)
        except (OSError, http.client.HTTPException):
            raise Unavailable(f"Orthanc at {self._door} does not answer") from None
        finally:
            connection.close()
            self._slots.release()

    def _post(self, connection: http.client.HTTPConnection, file: bytes, shown: Mapping[str, str], until: float) -> str:
        limit(connection, until)
        connection.request("POST", "/instances", file, {**shown, "Content-Type": "application/dicom"})
        with connection.getresponse() as response:
            body = response.read()
        if response.status in _REFUSED:
            raise Forbidden("Orthanc does not let you store")
        if response.status != 200:
            raise Unavailable(f"Orthanc did not store what was to be saved (status {response.status})")
        return str(json.loads(body)["ID"])
