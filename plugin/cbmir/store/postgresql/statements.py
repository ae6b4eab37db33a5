"""The catalogue's statements as PostgreSQL's driver wants them. Pure: opens no database."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_MARK = re.compile(r"'[^']*'|\?(?P<number>\d*)|(?<![:\w]):(?P<name>[a-z_]\w*)|%")
REMEMBERED = 2048


def translated(text: str, values: Sequence[Any] | Mapping[str, Any]) -> tuple[bytes, Any]:
    """Return a statement with SQLite's marks for values (`?`, `?1`, `:name`) as psycopg has them, and its values."""
    statement, numbered = _translated(text)
    if isinstance(values, Mapping):
        return statement, values
    if numbered:
        return statement, {f"_{number}": value for number, value in enumerate(values, start=1)}
    return statement, list(values)


def quoted(text: str) -> str:
    """Return text as a literal, for what cannot be bound."""
    return "'" + text.replace("'", "''") + "'"


@lru_cache(REMEMBERED)
def _translated(text: str) -> tuple[bytes, bool]:
    """Return the statement, and whether its marks are numbered."""

    def mark(found: re.Match[str]) -> str:
        if found["name"]:
            return f"%({found['name']})s"
        if found["number"]:
            return f"%(_{found['number']})s"
        return "%s" if found[0] == "?" else found[0].replace("%", "%%")

    return _MARK.sub(mark, text).encode(), any(found["number"] for found in _MARK.finditer(text))
