"""The status page at /cbmir/: static files in page/, which get all that they show from the other routes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cbmir.pages import viewer
from cbmir.web import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[[Request], Response]

FILES = Path(__file__).parent / "page"

HEADERS = {
    # nothing but the page's own files, and no request to anywhere else
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def with_status_page(handler: Handler) -> Handler:
    """Return the handler of /cbmir/, with the page at its root and the page's files below page/."""

    def handle(request: Request) -> Response:
        folder, _, name = request.path.partition("/")
        is_page = not request.path or (folder == "page" and "." in name)
        file = viewer.find(FILES, name) if is_page and request.method == "GET" else None
        if file is None:
            return handler(request)
        return Response(200, file.body, file.content_type, {"Cache-Control": file.cache_control, **HEADERS})

    return handle
