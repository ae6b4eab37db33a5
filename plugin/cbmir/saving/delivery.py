"""Stores files in this machine's Orthanc over HTTP, as whoever asks for it.

Never through the SDK: called from a route, that waits for Python's lock and for Orthanc's own in turn, and both stop
for ever. A thread that waits for an answer over HTTP holds neither. Whatever decides in Orthanc who may store decides
here too.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from typing import TYPE_CHECKING

from cbmir.errors import Forbidden, Unavailable
from cbmir.loopback import Door, limit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

AT_ONCE = 2
"""Deliveries at the same time. Each takes one of Orthanc's threads for HTTP, while another waits for its end."""

SECONDS = 20.0
"""Longest wait for Orthanc to store the files of one delivery."""

_REFUSED = frozenset({401, 403, 404, 405})


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
