"""Callers of whom the tests say what they may see."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cbmir.access import Caller
    from cbmir.web import Request


class Reader:
    """A caller from whom some studies are hidden; the gatekeeper who lets nobody else in."""

    sees_all = False

    def __init__(self, *, statistics: bool = False) -> None:
        """Make one who may see everything for now; `statistics` says whether Orthanc's own figures are among it."""
        self.hidden: set[str] = set()
        self.asked: list[int] = []
        """How many studies were asked about at once, time by time."""
        self._statistics = statistics

    def caller(self, _request: Request) -> Caller:
        """Return itself."""
        return self

    def studies(self, orthanc_ids: Iterable[str]) -> set[str]:
        """Return those that are not hidden."""
        wanted = set(orthanc_ids)
        self.asked.append(len(wanted))
        return wanted - self.hidden

    def sees_statistics(self) -> bool:
        """Return as was said."""
        return self._statistics
