"""What a query needs of every part: the slice asked about, its vector, its cases, its heat map."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cbmir import regions
from cbmir.access import require
from cbmir.answering.answers import DISCLAIMER, Answers, prediction
from cbmir.answering.around import Around
from cbmir.answering.query import is_orthanc_id
from cbmir.answering.unusual import Unusual
from cbmir.errors import BadRequest, NotFound
from cbmir.pages import viewer
from cbmir.pixels import place, prepare, shown_window, sketch
from cbmir.records import CataloguedSlice
from cbmir.volumes import answer as volumes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cbmir.access import Caller
    from cbmir.answering.query import Comparison, Query, Target
    from cbmir.answering.scale import Scale
    from cbmir.answering.services import Services
    from cbmir.archive import Volume
    from cbmir.cases import Case
    from cbmir.classifier import Prediction
    from cbmir.pixels import Placement
    from cbmir.search import Criteria

HEAT_DECIMALS = 6
NO_INSTANCE = "there is no such instance, series or study"
NO_UID = "there is no instance, series or study with this UID"
NO_STUDY = "there is no such study"
NEAREST = 10
"""Cases looked for at least: a single one might not be the nearest, as the first hits have a say in the order."""

TOWARDS, AWAY = 0.75, 0.25
"""Weights of what a reader called similar and different, beside the query's 1: the customary ones."""


