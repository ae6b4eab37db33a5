from __future__ import annotations

import pytest

from cbmir.answering.scale import FEWEST_PATIENTS, FEWEST_SLICES, NO_SCALE, Scale
from cbmir.records import Calibration

EVEN = tuple(percent / 100 for percent in range(101))


def scale(quantiles: tuple[float, ...] = EVEN, patients: int = FEWEST_PATIENTS, sample: int = FEWEST_SLICES) -> Scale:
    return Scale(Calibration(patients, sample, quantiles))


@pytest.mark.parametrize(("similarity", "percentile"), [(-1, 0), (0.255, 25), (0.505, 50), (0.905, 90), (1.1, 100)])
def test_a_percentile_is_the_share_of_slices_whose_nearest_is_less_similar(similarity: float, percentile: int) -> None:
    assert scale().percentile(similarity) == percentile


def test_a_similarity_that_half_of_the_archive_has_is_in_the_middle_of_that_half() -> None:
    saturated = (*(0.9 for _ in range(51)), *(1.0 for _ in range(50)))
    assert scale(saturated).percentile(1.0) == 75
    assert scale(saturated).percentile(0.9) == 25


def test_unusual_begins_below_the_first_percent() -> None:
    assert scale().usual_from == 0.01


@pytest.mark.parametrize(
    "too_little", [NO_SCALE, scale(patients=FEWEST_PATIENTS - 1), scale(sample=FEWEST_SLICES - 1), Scale.of(None)]
)
def test_a_small_archive_has_no_scale(too_little: Scale) -> None:
    assert (too_little.is_known, too_little.percentile(0.5), too_little.usual_from) == (False, None, None)


def test_a_scale_is_what_the_catalogue_holds() -> None:
    figures = {"date": "2026-01-31", "slices": 9, "patients": 30, "sample": 200, "quantiles": list(EVEN)}
    assert Scale.of(figures) == scale(patients=30, sample=200)
