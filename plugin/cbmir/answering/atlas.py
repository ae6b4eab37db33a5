"""The archive at a glance as JSON: of what the worker has drawn, the slices that the caller may see."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cbmir.answering.answers import DISCLAIMER, urls
from cbmir.pages import viewer
from cbmir.records import ORTHANC_LABEL
from cbmir.sequences import sequence

if TYPE_CHECKING:
    from cbmir.access import Caller
    from cbmir.answering.services import Services
    from cbmir.records import Atlas

DECIMALS = 4
"""Digits of a place: a thousandth of the side is a pixel."""


def atlas(services: Services, caller: Caller) -> dict[str, Any]:
    """Return the answer of GET /cbmir/map; without points before the first picture of this model is done."""
    model, drawn = services.embedder.model_id, services.progress.atlas
    if drawn is not None and drawn.model != model:
        drawn = None
    return {
        "disclaimer": DISCLAIMER,
        "model": model,
        "time": drawn.time if drawn else None,
        "slices": drawn.slices if drawn else 0,
        "points": _points(services, caller, drawn) if drawn else [],
    }


def _points(services: Services, caller: Caller, drawn: Atlas) -> list[dict[str, Any]]:
    """Return what is still there and may be seen."""
    places = dict(zip(drawn.labels.tolist(), drawn.places.round(DECIMALS).tolist(), strict=True))
    slices = services.catalogue.slices(list(places))
    visible = caller.studies({one.series.study_orthanc_id for one in slices.values()})
    shown = {label: one for label, one in slices.items() if one.series.study_orthanc_id in visible}
    things = {name for one in shown.values() for name in one.labelled}
    said = services.catalogue.labels(sorted(things))
    has_viewer = viewer.is_installed(Path(services.settings.viewer_directory))
    return [
        {
            "orthancId": one.orthanc_id,
            "frame": one.frame,
            "StudyInstanceUID": one.series.study_instance_uid,
            "x": places[label][0],
            "y": places[label][1],
            # Orthanc's own labels sort studies; they need not say what these show
            "labels": sorted(
                {words.label for name in one.labelled for words in said[name] if words.provenance != ORTHANC_LABEL}
            ),
            "sequence": sequence(one.series.facts) or one.series.facts.get("SeriesDescription", ""),
            "scanner": one.series.scanner,
            **urls(one, viewer=has_viewer),
        }
        for label, one in shown.items()
    ]
