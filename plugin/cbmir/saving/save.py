"""What saving a search needs of every part: the slices, their similarities, the documents, their way into Orthanc."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from cbmir.access import require
from cbmir.answering.answers import DECIMALS, DISCLAIMER
from cbmir.errors import NotFound
from cbmir.pages import viewer
from cbmir.similar import searched

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbmir.access import Caller
    from cbmir.answering.query import Selection
    from cbmir.answering.services import Services
    from cbmir.records import CataloguedSlice
    from cbmir.saving.documents import Document

ABSENT = "query and hits must be indexed slices"


def save(services: Services, selection: Selection, caller: Caller, shown: Mapping[str, str]) -> dict[str, Any]:
    """Return the answer of POST /cbmir/save; `shown` are the headers that tell Orthanc who the caller is.

    Similarities are computed anew: a document must not say what a browser made up.

    Raises
    ------
    NotFound
        A slice is not there, not indexed, or (Hidden) not for this caller.
    Forbidden, Unavailable
        As `Delivery.store`.

    """
    from cbmir.saving.documents import Kept, documents  # noqa: PLC0415 - takes a second, and only this needs it

    if not caller.sees_all:
        named = {target.identifier for target in (selection.query, *selection.hits)}
        require(caller, [services.reader.study(one) for one in named], ABSENT)
    query, vector = searched(services, selection.query)
    model = services.embedder
    hits: list[tuple[CataloguedSlice, float]] = []
    for target in selection.hits:
        known = services.catalogue.slice_vector(target.identifier, target.frame, model.model_id)
        if known is None:
            raise NotFound(ABSENT)
        hits.append((known[0], min(1.0, float(vector @ known[1]))))
    kept = Kept(query, selection.query.region, hits, model.model_id, model.name, DISCLAIMER)
    written = documents(kept, services.archive.dicom(query.orthanc_id))
    stored = services.delivery.store([document.file for document in written], shown)
    is_viewed = viewer.is_installed(Path(services.settings.viewer_directory))
    report, key_objects = (
        _stored(document, orthanc_id, query, is_viewed=is_viewed)
        for document, orthanc_id in zip(written, stored, strict=True)
    )
    return {
        "disclaimer": DISCLAIMER,
        "query": _named(query),
        "hits": [{**_named(hit), "similarity": round(similarity, DECIMALS)} for hit, similarity in hits],
        "report": report,
        "keyObjects": key_objects,
    }


def _named(one: CataloguedSlice) -> dict[str, Any]:
    return {
        "orthancId": one.orthanc_id,
        "SOPInstanceUID": one.sop_instance_uid,
        "StudyInstanceUID": one.series.study_instance_uid,
        "frame": one.frame,
    }


def _stored(document: Document, orthanc_id: str, query: CataloguedSlice, *, is_viewed: bool) -> dict[str, Any]:
    place = {
        "StudyInstanceUIDs": query.series.study_instance_uid,
        "initialSeriesInstanceUID": document.series_instance_uid,
    }
    return {
        "orthancId": orthanc_id,
        "SOPInstanceUID": document.sop_instance_uid,
        "SeriesInstanceUID": document.series_instance_uid,
        "viewerUrl": f"/ohif/viewer?{urlencode(place)}"
        if is_viewed
        else f"/app/explorer.html#instance?uuid={orthanc_id}",
    }
