"""Look at an Orthanc that has the plugin: wait for it, follow its indexing, ask it a sample question.

watch.py ready http://localhost:8042            wait until the plugin answers
watch.py indexed http://localhost:8042          wait until nothing is queued, with a line of progress
watch.py sample http://localhost:8042 [ID]      the cases most like one slice, as a table
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

POLL_SECONDS = 0.5
STARTING_LIMIT_SECONDS = 120


class NoAnswerError(Exception):
    """Orthanc is not there, or gave no answer that can be used."""


def get(url: str, path: str) -> Any:
    """Return the JSON that Orthanc answers, of an error too: its body says what is wrong.

    A user and password in the address (http://user:password@host) are sent along.

    Raises
    ------
    NoAnswerError
        Nothing answers there, or not in JSON.

    """
    parts = urlsplit(url)
    host = f"{parts.hostname}:{parts.port or 80}"
    request = urllib.request.Request(f"{parts.scheme}://{host}{path}")  # noqa: S310 - the address is the caller's own
    if parts.username:
        login = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return _json(error.read())
    except OSError as error:
        raise NoAnswerError(str(error)) from error


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise NoAnswerError("the answer is no JSON") from error


def is_alive(process: int | None) -> bool:
    """Return whether the process runs; None is taken for one that does."""
    return process is None or os.path.exists(f"/proc/{process}")  # noqa: PTH110


def wait_until_ready(url: str, process: int | None) -> str:
    """Return the plugin's state, once it has one other than starting.

    Raises
    ------
    NoAnswerError
        Orthanc ended, or gave no answer within the limit.

    """
    end = time.monotonic() + STARTING_LIMIT_SECONDS
    while time.monotonic() < end:
        if not is_alive(process):
            raise NoAnswerError("Orthanc ended while starting")
        try:
            status = get(url, "/cbmir/status")
        except NoAnswerError:
            status = {"state": "starting"}
        if status.get("state", "starting") != "starting":
            return _checked_state(status)
        time.sleep(POLL_SECONDS)
    raise NoAnswerError(f"no answer from the plugin within {STARTING_LIMIT_SECONDS} s")


def _checked_state(status: dict[str, Any]) -> str:
    state = str(status["state"])
    if state == "disabled":
        raise NoAnswerError(f"the plugin is disabled: {status.get('reason')}")
    if state == "degraded":
        print(f"Note: the plugin works, but not fully: {status.get('reason')}")
    return state


def wait_until_indexed(url: str, process: int | None) -> dict[str, Any]:
    """Return the status once nothing is queued any more.

    Raises
    ------
    NoAnswerError
        Orthanc ended.

    """
    while True:
        if not is_alive(process):
            raise NoAnswerError("Orthanc ended while indexing")
        status: dict[str, Any] = get(url, "/cbmir/status")
        show_progress(status)
        if not status.get("queued"):
            return status
        time.sleep(POLL_SECONDS)


def show_progress(status: dict[str, Any]) -> None:
    """Print one line that is written over on a terminal, and in a log only when all is done."""
    queued = status.get("queued", 0)
    if not sys.stdout.isatty():
        if not queued:
            print(progress_line(status))
        return
    print(f"\r{progress_line(status)}\x1b[K", end="" if queued else "\n", flush=True)


def progress_line(status: dict[str, Any]) -> str:
    """Return what is indexed and what is still to come."""
    indexed, queued = int(status.get("indexed", 0)), int(status.get("queued", 0))
    done = 20 * indexed // max(1, indexed + queued)
    line = f"Indexed {indexed} slices [{'#' * done}{'.' * (20 - done)}]"
    if queued:
        line += f" {queued} to go"
        if (seconds := status.get("etaSeconds")) is not None:
            line += f", about {round(seconds)} s"
    for state in ("skipped", "failed"):
        if status.get(state):
            line += f", {status[state]} {state}"
    return line


def candidates(url: str) -> Iterator[str]:
    """Yield an instance of each series, the one in its middle: where a lesion is likely."""
    for series in get(url, "/series"):
        instances = get(url, f"/series/{series}").get("Instances", [])
        if instances:
            yield instances[len(instances) // 2]


def sample(url: str, orthanc_id: str | None) -> str:
    """Return the table of the cases most like one slice; the first that has any, where none is named."""
    for candidate in [orthanc_id] if orthanc_id else candidates(url):
        answer = get(url, f"/cbmir/similar/{candidate}?k=5")
        if answer.get("cases"):
            return table(answer)
    return "No two cases are alike yet: send images of more patients."


def table(answer: dict[str, Any]) -> str:
    """Return the answer as lines with columns: rank, similarity, label, patient, series."""
    rows = [("rank", "similarity", "label", "patient", "series")]
    rows += [(str(case["rank"]), f"{case['similarity']:.3f}", *described(case)) for case in answer["cases"]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    label, patient, series = described(answer["query"])
    lines = [f"Cases most like a slice of {patient} ({label}; {series}):"]
    lines += ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def described(case: dict[str, Any]) -> tuple[str, str, str]:
    """Return label, patient and series as far as the answer names them."""
    labels = ", ".join(entry["label"] for entry in case.get("labels") or []) or "no label"
    patient = (case.get("patient") or {}).get("PatientID") or "a patient"
    return labels, patient, case.get("SeriesDescription") or case.get("Modality") or "a series"


def main() -> None:
    """Do what the first argument says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("ready", "indexed", "sample"))
    parser.add_argument("url")
    parser.add_argument("id", nargs="?", help="an instance of Orthanc, for sample")
    parser.add_argument("--process", type=int, help="Orthanc's process: no waiting for one that has ended")
    options = parser.parse_args()
    try:
        if options.what == "ready":
            wait_until_ready(options.url, options.process)
        elif options.what == "indexed":
            wait_until_indexed(options.url, options.process)
        else:
            print(sample(options.url, options.id))
    except NoAnswerError as error:
        parser.exit(1, f"Error: {error}\n")
    except KeyboardInterrupt:
        parser.exit(130)


if __name__ == "__main__":
    main()
