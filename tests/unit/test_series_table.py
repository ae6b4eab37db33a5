from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from parts import DIM, MODEL, embedded, series

if TYPE_CHECKING:
    from cbmir.catalogue import Catalogue
    from cbmir.records import Series


def put(catalogue: Catalogue, name: str, belongs_to: Series, frames: int = 1, model: str = MODEL) -> list[int]:
    catalogue.enqueue([name])
    came, _ = catalogue.record(embedded(name, belongs_to, vectors=np.eye(frames, DIM)), model)
    return came


def test_the_members_of_a_series_are_its_slices_as_they_were_indexed(catalogue: Catalogue) -> None:
    one, other = series("P1", 1, 1), series("P1", 1, 2)
    first = put(catalogue, "a", one, frames=3)
    put(catalogue, "b", other)
    last = put(catalogue, "c", one)
    (members,) = catalogue.members([one.orthanc_id], MODEL)
    assert members.series == one
    assert members.labels.tolist() == [*first, *last]
    assert catalogue.indexed_of(one.orthanc_id, MODEL) == 2


def test_series_with_indexed_pictures_are_told_from_others(catalogue: Catalogue) -> None:
    one = series("P1", 1, 1)
    put(catalogue, "a", one)
    assert catalogue.series_among([one.orthanc_id, one.study_orthanc_id, "other"]) == {one.orthanc_id}
    assert catalogue.series_among([]) == set()


def test_the_members_of_a_study_are_those_of_all_its_series(catalogue: Catalogue) -> None:
    one, other, elsewhere = series("P1", 1, 1), series("P1", 1, 2), series("P2", 2)
    for name, its in (("a", one), ("b", other), ("c", elsewhere)):
        put(catalogue, name, its)
    both = [one.study_orthanc_id, other.orthanc_id]
    assert [found.series for found in catalogue.members(both, MODEL)] == [one, other]
    assert [len(found.labels) for found in catalogue.members(both, MODEL)] == [1, 1]


def test_nothing_has_no_members(catalogue: Catalogue) -> None:
    put(catalogue, "a", series())
    assert catalogue.members([], MODEL) == []
    assert catalogue.members(["nowhere"], MODEL) == []
    assert catalogue.members([series().orthanc_id], "another-model") == []


def test_labels_tell_their_series(catalogue: Catalogue) -> None:
    one, other = series("P1", 1), series("P2", 2, SeriesDescription="T2")
    (first,), (second,) = put(catalogue, "a", one), put(catalogue, "b", other)
    catalogue.forget(["a"])
    assert catalogue.series_of([first, second, 10**9]) == {second: other}


def test_a_plane_is_kept_while_all_slices_share_it(catalogue: Catalogue) -> None:
    axial, coronal = (replace(series(), plane=plane) for plane in ("axial", "coronal"))
    put(catalogue, "a", series())
    assert found(catalogue).plane is None
    put(catalogue, "b", axial)
    put(catalogue, "c", series())
    assert found(catalogue).plane == "axial"
    put(catalogue, "d", coronal)
    put(catalogue, "e", axial)
    assert found(catalogue).plane is None


def found(catalogue: Catalogue) -> Series:
    (members,) = catalogue.members([series().orthanc_id], MODEL)
    return members.series