@dataclass(frozen=True, slots=True)
class _Opened:
    """A slice, or a region of it, embedded now: `cells` is (dim, h, w), what each place gives to the embedding."""

    slice: CataloguedSlice
    where: Placement
    cells: NDArray[np.float32]

    @property
    def vector(self) -> NDArray[np.float32]:
        """The (dim,) unit vector."""
        whole: NDArray[np.float32] = self.cells.sum(axis=(1, 2))
        return whole


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is looked for: `slice` is or stands for it, `find` returns the cases of a search for it."""

    query: Query
    criteria: Criteria
    caller: Caller
    slice: CataloguedSlice
    indexed: bool
    find: Callable[[Criteria], list[Case]]
    sketch: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True)
class _Embedded:
    """A slice to search by: its (dim,) vector or that of a region, and what the whole of it looks like from afar."""

    slice: CataloguedSlice
    vector: NDArray[np.float32]
    indexed: bool
    sketch: NDArray[np.uint8] | None = None


def similar(services: Services, query: Query, caller: Caller) -> dict[str, Any]:
    """Return the answer of GET /cbmir/similar/<instance>, and of the same by a series or study."""
    volume = volumes.find(services, query.target.identifier)
    if volume is not None:
        require(caller, [volume.study], NO_INSTANCE if is_orthanc_id(query.target.identifier) else NO_UID)
        return _similar_to_volume(services, query, volume, caller)
    _require(services, caller, query.target, *query.more, *query.less)
    embedded = _embedded(services, query.target)
    found = embedded.slice
    vector = refined(
        embedded.vector,
        [_embedded(services, target).vector for target in query.more],
        [_embedded(services, target).vector for target in query.less],
    )
    classifier = services.embedder.classifier
    predicted = classifier.predict(vector) if classifier else None
    criteria = query.criteria
    if query.classes == "predicted":
        criteria = replace(criteria, predicted=_class_number(services.embedder.labels, predicted))

    def find(wanted: Criteria) -> list[Case]:
        return services.search.cases(vector, found.series, wanted, caller)

    answered = _answered(
        services, _Asked(query, criteria, caller, found, embedded.indexed, find, embedded.sketch), is_slice=True
    )
    return answered | {"prediction": prediction(predicted) if predicted else None}


def _similar_to_volume(services: Services, query: Query, volume: Volume, caller: Caller) -> dict[str, Any]:
    """Return the answer for a series or study that the caller may see."""
    volumes.require_whole(query)
    members, stacks = volumes.opened(services, volume)
    compared = volumes.slices(services, stacks)

    def find(wanted: Criteria) -> list[Case]:
        return services.volumes.cases(stacks, wanted, caller)

    asked = _Asked(query, query.criteria, caller, compared[volumes.middle(stacks)], indexed=True, find=find)
    described = volumes.described(services, volume, members, stacks, compared)
    return _answered(services, asked, is_slice=False) | {"prediction": None, "volume": described}


def _answered(services: Services, asked: _Asked, *, is_slice: bool) -> dict[str, Any]:
    """Return what answers to queries by a slice and by more have in common."""
    query, criteria, caller = asked.query, asked.criteria, asked.caller
    around = Around(services, query, asked.slice.series, asked.find, caller, is_slice=is_slice)
    unusual = Unusual(services, query, asked.slice.series.patient, caller, is_slice=is_slice)
    scale = unusual.scale()
    answers = _answers(services, scale)
    cases = asked.find(replace(criteria, k=max(criteria.k, query.patients, NEAREST)))
    shown = answers.cases(cases[: criteria.k], asked.slice)
    return {
        "disclaimer": DISCLAIMER,
        "model": {"id": services.embedder.model_id, "name": services.embedder.name},
        "query": answers.query(asked.slice, indexed=asked.indexed),
        "group": query.criteria.group,
        "samePatient": query.criteria.same_patient,
        "message": None if shown else _nothing(query, services.settings.min_similarity, caller),
        "unusual": unusual.told(scale, criteria, cases, asked.sketch),
        "calibration": unusual.calibration(scale),
        "statistics": around.statistics(criteria, cases, shown, answers),
        "cases": shown,
    }


def _answers(services: Services, scale: Scale) -> Answers:
    """Return what writes cases, with the scale that their similarities have."""
    return Answers(
        services.archive,
        services.catalogue,
        services.reports,
        anonymize=services.settings.anonymize,
        viewer=viewer.is_installed(Path(services.settings.viewer_directory)),
        scale=scale,
    )


def heatmap(services: Services, comparison: Comparison, caller: Caller) -> dict[str, Any]:
    """Return the answer of GET /cbmir/heatmap/<instance>: where in both slices their similarity comes from."""
    _require(services, caller, comparison.target, comparison.against)
    query, against = (_open(services, target) for target in (comparison.target, comparison.against))
    vector, other = query.vector, against.vector
    return {
        "disclaimer": DISCLAIMER,
        "model": {"id": services.embedder.model_id, "name": services.embedder.name},
        "similarity": round(float(vector @ other), HEAT_DECIMALS),
        "query": _heat(query, other),
        "against": _heat(against, vector),
    }


def report(services: Services, study: str) -> dict[str, Any]:
    """Return the answer of GET /cbmir/report/<study>. In anonymous mode NotFound: a report may say whose it is."""
    if services.settings.anonymize:
        raise NotFound("in anonymous mode no report is shown")
    try:
        uid = services.archive.study_instance_uid(study)
    except NotFound:
        raise NotFound(NO_STUDY) from None
    lines = services.reports.first_lines(study, uid)
    return {"disclaimer": DISCLAIMER, "studyOrthancId": study, "StudyInstanceUID": uid, "lines": lines}


def _class_number(labels: tuple[str, ...], predicted: Prediction | None) -> int:
    """Return the number of the class as `Classifier.classes` gives it: -1 for what is far from all of them."""
    if predicted is None:
        raise BadRequest("the model predicts no classes: leave out class=predicted")
    return -1 if predicted.label is None else labels.index(predicted.label)


def _heat(opened: _Opened, vector: NDArray[np.float32]) -> dict[str, Any]:
    places = regions.heat(opened.cells, vector)
    return {
        "orthancId": opened.slice.orthanc_id,
        "StudyInstanceUID": opened.slice.series.study_instance_uid,
        "frame": opened.slice.frame,
        "columns": opened.where.columns,
        "rows": opened.where.rows,
        "cells": places.astype(float).round(HEAT_DECIMALS).tolist(),
        "overlay": regions.overlay(opened.where, places).astype(float).round(HEAT_DECIMALS).tolist(),
    }


def refined(
    vector: NDArray[np.float32], more: list[NDArray[np.float32]], less: list[NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Return the (dim,) unit vector moved towards some vectors and away from others (Rocchio 1971)."""
    if not more and not less:
        return vector
    moved = vector.copy()
    if more:
        moved += TOWARDS * np.mean(more, axis=0)
    if less:
        moved -= AWAY * np.mean(less, axis=0)
    length = float(np.linalg.norm(moved))
    # what is cancelled out completely says nothing any more
    return (moved / length).astype(np.float32) if length > 1e-6 else vector


