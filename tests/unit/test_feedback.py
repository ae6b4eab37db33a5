from __future__ import annotations

import csv
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from dicom_files import mr_slice
from parts import Workplace

import feedback
from cbmir.web import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SAID = {
    "query": "aaaaaaaa-bbbbbbbb-cccccccc-dddddddd-eeeeeeee",
    "queryFrame": 1,
    "hit": "11111111-22222222-33333333-44444444-55555555",
    "hitFrame": 12,
    "verdict": "similar",
    "model": "tiny-0123456789ab",
    "time": "2026-01-31T10:00:00+00:00",
}
HEADING = "query,queryFrame,hit,hitFrame,verdict,model,time\n"


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Return a function that has a server give one answer to every GET, and returns its address."""
    servers = []

    def start(document: Any, status: int = 200, seen: list[Any] | None = None) -> str:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()

        class OneAnswer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if seen is not None:
                    seen.append((self.path, self.headers["Authorization"]))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
                """Keep the tests quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), OneAnswer)
        threading.Thread(target=server.serve_forever).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_the_table_has_a_heading_and_a_line_for_each_verdict(
    serve: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    different = SAID | {"hitFrame": 13, "verdict": "different"}
    seen: list[Any] = []
    url = serve({"feedback": [SAID, different]}, seen=seen)
    out = tmp_path / "feedback.csv"
    assert feedback.main(["--url", url + "/", "--user", "reader:a:b", "--out", str(out)]) == 0
    assert out.read_text().startswith(HEADING)
    with out.open(newline="") as file:
        assert list(csv.DictReader(file)) == [
            {key: str(value) for key, value in one.items()} for one in (SAID, different)
        ]
    assert capsys.readouterr().out == f"2 verdicts in {out}\n"
    assert seen == [("/cbmir/feedback", "Basic cmVhZGVyOmE6Yg==")]


def test_without_a_file_the_table_goes_to_the_terminal(
    serve: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert feedback.main(["--url", serve({"feedback": []})]) == 0
    assert capsys.readouterr().out == HEADING


def test_what_the_plugin_answers_is_what_the_table_needs(serve: Callable[..., str], tmp_path: Path) -> None:
    workplace = Workplace(tmp_path)
    query, hit = workplace.store(mr_slice("P1", 1), mr_slice("P2", 2))
    workplace.work()
    said = json.dumps({"query": query, "hit": hit, "verdict": "different"}).encode()
    posted = workplace.api(Request("POST", "feedback", {}, {"content-type": "application/json"}, said))
    assert posted.status == 201
    (row,) = feedback.fetch(serve(workplace.get("feedback").body))
    assert (row["query"], row["hit"], row["verdict"]) == (query, hit, "different")
    workplace.close()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (({}, 401), "wants another name and password"),
        (({"Message": "Unknown resource"}, 404), "Unknown resource"),
        (({"error": {"message": "the plugin is disabled: no model"}}, 503), "the plugin is disabled: no model"),
        ((b"<html>", 200), "did not answer as this version"),
        (([], 200), "did not answer as this version"),
        (({"feedback": [{"query": "x"}]}, 200), "did not answer as this version"),
        (({"feedback": None}, 200), "did not answer as this version"),
    ],
)
def test_without_an_answer_it_says_why_and_leaves_the_table_alone(
    serve: Callable[..., str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    answer: tuple[Any, int],
    message: str,
) -> None:
    out = tmp_path / "feedback.csv"
    out.write_text("earlier")
    assert feedback.main(["--url", serve(*answer), "--out", str(out)]) == 1
    assert message in capsys.readouterr().err
    assert out.read_text() == "earlier"


def test_an_orthanc_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert feedback.main(["--url", "http://127.0.0.1:9"]) == 1
    assert "http://127.0.0.1:9 does not answer" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_named(serve: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    assert feedback.main(["--url", serve({"feedback": []}), "--out", "/nowhere/feedback.csv"]) == 1
    assert "/nowhere/feedback.csv" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--user", "reader"], ["--none"]])
def test_a_slip_on_the_command_line_is_explained(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        feedback.main(arguments)
    assert "error" in capsys.readouterr().err


def test_help_shows_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        feedback.main(["--help"])
    assert "--out feedback.csv" in capsys.readouterr().out
