"""A query by a series or study: found in the archive, opened from the catalogue, described as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cbmir.answering.answers import DECIMALS, kind, place
from cbmir.answering.query import is_orthanc_id
from cbmir.errors import BadRequest, Unavailable, UnsupportedSlice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cbmir.answering.query import Query
    from cbmir.answering.services import Services
    from cbmir.archive import Volume
    from cbmir.records import CataloguedSlice, Members
    from cbmir.volumes.question import Stack


def find(services: Services, identifier: str) -> Volume | None:
    """Return the series or study of an Orthanc id or UID; None for an instance and for what is not there."""
    if services.catalogue.entry(identifier) is not None:
        return None
    archive = services.archive
    if is_orthanc_id(identifier):
        return archive.volume(identifier)
    orthanc_id = None if archive.lookup(identifier) else archive.lookup_volume(identifier)
    return archive.volume(orthanc_id) if orthanc_id else None


def require_whole(query: Query) -> None:
    """Raise BadRequest where something is asked that only a slice can answer."""
    target = query.target
    if target.frame != 1 or target.region or query.more or query.less or query.classes != "any":
        raise BadRequest("frame, roi, more, less and class belong to a query by one slice: name one of the instances")


def opened(services: Services, volume: Volume) -> tuple[list[Members], list[Stack]]:
    """Return the indexed series of a series or study, and what is compared of them. UnsupportedSlice if nothing is."""
    members = services.catalogue.members([volume.orthanc_id], services.embedder.model_id)
    stacks = services.volumes.stacks(members)
    if not stacks:
        raise UnsupportedSlice(
            f"none of the {volume.instances} instances of this {volume.level} is indexed: they are waiting,"
            " or were left out for a reason that /cbmir/status tells"
        )
    return members, stacks


def slices(services: Services, stacks: Sequence[Stack]) -> dict[int, CataloguedSlice]:
    """Return the slices that are compared, by their labels. Raises Unavailable if one of them went meanwhile."""
    labels = [label for stack in stacks for label in stack.labels.tolist()]
    found = services.catalogue.slices(labels)
    if len(found) < len(labels):
        raise Unavailable("what was asked about is being changed; please try again")
    return found


def middle(stacks: Sequence[Stack]) -> int:
    """Return the label of the slice that stands for a query: the one in the middle of its first series."""
    return int(stacks[0].labels[len(stacks[0].labels) // 2])


def described(
    services: Services,
    volume: Volume,
    members: Sequence[Members],
    stacks: Sequence[Stack],
    compared: Mapping[int, CataloguedSlice],
) -> dict[str, Any]:
    """Return what was asked about, as JSON."""
    indexed = services.catalogue.indexed_of(volume.orthanc_id, services.embedder.model_id)
    return {
        "level": volume.level,
        "orthancId": volume.orthanc_id,
        "instances": volume.instances,
        "indexed": indexed,
        "message": _left_out(volume.instances, indexed, members, stacks),
        "series": [
            {
                "orthancId": stack.series.orthanc_id,
                "SeriesInstanceUID": stack.series.series_instance_uid,
                **kind(stack.series),
                "slices": [
                    {**place(compared[label]), "weight": round(weight, DECIMALS)}
                    for label, weight in zip(stack.labels.tolist(), stack.weights.tolist(), strict=True)
                ],
            }
            for stack in stacks
        ],
    }


def _left_out(instances: int, indexed: int, members: Sequence[Members], stacks: Sequence[Stack]) -> str | None:
    """Return what is not compared and why, in sentences, or None."""
    said = []
    if (missing := instances - indexed) > 0:
        said.append(f"{missing} of {instances} instances {'is' if missing == 1 else 'are'} not indexed (yet).")
    if len(stacks) < len(members):
        said.append("Localizers are left out.")
    used = {stack.series.orthanc_id: len(stack.labels) for stack in stacks}
    slices = sum(len(one.labels) for one in members if one.series.orthanc_id in used)
    if (compared := sum(used.values())) < slices:
        said.append(f"Of {slices} slices, {compared} evenly chosen ones are compared.")
    return " ".join(said) or None
