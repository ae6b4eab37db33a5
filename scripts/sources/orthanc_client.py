"""Talk to an Orthanc over its REST API: send files, set and read diagnoses.

from sources.orthanc_client import Orthanc
with Orthanc("http://localhost:8042", ("name", "password")) as orthanc:
    stored = orthanc.upload(Path("slice.dcm").read_bytes())
    orthanc.set_labels(stored.study_id, [Label("meningioma", "histology")])
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

LABELS_METADATA = 3872
"""User-defined metadata of a study that holds its diagnoses, named "CbmirLabels" in orthanc.json."""

POLL_S = 0.2
"""Pause between two looks, in seconds."""

REFUSED = (400, 404, 415)
"""What Orthanc answers to a file that it cannot read as DICOM; 404 is for one without the UIDs that it files by."""


class OrthancError(Exception):
    """Orthanc cannot be reached, wants another password, or failed."""


class RefusedError(OrthancError):
    """Orthanc does not accept this file; others may well be accepted."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a file went: ids of Orthanc, and whether it was there before."""

    instance_id: str
    series_id: str
    study_id: str
    patient_id: str
    already_there: bool


@dataclass(frozen=True, slots=True)
class Label:
    """A diagnosis, and from where it is known."""

    label: str
    provenance: str


class Orthanc:
    """A client for one Orthanc.

    Parameters
    ----------
    url
        Such as http://localhost:8042.
    auth
        Name and password, or None.
    timeout
        Longest wait for one answer, in seconds.

    """

    def __init__(self, url: str, auth: tuple[str, str] | None = None, timeout: float = 60) -> None:
        self.url = url.rstrip("/")
        # environment proxies are for the internet, a PACS is next door
        self._http = httpx.Client(auth=auth, timeout=timeout, trust_env=False)

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

    def find_study(self, study_instance_uid: str) -> str | None:
        """Return Orthanc's id of a study, or None where it holds no such study."""
        found = self._request("POST", "/tools/lookup", content=study_instance_uid.encode()).json()
        return next((one["ID"] for one in found if one["Type"] == "Study"), None)

    def set_labels(self, study_id: str, labels: list[Label]) -> None:
        """Replace the diagnoses of a study."""
        text = json.dumps([asdict(label) for label in labels], ensure_ascii=False)
        self._request("PUT", f"/studies/{study_id}/metadata/{LABELS_METADATA}", content=text.encode())

    def labels(self, study_id: str) -> list[Label]:
        """Return the diagnoses of a study, none where none were set."""
        answer = self._http_request("GET", f"/studies/{study_id}/metadata/{LABELS_METADATA}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return []
        self._check(answer)
        return [Label(one["label"], one["provenance"]) for one in answer.json()]

    def get(self, path: str) -> Any:
        """Return the JSON under a path such as /statistics."""
        return self._request("GET", path).json()

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


class UnreachableError(OrthancError):
    """Nobody answers under this address."""


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
