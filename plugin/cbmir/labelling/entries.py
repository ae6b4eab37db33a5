"""Labels as Orthanc keeps them: JSON under a metadata, merged with what is there. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cbmir.records import Label


class NotLabelsError(Exception):
    """The metadata holds something else than labels."""


Entries = list[dict[str, Any]]
"""What a metadata says, each entry with all its keys, also such as others wrote."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What becomes of entries: those that stay, that come, and that go."""

    there: Entries
    added: Entries
    removed: Entries

    @property
    def changes(self) -> bool:
        """Whether anything is to be written."""
        return bool(self.added or self.removed)

    @property
    def text(self) -> str:
        """What the metadata is to hold."""
        return json.dumps(self.there + self.added, ensure_ascii=False)


def entries(text: str | None) -> Entries:
    """Return what a metadata says; None is one that is not there. Raises NotLabelsError."""
    if text is None:
        return []
    try:
        found = json.loads(text)
        if all(isinstance(one["label"], str) for one in found):
            return list(found)
    except (ValueError, TypeError, LookupError, RecursionError):
        pass
    raise NotLabelsError("its metadata holds something else than labels")


def merged(before: Sequence[dict[str, Any]], labels: Iterable[Label], *, replace: bool) -> Merged:
    """Return what becomes of entries when labels come in.

    One is there if one of the same text and provenance is. What others wrote stays, unless all is to be replaced.
    """
    wanted = {(one.label, one.provenance) for one in labels}
    known = {key(one) for one in before}
    return Merged(
        [one for one in before if not replace or key(one) in wanted],
        [{"label": label, "provenance": ground} for label, ground in sorted(wanted - known)],
        [one for one in before if replace and key(one) not in wanted],
    )


def key(entry: dict[str, Any]) -> tuple[str, str]:
    """Return what tells an entry from others: its text and its provenance."""
    return entry.get("label", ""), str(entry.get("provenance") or "")