def _embedded(services: Services, target: Target) -> _Embedded:
    """Return a slice or region that is asked about, with the vector to search by."""
    orthanc_id = _orthanc_id(services, target.identifier)
    known = services.catalogue.slice_vector(orthanc_id, target.frame, services.embedder.model_id)
    if target.region is not None:
        opened = _open(services, target)
        return _Embedded(opened.slice, opened.vector, known is not None)
    if known is not None:
        label = known[0].label
        return _Embedded(*known, indexed=True, sketch=services.catalogue.sketches([label]).get(label))
    found, image = _read(services, orthanc_id, target.frame)
    square = prepare(image, services.embedder.size)
    (vector,) = services.embedder.embed(square[None])
    return _Embedded(found, vector, indexed=False, sketch=sketch(square))


def searched(services: Services, target: Target) -> tuple[CataloguedSlice, NDArray[np.float32]]:
    """Return a slice, and the (dim,) unit vector that a query for it (or for its region) searches by."""
    embedded = _embedded(services, target)
    return embedded.slice, embedded.vector


def _open(services: Services, target: Target) -> _Opened:
    """Read a slice, and embed it or its region place by place."""
    found, image = _read(services, _orthanc_id(services, target.identifier), target.frame)
    embedder = services.embedder
    where = place(image, embedder.size)
    features = embedder.features(prepare(image, embedder.size))
    covered = regions.coverage(where, target.region, features.shape[1:]) if target.region else None
    return _Opened(found, where, embedder.cells(features, covered))


def _read(services: Services, orthanc_id: str, frame: int) -> tuple[CataloguedSlice, Any]:
    try:
        instance, series = services.reader.open(orthanc_id)
    except NotFound:
        if services.archive.is_above_instance(orthanc_id):
            raise BadRequest("this is the id of a series, study or patient; name one of its instances") from None
        raise NotFound(NO_INSTANCE) from None
    image = instance.frame(frame)
    found = CataloguedSlice(
        *(0, orthanc_id, frame, instance.number_of_frames, instance.sop_instance_uid), series, shown_window(image)
    )
    return found, image


def _orthanc_id(services: Services, identifier: str) -> str:
    if is_orthanc_id(identifier):
        return identifier
    entry = services.catalogue.entry(identifier)
    found = entry.orthanc_id if entry else services.archive.lookup(identifier)
    if found is None:
        raise NotFound(NO_UID)
    return found


def _require(services: Services, caller: Caller, *targets: Target) -> None:
    """Raise NotFound, as for an instance that is not there, unless the caller may see the studies of all of them."""
    if caller.sees_all:
        return
    for is_id, absent in ((True, NO_INSTANCE), (False, NO_UID)):
        named = {target.identifier for target in targets if is_orthanc_id(target.identifier) == is_id}
        require(caller, [_study(services, identifier) for identifier in named], absent)


def _study(services: Services, identifier: str) -> str | None:
    try:
        return services.reader.study(_orthanc_id(services, identifier))
    except NotFound:
        return None


def _nothing(query: Query, min_similarity: float, caller: Caller) -> str:
    if query.criteria.same_patient == "only":
        return "No other study of this patient has a similar slice."
    if query.criteria.conditions:
        return "No similar case fulfils these filters."
    if min_similarity > 0:
        return f"No similar case: no other patient's slice reaches the similarity of {min_similarity:g}."
    if not caller.sees_all:
        return "No similar case among the studies that you may see."
    return "No similar case: no other patient's slices are indexed yet."
