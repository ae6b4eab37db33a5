from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from parts import DIM, units

from cbmir.watching.drift import FEWEST_PATIENTS, drift

if TYPE_CHECKING:
    from cbmir.watching.drift import Drift


def cohort(
    before: int, lately: int, shift: float = 0, each: int = 6, seed: int = 0
) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return vectors whose patients are alike among themselves, whose they are, and which are of lately."""
    random = np.random.default_rng(seed)
    late = np.repeat(np.arange(before + lately) >= before, each)
    own = np.repeat(random.standard_normal((before + lately, DIM)), each, axis=0)
    rows = own + 0.2 * random.standard_normal((len(late), DIM)) + shift * late[:, None] * np.eye(DIM)[0]
    return units(rows), [f"P{number // each}" for number in range(len(late))], late


def measured(*arguments: object, seed: int = 0) -> Drift | None:
    return drift(*arguments, np.random.default_rng(seed))  # type: ignore[arg-type]


def test_patients_of_another_kind_lie_beyond_the_threshold() -> None:
    found = measured(*cohort(60, 20, shift=2.5))
    assert found is not None
    assert found.distance > 2 * found.threshold
    assert (found.recent, found.reference) == (20, 60)


def test_patients_of_the_same_kind_are_rarely_beyond_it_though_their_slices_are_alike() -> None:
    found = [measured(*cohort(40, 15, seed=seed), seed=seed) for seed in range(40)]
    beyond = [one.distance > one.threshold for one in found if one is not None]
    assert len(beyond) == 40
    # one in a hundred; were slices shuffled instead of patients, nearly all would be
    assert sum(beyond) <= 2


def test_a_patient_with_very_many_slices_weighs_like_any_other() -> None:
    vectors, patients, late = cohort(30, 15)
    odd = units(np.repeat(np.eye(DIM)[:1] * 5, 400, axis=0))
    found = measured(np.concatenate([vectors, odd]), [*patients, *["odd"] * 400], np.append(late, np.ones(400, bool)))
    assert found is not None
    assert found.distance < found.threshold
    assert found.recent == 16


def test_a_patient_of_both_sides_counts_among_the_recent() -> None:
    vectors, patients, late = cohort(20, 10)
    late[:3] = True
    found = measured(vectors, patients, late)
    assert found is not None
    assert (found.recent, found.reference) == (11, 19)


def test_few_patients_say_nothing_and_neither_does_a_work_that_was_stopped() -> None:
    assert measured(*cohort(30, FEWEST_PATIENTS - 1)) is None
    assert measured(*cohort(FEWEST_PATIENTS - 1, 30)) is None
    assert drift(*cohort(30, 30), np.random.default_rng(0), lambda rows: iter(list(rows)[:5])) is None
