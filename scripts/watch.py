"""Look at an Orthanc that has the plugin: wait for it, follow its indexing, ask it a sample question.

watch.py ready var/orthanc.json          wait until the plugin answers
watch.py indexed var/orthanc.json        wait until nothing is queued, with a line of progress
watch.py sample var/orthanc.json [ID]    the cases most like one slice, as a table
watch.py healthy var/orthanc.json        exit status 1 if the plugin is off or stuck: a container's health check
watch.py address var/orthanc.json        where it is, as a URL
watch.py login var/orthanc.json          NAME:PASSWORD of its first user, nothing if it has none

The configuration, as written by write_config.py, tells the port and the user. Needs the standard library only.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from deploy.write_config import without_comments

if TYPE_CHECKING:
    from collections.abc import Iterator

POLL_SECONDS = 0.5
STARTING_LIMIT_SECONDS = 120


class NoAnswerError(Exception):
    """Orthanc is not there, or gave no answer that can be used."""


@dataclass(frozen=True, slots=True)
class Orthanc:
    """One on this machine. `login` is NAME:PASSWORD or empty; a `process` of 0 is taken for one that runs."""

    url: str
    login: str = ""
    process: int = 0

    @classmethod
    def of(cls, config: Path, process: int) -> Self:
        """Return the one that has this configuration."""
        settings = json.loads(without_comments(config.read_text(encoding="utf-8")))
        users = settings.get("RegisteredUsers") or {}
        login = next((f"{name}:{password}" for name, password in users.items()), "")
        scheme = "https" if settings.get("SslEnabled") else "http"
        return cls(f"{scheme}://localhost:{settings.get('HttpPort', 8042)}", login, process)

    def is_alive(self) -> bool:
        """Return whether its process has not ended."""
        return not self.process or Path(f"/proc/{self.process}").exists()

    def get(self, path: str) -> Any:
        """Return the JSON that it answers, of an error too: that says what is wrong.

        Raises
        ------
        NoAnswerError
            Nothing answers, or not in JSON.

        """
        request = urllib.request.Request(self.url + path)  # noqa: S310 - http or https, see `of`
        if self.login:
            request.add_header("Authorization", f"Basic {base64.b64encode(self.login.encode()).decode()}")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return _json(error.read())
        except OSError as error:
            raise NoAnswerError(str(error)) from error

    def status(self) -> dict[str, Any]:
        """Return what the plugin says of itself."""
        answer = self.get("/cbmir/status")
        return answer if isinstance(answer, dict) and "state" in answer else {"state": "missing", "reason": answer}


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise NoAnswerError("the answer is no JSON") from error


def check_health(orthanc: Orthanc) -> None:
    """Pass over what mends itself: starting, and degraded (a full disk, say), where search goes on.

    Raises
    ------
    NoAnswerError
        Orthanc does not answer, or the plugin is off or stuck.

    """
    status = orthanc.status()
    if status["state"] not in ("starting", "running", "degraded"):
        raise NoAnswerError(f"the plugin is {status['state']}: {status.get('reason')}")
    if status.get("worker") == "stalled":
        raise NoAnswerError("the plugin's worker is stuck")


def wait_until_ready(orthanc: Orthanc) -> None:
    """Return once the plugin works.

    Raises
    ------
    NoAnswerError
        Orthanc ended, or gave no answer within the limit, or the plugin is off.

    """
    end = time.monotonic() + STARTING_LIMIT_SECONDS
    while time.monotonic() < end:
        if not orthanc.is_alive():
            raise NoAnswerError("Orthanc ended while starting")
        try:
            status = orthanc.status()
        except NoAnswerError:
            status = {"state": "starting"}
        if status["state"] != "starting":
            check_health(orthanc)
            if status["state"] == "degraded":
                print(f"Note: the plugin works, but not fully: {status.get('reason')}")
            return
        time.sleep(POLL_SECONDS)
    raise NoAnswerError(f"no answer from the plugin within {STARTING_LIMIT_SECONDS} s")


def wait_until_indexed(orthanc: Orthanc) -> None:
    """Return once nothing is queued any more.

    Raises
    ------
    NoAnswerError
        Orthanc ended.

    """
    while True:
        if not orthanc.is_alive():
            raise NoAnswerError("Orthanc ended while indexing")
        status = orthanc.status()
        show_progress(status)
        if not status.get("queued"):
            return
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


def candidates(orthanc: Orthanc) -> Iterator[str]:
    """Yield an instance of each series, the one in its middle: where a lesion is likely."""
    for series in orthanc.get("/series"):
        instances = sorted(orthanc.get(f"/series/{series}/instances"), key=_instance_number)
        if instances:
            yield instances[len(instances) // 2]["ID"]


def _instance_number(instance: dict[str, Any]) -> int:
    number = instance.get("MainDicomTags", {}).get("InstanceNumber", "").strip()
    return int(number) if number.lstrip("+-").isdigit() else 0


def sample(orthanc: Orthanc, orthanc_id: str | None) -> str:
    """Return the table of the cases most like one slice; the first that has any, where none is named."""
    for candidate in [orthanc_id] if orthanc_id else candidates(orthanc):
        answer = orthanc.get(f"/cbmir/similar/{candidate}?k=5")
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
    parser.add_argument("what", choices=("ready", "indexed", "sample", "healthy", "address", "login"))
    parser.add_argument("config", type=Path, help="Orthanc's configuration")
    parser.add_argument("id", nargs="?", help="an instance of Orthanc, for sample")
    parser.add_argument("--process", type=int, default=0, help="Orthanc's process: no waiting for one that has ended")
    options = parser.parse_args()
    try:
        orthanc = Orthanc.of(options.config, options.process)
        actions = {"ready": wait_until_ready, "indexed": wait_until_indexed, "healthy": check_health}
        if action := actions.get(options.what):
            action(orthanc)
        else:
            answers = {"address": orthanc.url, "login": orthanc.login}
            print(answers[options.what] if options.what in answers else sample(orthanc, options.id))
    except (NoAnswerError, OSError, ValueError) as error:
        parser.exit(1, f"Error: {error}\n")
    except KeyboardInterrupt:
        parser.exit(130)


if __name__ == "__main__":
    main()
