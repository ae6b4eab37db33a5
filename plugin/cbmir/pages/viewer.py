"""The files of the assembled viewer (ohif-extension/viewer), by their path below /ohif/."""

import re
from dataclasses import dataclass
from pathlib import Path

from cbmir.errors import NotFound

CONTENT_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    # A browser refuses to import a module that is sent as octet-stream, which Orthanc's own ServeFolders does.
    ".mjs": "text/javascript",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
    ".xml": "text/xml",
}

IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATE = "no-cache"

_INDEX = "index.html"

# No "%", ";", "\\" or NUL, and no name that starts with a dot: neither a way up in any spelling nor a hidden file.
_SAFE_PATH = re.compile(r"(?:[\w@+~-][\w.@+~-]*/)*(?:[\w@+~-][\w.@+~-]*)?", re.ASCII)

# OHIF's build names these after their content: another content has another name.
_NAMED_BY_CONTENT = re.compile(r"(?:.+\.bundle\.[0-9a-f]{16,}\.js|[0-9a-f]{16,}\.(?:wasm|woff2))", re.ASCII)


@dataclass(frozen=True, slots=True)
class ViewerFile:
    """An answer in full: the body and the two headers that depend on the file."""

    body: bytes
    content_type: str
    cache_control: str


def find(root: Path, path: str) -> ViewerFile | None:
    """Return the file at `path` below `root`, or None for 404.

    The viewer is a single page: what names no file and has no file ending, such as "viewer" in
    /ohif/viewer?StudyInstanceUIDs=…, is one of its routes and gets the page.

    Parameters
    ----------
    root
        The folder that scripts/assemble.mjs filled. It may be missing; then nothing is found.
    path
        The part of the URL after /ohif/, decoded once by the HTTP server; "" is the page itself.
    """
    if not _SAFE_PATH.fullmatch(path):
        return None
    file = _inside(root, path)
    if file is None and "." not in path.rpartition("/")[2]:
        file = _inside(root, _INDEX)
    return None if file is None else _read(file)


def is_installed(root: Path) -> bool:
    """Return whether the viewer's page is there."""
    return (root / _INDEX).is_file()


def missing(root: Path) -> NotFound:
    """Return the error for a path at which nothing was found."""
    if is_installed(root):
        return NotFound("the viewer has no such file")
    return NotFound("the viewer is not installed: see the setting ViewerDirectory")


def _inside(root: Path, path: str) -> Path | None:
    """Return the regular file that `path` leads to, unless a symbolic link leads out of `root`."""
    try:
        folder = root.resolve(strict=True)
        file = (folder / path).resolve(strict=True)
    except (OSError, RuntimeError):  # missing, too long a name, a loop of links
        return None
    return file if file.is_file() and file.is_relative_to(folder) else None


def _read(file: Path) -> ViewerFile | None:
    try:
        body = file.read_bytes()
    except OSError:  # removed or made unreadable a moment ago
        return None
    return ViewerFile(
        body=body,
        content_type=CONTENT_TYPES.get(file.suffix.lower(), "application/octet-stream"),
        cache_control=IMMUTABLE if _NAMED_BY_CONTENT.fullmatch(file.name) else REVALIDATE,
    )
