from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from parts import series, units

from cbmir.sequences import kind_of
from cbmir.volumes.candidates import PROBES, Probes, promising
from cbmir.volumes.interaction import redundancy_weights
from cbmir.volumes.question import Stack

if TYPE_CHECKING:
    from cbmir.records import Series

ONE, TWO, THREE = (series(f"P{number}", number, SeriesDescription="T1C") for number in range(1, 4))


def stack(vectors: Any) -> Stack:
    rows, own = units(vectors), series("P0", 9, SeriesDescription="T1C")
    return Stack(own, kind_of(own), np.arange(len(rows)), rows, redundancy_weights(rows))


def near(*pairs: tuple[int, float]) -> tuple[Any, Any]:
    return np.array([label for label, _ in pairs], np.int64), np.array([value for _, value in pairs], np.float32)


def study(found: Series) -> str | None:
    return found.study_orthanc_id


def test_a_long_query_has_a_limited_number_of_probes() -> None:
    probes = Probes([stack(np.random.default_rng(0).standard_normal((500, 16))) for _ in range(3)])
    assert len(probes.vectors) == len(probes.weights) == len(probes.stacks) == PROBES
    assert set(probes.stacks.tolist()) == {0, 1, 2}
    assert abs(probes.weights.sum() - 1) < 1e-6


def test_what_more_probes_find_is_more_promising() -> None:
    query = [stack(np.eye(2, 16))]
    found = [near((1, 0.9), (2, 0.8)), near((2, 0.8), (3, 0.5))]
    order = promising(query, Probes(query), found, {1: ONE, 2: TWO, 3: THREE}, study)
    assert order == [TWO.study_orthanc_id, ONE.study_orthanc_id, THREE.study_orthanc_id]


def test_what_must_not_be_shown_and_what_is_gone_is_no_candidate() -> None:
    query = [stack(np.eye(1, 16))]
    found = [near((1, 0.9), (2, 0.8), (7, 0.7))]
    order = promising(
        query, Probes(query), found, {1: ONE, 2: TWO}, lambda one: None if one is ONE else one.study_orthanc_id
    )
    assert order == [TWO.study_orthanc_id]
    assert promising(query, Probes(query), [near()], {}, study) == []


def test_another_sequence_is_less_promising() -> None:
    query = [stack(np.eye(1, 16))]
    other = series("P5", 5, SeriesDescription="T2")
    order = promising(query, Probes(query), [near((1, 0.8), (2, 0.7))], {1: other, 2: TWO}, study)
    assert order == [TWO.study_orthanc_id, other.study_orthanc_id]
