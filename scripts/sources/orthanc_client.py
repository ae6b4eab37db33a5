"""Talk to an Orthanc over its REST API: send and fetch files, set and read labels.

from sources.orthanc_client import Orthanc
with Orthanc("http://localhost:8042", ("name", "password")) as orthanc:
    stored = orthanc.upload(Path("slice.dcm").read_bytes())
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import httpx

import _library  # noqa: F401 - before cbmir
from cbmir.archive import LABELS_METADATA

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from types import TracebackType

POLL_S = 0.2
"""Pause between two looks, in seconds."""

REFUSED = (400, 404, 409, 415)
"""What Orthanc answers to a file that it cannot read as DICOM; 404 is for one without the UIDs that it files by."""

LEVELS = {"Study": "studies", "Series": "series", "Instance": "instances"}
"""What Orthanc calls a level, and where its REST API has it."""


class OrthancError(Exception):
    """Orthanc cannot be reached, wants another password, or failed."""


class RefusedError(OrthancError):
    """Orthanc does not accept this one request; others may well be accepted."""


class UnreachableError(OrthancError):
    """Nobody answers under this address."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a file went: ids of Orthanc, and whether it was there before."""

    instance_id: str
    series_id: str
    study_id: str
    patient_id: str
    already_there: bool


class Resource(NamedTuple):
    """A study, series or instance of Orthanc: "studies", "series" or "instances", and its id."""

    level: str
    orthanc_id: str


class Said(NamedTuple):
    """What the labels' metadata of a resource holds, None where there is none, and the revision that says so."""

    text: str | None
    revision: str


class Orthanc:
    """A client for one Orthanc.

    Parameters
    ----------
    url
        Such as http://localhost:8042; it may hold name and password.
    auth
        Name and password, or None for those of the URL.
    timeout
        Longest wait for one answer, in seconds.
    verify
        Who vouches for the server of an https address; False: nobody needs to.

    """

    def __init__(
        self,
        url: str,
        auth: tuple[str, str] | None = None,
        timeout: float = 60,
        *,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        try:
            whole = httpx.URL(url)
            bare = whole.copy_with(username=None, password=None)
        except httpx.InvalidURL as error:
            raise UnreachableError(f"{url!r} is no address: {error}") from None
        # messages and logs name the address, so no password may be in it
        self.url = str(bare).rstrip("/")
        auth = auth or ((whole.username, whole.password) if whole.username else None)
        # environment proxies are for the internet, a PACS is next door
        self._http = httpx.Client(auth=auth, timeout=timeout, trust_env=False, verify=verify)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def wait(self, seconds: float = 60) -> dict[str, Any]:
        """Return Orthanc's description of itself as soon as it answers.

        Raises
        ------
        OrthancError
            It does not answer within `seconds`, or wants a password.

        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                system: dict[str, Any] = self.get("/system")
            except UnreachableError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_S)
            else:
                return system

    def wait_until(self, path: str, ready: Callable[[Any], bool], seconds: float = 60) -> Any:
        """Return the JSON under a path as soon as `ready` says it is as wished.

        Raises
        ------
        OrthancError
            It is not so within `seconds`; the last error, where the path never answered.

        """
        deadline = time.monotonic() + seconds
        while True:
            failure = OrthancError(f"{self.url}{path} is not ready after {seconds:.0f} s")
            try:
                found = self.get(path)
            except OrthancError as error:
                failure = error
            else:
                if ready(found):
                    return found
            if time.monotonic() > deadline:
                raise failure
            time.sleep(POLL_S)

    def upload(self, data: bytes) -> Stored:
        """Store one DICOM file and return its ids.

        Raises
        ------
        RefusedError
            Orthanc does not take this file.
        OrthancError
            Anything else went wrong.

        """
        answer = self._request("POST", "/instances", content=data, headers={"Content-Type": "application/dicom"})
        found = answer.json()
        if not isinstance(found, dict) or "ParentStudy" not in found:
            raise RefusedError("not a single DICOM file")
        return Stored(
            found["ID"],
            found["ParentSeries"],
            found["ParentStudy"],
            found["ParentPatient"],
            found["Status"] == "AlreadyStored",
        )

    def find(self, uid: str) -> list[Resource]:
        """Return the studies, series and instances that bear a UID: none, one, or as many as patients were given it."""
        found = self._request("POST", "/tools/lookup", content=uid.encode()).json()
        return [Resource(LEVELS[one["Type"]], one["ID"]) for one in found if one["Type"] in LEVELS]

    def said(self, resource: Resource) -> Said:
        """Return what the labels' metadata of a resource holds."""
        answer = self._http_request("GET", self._labels_of(resource))
        if answer.status_code == httpx.codes.NOT_FOUND:
            return Said(None, "")
        self._check(answer)
        return Said(answer.text, answer.headers.get("ETag", ""))

    def say(self, resource: Resource, text: str, revision: str = "") -> None:
        """Replace what the labels' metadata of a resource holds.

        Raises
        ------
        RefusedError
            It is of another revision than the one named: somebody else was faster.

        """
        headers = {"If-Match": revision} if revision else {}
        self._request("PUT", self._labels_of(resource), content=text.encode(), headers=headers)

    def get(self, path: str) -> Any:
        """Return the JSON under a path such as /statistics."""
        return self._request("GET", path).json()

    def file(self, instance_id: str) -> bytes:
        """Return the DICOM file of an instance."""
        return self._request("GET", f"/instances/{instance_id}/file").content

    @staticmethod
    def _labels_of(resource: Resource) -> str:
        return f"/{resource.level}/{resource.orthanc_id}/metadata/{LABELS_METADATA}"

    def _request(self, method: str, path: str, **more: Any) -> httpx.Response:
        answer = self._http_request(method, path, **more)
        self._check(answer)
        return answer

    def _http_request(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            return self._http.request(method, self.url + path, **more)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise UnreachableError(f"{self.url} does not answer: {error}") from error

    def _check(self, answer: httpx.Response) -> None:
        if answer.is_success:
            return
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise OrthancError(f"{self.url} wants another name and password (--user NAME:PASSWORD)")
        reason = _reason(answer)
        if answer.status_code in REFUSED:
            raise RefusedError(reason)
        raise OrthancError(f"{answer.request.method} {answer.request.url}: {answer.status_code} {reason}")


def _reason(answer: httpx.Response) -> str:
    """Return what Orthanc or the plugin says about an error, in one line."""
    try:
        body = answer.json()
    except ValueError:
        return answer.reason_phrase
    if not isinstance(body, dict):
        return answer.reason_phrase
    of_plugin = body.get("error")
    if isinstance(of_plugin, dict) and "message" in of_plugin:
        return str(of_plugin["message"])
    return str(body.get("Details") or body.get("Message") or answer.reason_phrase)
