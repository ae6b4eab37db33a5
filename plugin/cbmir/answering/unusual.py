"""Whether anything in the archive is near to a query at all, by what the worker has measured of its own slices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cbmir.answering.scale import CALIBRATION, NO_SCALE, Scale
from cbmir.watching.calibration import FEWEST_PATIENTS, FEWEST_SLICES, scaled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cbmir.access import Caller
    from cbmir.answering.query import Query
    from cbmir.answering.services import Services
    from cbmir.cases import Case
    from cbmir.records import Gallery
    from cbmir.search import Criteria

DECIMALS = 4

UNMEASURED = (
    f"Whether a slice is unusual here cannot be told yet: that needs {FEWEST_PATIENTS} patients"
    f" and {FEWEST_SLICES} slices, and is measured in idle moments."
)
NOT_A_SLICE = (
    "Whether this is unusual here cannot be told: that is known of whole slices, not of series, regions or refinements."
)
UNUSUAL = {
    "similarity": "Nothing{among} looks much like this slice: its nearest is less alike than the nearest of 99 in 100"
    " slices of this archive. These cases are the least unlike, no more.",
    "picture": "Nothing{among} looks much like this slice: seen from afar, it differs from every other more than 99 in"
    " 100 slices of this archive do. What the network finds alike in it may mean nothing.",
}

STUDIES_ASKED = 32
"""Studies that Orthanc is asked about for the nearest picture that a caller may see."""


class Unusual:
    """Tells of one query how near its nearest are for this archive."""

    def __init__(self, services: Services, query: Query, patient: str, caller: Caller, *, is_slice: bool) -> None:
        """Take the query, the patient who it is of, who asks, and whether by a slice or by a whole series or study."""
        self._services = services
        self._query = query
        self._patient = patient
        self._caller = caller
        self._is_slice = is_slice

    def scale(self) -> Scale:
        """Return what tells where a similarity of this query lies; one that knows nothing, where it has no place."""
        if not self._is_whole_slice():
            return NO_SCALE
        services = self._services
        return Scale.of(services.catalogue.last_day(CALIBRATION, services.embedder.model_id))

    def _is_whole_slice(self) -> bool:
        query = self._query
        return self._is_slice and query.target.region is None and not query.more and not query.less

    def calibration(self, scale: Scale) -> dict[str, Any]:
        """Return whether similarities have a scale here and, to those who may be told, what it was measured on."""
        measured = scale.calibration if scale.is_known and self._caller.sees_statistics() else None
        message = None if scale.is_known else UNMEASURED if self._is_whole_slice() else NOT_A_SLICE
        return {
            "known": scale.is_known,
            "message": message,
            "patients": measured.patients if measured else None,
            "slices": measured.sample if measured else None,
        }

    def told(
        self, scale: Scale, criteria: Criteria, found: Sequence[Case], sketch: NDArray[np.uint8] | None
    ) -> dict[str, Any] | None:
        """Return how far the nearest is, where it is farther than is usual; None also where filters chose.

        Nearest to the network, or else as a picture from afar, of which `sketch` is that of the slice asked about.
        """
        if criteria.conditions or criteria.predicted is not None or criteria.same_patient == "only":
            return None
        return self._unlike(scale, found) or (self._unlike_from_afar(sketch) if self._is_whole_slice() else None)

    def _unlike(self, scale: Scale, found: Sequence[Case]) -> dict[str, Any] | None:
        others = [case.best for case in found if case.best.slice.series.patient != self._patient]
        nearest = max((hit.similarity for hit in others), default=None)
        usual_from = scale.usual_from
        if nearest is None or usual_from is None or nearest >= usual_from:
            return None
        return self._far("similarity", nearest, usual_from)

    def _unlike_from_afar(self, sketch: NDArray[np.uint8] | None) -> dict[str, Any] | None:
        services = self._services
        shown = services.progress.gallery
        if shown is None or sketch is None or shown.model != services.embedder.model_id:
            return None
        nearest = nearest_picture(shown, sketch, self._patient, self._caller)
        if nearest is None or nearest >= shown.usual_from:
            return None
        return self._far("picture", nearest, shown.usual_from)

    def _far(self, by: str, nearest: float, usual_from: float) -> dict[str, Any]:
        among = "" if self._caller.sees_all else " that you may see"
        return {
            "by": by,
            "similarity": round(nearest, DECIMALS),
            "usualFrom": round(usual_from, DECIMALS),
            "message": UNUSUAL[by].format(among=among),
        }


def nearest_picture(shown: Gallery, sketch: NDArray[np.uint8], own: str, caller: Caller) -> float | None:
    """Return the similarity of the nearest picture of another patient than `own`, as the caller may see.

    Of a caller who may not see everything Orthanc is asked about a few studies; None where none of them is visible.
    """
    similarities = shown.pictures @ scaled(sketch)
    others = np.flatnonzero(shown.patients != own)
    if caller.sees_all:
        return float(similarities[others].max(initial=-1)) if len(others) else None
    nearest = others[np.argsort(-similarities[others], kind="stable")]
    studies = list(dict.fromkeys(shown.studies[nearest].tolist()))[:STUDIES_ASKED]
    visible = caller.studies(studies)
    return next((float(similarities[place]) for place in nearest if shown.studies[place] in visible), None)
