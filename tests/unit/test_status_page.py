from __future__ import annotations

import re

import pytest

from cbmir.pages.status_page import FILES, with_status_page
from cbmir.web import Request, Response, answer


def others(request: Request) -> Response:
    return answer({"path": request.path, "method": request.method})


HANDLE = with_status_page(others)


def test_the_page_is_at_the_root() -> None:
    response = HANDLE(Request("GET", ""))
    assert (response.status, response.content_type) == (200, "text/html")
    assert response.body == (FILES / "index.html").read_bytes()


@pytest.mark.parametrize(
    ("name", "content_type"),
    [("status.js", "text/javascript"), ("status.css", "text/css"), ("icon.svg", "image/svg+xml")],
)
def test_its_files_are_below_it_with_their_types(name: str, content_type: str) -> None:
    response = HANDLE(Request("GET", f"page/{name}"))
    assert (response.status, response.content_type) == (200, content_type)


def test_its_files_may_load_nothing_from_elsewhere_and_run_no_inline_script() -> None:
    policy = HANDLE(Request("GET", "")).headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


@pytest.mark.parametrize(
    "path",
    ["status", "similar/x", "page", "page/", "page/none.js", "page/../api.py", "page/../../main.py", "pages/x.js"],
)
def test_every_other_path_is_for_the_plugin(path: str) -> None:
    assert b'"path"' in HANDLE(Request("GET", path)).body


@pytest.mark.parametrize("path", ["", "page/status.js"])
def test_the_page_answers_nothing_but_get(path: str) -> None:
    assert b'"method": "POST"' in HANDLE(Request("POST", path)).body


def test_the_page_holds_neither_inline_code_nor_markup_from_answers() -> None:
    page = (FILES / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", page)
    for script in FILES.glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", script.read_text())


def test_every_address_in_the_page_is_relative_so_that_a_proxy_may_put_a_prefix_before_it() -> None:
    addresses = re.findall(r'(?:href|src)="([^"]*)"', (FILES / "index.html").read_text())
    assert addresses
    assert all(address.startswith("../") for address in addresses)
