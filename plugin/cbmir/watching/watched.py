"""What the checks of an archive look at and work with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cbmir.catalogue import Catalogue
    from cbmir.ingest.inbox import Progress
    from cbmir.store.protocols import VectorIndex


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """One model's slices in the catalogue and the index, and where figures are shown.

    Attributes
    ----------
    stoppable
        Ends a long work when Orthanc stops: yields what it is given, as long as there is time.
    now
        Tells the time.

    """

    catalogue: Catalogue
    index: VectorIndex
    model: str
    progress: Progress
    stoppable: Callable[[Iterable[Any]], Iterator[Any]] = iter
    now: Callable[[], datetime] = _now
