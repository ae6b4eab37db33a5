from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from parts import series, units

from cbmir.sequences import kind_of
from cbmir.volumes.comparison import Found, compared, rows_of
from cbmir.volumes.interaction import redundancy_weights
from cbmir.volumes.question import Stack


def stack(vectors: Any, description: str) -> Stack:
    rows, own = units(vectors), replace(series(SeriesDescription=description), plane="axial")
    return Stack(own, kind_of(own), np.arange(len(rows)), rows, redundancy_weights(rows))


def found(query: list[Stack], vectors: Any, description: str) -> Found:
    rows = units(vectors)
    similarities = np.concatenate([one.vectors for one in query]) @ rows.T
    own = replace(series("P2", 2, SeriesDescription=description), plane="axial")
    return Found(own, 100 + np.arange(len(rows)), redundancy_weights(rows), similarities)


def test_a_series_is_most_similar_to_itself() -> None:
    query = [stack(np.eye(4, 16), "T1C")]
    assert compared(query, [found(query, np.eye(4, 16), "T1C")]).score == pytest.approx(1)
    assert compared(query, [found(query, np.eye(16)[2:6], "T1C")]).score < 0.9


def test_t1_after_contrast_is_compared_with_t1_after_contrast() -> None:
    query = [stack(np.eye(2, 16), "T1C"), stack(np.eye(16)[4:6], "T2")]
    near = np.eye(2, 16) + 0.1
    comparison = compared(query, [found(query, near, "T2"), found(query, near + 0.05, "T1C")])
    assert comparison.found[comparison.chosen[0]].series.facts["SeriesDescription"] == "T1C"
    assert comparison.found[comparison.chosen[1]].series.facts["SeriesDescription"] == "T2"


def test_the_same_pictures_of_another_sequence_are_less_similar() -> None:
    query = [stack(np.eye(2, 16), "T1C")]
    same, other = (compared(query, [found(query, np.eye(2, 16), name)]).score for name in ("T1C", "T2"))
    assert same > other > 0


def test_the_slices_of_each_series_follow_one_another() -> None:
    query = [stack(np.eye(2, 16), "T1C"), stack(np.eye(3, 16), "T2")]
    assert list(rows_of(query)) == [slice(0, 2), slice(2, 5)]
