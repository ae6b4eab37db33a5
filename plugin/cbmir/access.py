"""Which studies a caller may see, as the rest of the library asks it. In doubt, none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from cbmir.errors import Hidden, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cbmir.web import Request

NOWHERE = "-".join(["0" * 8] * 5)
"""An Orthanc id that no study has. It is asked about in place of a study that is not there, so that to the caller an
instance that is absent and one that is hidden differ neither in words nor in time."""


class Caller(Protocol):
    """Whoever sent a request."""

    @property
    def sees_all(self) -> bool:
        """Whether nothing is hidden from any caller, so that there is nothing to ask."""

    def studies(self, orthanc_ids: Iterable[str]) -> set[str]:
        """Return which of these studies the caller may see. Raises Unavailable where that cannot be found out."""

    def sees_statistics(self) -> bool:
        """Return whether the caller may see figures of the whole archive; False also where that is not known."""


class Gatekeeper(Protocol):
    """Tells callers apart."""

    def caller(self, request: Request) -> Caller:
        """Return who sent a request."""


class Anyone:
    """Every caller of an Orthanc that hides nothing from those it answers; its own gatekeeper."""

    sees_all = True

    def caller(self, _request: Request) -> Caller:
        """Return the one caller that there is."""
        return self

    def studies(self, orthanc_ids: Iterable[str]) -> set[str]:
        """Return all of them."""
        return set(orthanc_ids)

    def sees_statistics(self) -> bool:
        """Return True."""
        return True


ANYONE = Anyone()


def require(caller: Caller, studies: Iterable[str | None], absent: str) -> None:
    """Let pass whoever may see all of these studies; None is one that is not there.

    Raises
    ------
    NotFound
        One is not there, or (Hidden) the caller may not see it. To the caller both say `absent`.
    Unavailable
        As `Caller.studies`.

    """
    wanted = list(studies)
    visible = caller.studies({study or NOWHERE for study in wanted})
    if None in wanted:
        raise NotFound(absent)
    if not visible.issuperset(wanted):
        raise Hidden(absent)
