from __future__ import annotations

import numpy as np
import pytest
from parts import DIM, units

from cbmir.watching.quality import Labelled, precision

E = np.eye(DIM, dtype=np.float32)


def of(*rows: tuple[str, str, int]) -> Labelled:
    """Return slices from (patient, diagnoses separated by commas, axis near which the vector lies)."""
    vectors = units([E[axis] + 0.01 * number * E[-1] for number, (_, _, axis) in enumerate(rows)])
    return Labelled(vectors, [row[0] for row in rows], [frozenset(row[1].split(",")) for row in rows])


def everyone(labelled: Labelled) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.arange(len(labelled.patients))


def test_slices_that_lie_beside_their_like_are_all_right_at_the_first_place() -> None:
    labelled = of(("A", "glioma", 0), ("B", "glioma", 0), ("C", "meningioma", 1), ("D", "meningioma", 1))
    found = precision(labelled, everyone(labelled))
    assert found is not None
    assert found.at[0] == 1
    # one of three other patients shares it, however many places are looked at
    assert found.at[1] == found.at[2] == pytest.approx(1 / 3)
    assert found.chance == pytest.approx(1 / 3)
    assert found.sample == 4


def test_slices_of_the_same_patient_are_no_answer() -> None:
    labelled = of(("A", "glioma", 0), ("A", "glioma", 0), ("B", "meningioma", 0))
    found = precision(labelled, everyone(labelled))
    assert found is not None
    assert found.at == (0, 0, 0)


def test_a_patient_counts_once_and_by_the_most_similar_slice() -> None:
    many = [("B", "meningioma", 1)] * 8
    labelled = of(("A", "glioma", 0), *many, ("C", "glioma", 0))
    found = precision(labelled, np.array([0]))
    assert found is not None
    assert found.at[0] == 1
    assert found.at[1] == pytest.approx(1 / 2)
    assert found.chance == pytest.approx(1 / 2)


def test_one_shared_diagnosis_of_several_is_enough() -> None:
    labelled = of(("A", "glioma,oedema", 0), ("B", "oedema", 0))
    found = precision(labelled, everyone(labelled))
    assert found is not None
    assert found.at == (1, 1, 1)


def test_one_patient_alone_has_nobody_to_be_compared_with() -> None:
    labelled = of(("A", "glioma", 0), ("A", "glioma", 0))
    assert precision(labelled, everyone(labelled)) is None
    assert precision(labelled, np.array([], np.int64)) is None


def test_vectors_without_meaning_are_as_good_as_chance() -> None:
    random = np.random.default_rng(1)
    patients = [f"P{number // 3}" for number in range(600)]
    diagnoses = [frozenset({("glioma", "meningioma", "pituitary")[int(one[1:]) % 3]}) for one in patients]
    labelled = Labelled(units(random.standard_normal((600, DIM))), patients, diagnoses)
    found = precision(labelled, everyone(labelled))
    assert found is not None
    assert found.chance == pytest.approx(1 / 3, abs=0.01)
    assert found.at[2] == pytest.approx(found.chance, abs=0.03)
