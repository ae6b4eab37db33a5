from pathlib import Path

import pytest

from cbmir.pages import viewer


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "viewer"
    for name in (
        "index.html",
        "app-config.js",
        "app.bundle.0f6159c501addfe9.js",
        "app.bundle.css",
        "0ddf166f7a343eda.wasm",
        "worker.mjs",
        "manifest.json",
        "ohif-logo.svg",
        "assets/favicon.ico",
        "cbmir/extension.js",
        "LICENSE",
        ".assembled.json",
    ):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"this is {name}")
    (tmp_path / "secret.json").write_text("outside")
    return root


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("index.html", "text/html"),
        ("app-config.js", "text/javascript"),
        ("worker.mjs", "text/javascript"),
        ("0ddf166f7a343eda.wasm", "application/wasm"),
        ("manifest.json", "application/json"),
        ("app.bundle.css", "text/css"),
        ("ohif-logo.svg", "image/svg+xml"),
        ("assets/favicon.ico", "image/x-icon"),
    ],
)
def test_each_kind_of_file_has_the_type_a_browser_insists_on(root: Path, path: str, content_type: str) -> None:
    file = viewer.find(root, path)
    assert file is not None
    assert file.body == f"this is {path}".encode()
    assert file.content_type == content_type


def test_a_file_without_a_known_ending_is_a_download(root: Path) -> None:
    (root / "data.bin").write_text("")
    file = viewer.find(root, "data.bin")
    assert file is not None
    assert file.content_type == "application/octet-stream"


@pytest.mark.parametrize("path", ["app.bundle.0f6159c501addfe9.js", "0ddf166f7a343eda.wasm"])
def test_files_named_by_their_content_are_kept_for_ever(root: Path, path: str) -> None:
    file = viewer.find(root, path)
    assert file is not None
    assert file.cache_control == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("path", ["", "index.html", "app-config.js", "cbmir/extension.js", "app.bundle.css", "viewer"])
def test_files_that_an_update_replaces_are_asked_for_each_time(root: Path, path: str) -> None:
    file = viewer.find(root, path)
    assert file is not None
    assert file.cache_control == "no-cache"


@pytest.mark.parametrize("path", ["", "viewer", "viewer/", "segmentation", "viewer/dicomweb", "assets", "assets/"])
def test_a_route_of_the_single_page_gets_the_page(root: Path, path: str) -> None:
    file = viewer.find(root, path)
    assert file is not None
    assert file.body == b"this is index.html"
    assert file.content_type == "text/html"


@pytest.mark.parametrize("path", ["missing.js", "cbmir/missing.mjs", "assets/missing.png", "index.html/x.js"])
def test_a_missing_file_is_not_answered_with_the_page(root: Path, path: str) -> None:
    assert viewer.find(root, path) is None


@pytest.mark.parametrize(
    "path",
    [
        "../secret.json",
        "assets/../../secret.json",
        "assets/../index.html",
        "..",
        "%2e%2e/secret.json",
        "%2e%2e%2fsecret.json",
        "..%2fsecret.json",
        "..;/secret.json",
        "..\\secret.json",
        "/etc/passwd",
        "//etc/passwd",
        "assets//favicon.ico",
        "index.html\x00.js",
        "\x00",
        "viewer\n",
        ".assembled.json",
        "./index.html",
        "\uff0e\uff0e/secret.json",
        "x" * 5000 + ".js",
    ],
)
def test_no_spelling_leads_out_of_the_folder_or_to_hidden_files(root: Path, path: str) -> None:
    assert viewer.find(root, path) is None


def test_symbolic_links_are_followed_inside_the_folder_only(root: Path, tmp_path: Path) -> None:
    (root / "out.json").symlink_to(tmp_path / "secret.json")
    (root / "outside").symlink_to(tmp_path)
    (root / "loop.js").symlink_to(root / "loop.js")
    (root / "inside.js").symlink_to(root / "app-config.js")
    assert viewer.find(root, "out.json") is None
    assert viewer.find(root, "outside/secret.json") is None
    assert viewer.find(root, "loop.js") is None
    inside = viewer.find(root, "inside.js")
    assert inside is not None
    assert inside.body == b"this is app-config.js"


def test_the_folder_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    link = tmp_path / "current"
    link.symlink_to(root)
    assert viewer.find(link, "app-config.js") is not None


def test_before_the_viewer_is_assembled_nothing_is_found(tmp_path: Path) -> None:
    assert viewer.find(tmp_path / "missing", "") is None
    assert viewer.find(tmp_path, "viewer") is None
