from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from parts import DIM, MODEL, series, units

from cbmir.records import CataloguedSlice
from cbmir.watching import calibration as calibration_module
from cbmir.watching.calibration import FEWEST_PATIENTS, FEWEST_SLICES, calibrated, gallery, scaled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cbmir.records import Calibration


class Shelf:
    """Slices of patients, found by comparing all."""

    def __init__(self, vectors: NDArray[np.float32], patients: Sequence[str]) -> None:
        self.vectors = vectors
        self.all = [
            CataloguedSlice(label, f"i{label}", 1, 1, f"1.{label}", series(patient))
            for label, patient in enumerate(patients)
        ]

    def search(self, vector: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        similarities = self.vectors @ vector
        order = np.argsort(-similarities)[:k]
        return order, similarities[order]

    def slices(self, labels: Sequence[int]) -> dict[int, CataloguedSlice]:
        return {label: self.all[label] for label in labels}

    def measured(self) -> Calibration | None:
        return calibrated(self.search, self.slices, zip(self.all, self.vectors, strict=True))


def test_the_nearest_of_another_patient_is_what_counts() -> None:
    random = np.random.default_rng(0)
    vectors = units(random.standard_normal((120, DIM)))
    patients = [f"P{number // 4}" for number in range(120)]
    found = Shelf(vectors, patients).measured()
    similarities = vectors @ vectors.T
    own = np.equal.outer(np.array(patients), np.array(patients))
    nearest = np.where(own, -2, similarities).max(axis=1)
    assert found is not None
    assert (found.patients, found.sample) == (30, 120)
    assert found.quantiles == pytest.approx(np.quantile(nearest, np.arange(101) / 100), abs=1e-5)


def test_a_patient_with_many_alike_slices_is_looked_past(monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = units(np.eye(1, DIM) + 1e-3 * np.random.default_rng(0).standard_normal((100, DIM)))
    other = units([np.eye(DIM)[0] + np.eye(DIM)[1]])
    shelf = Shelf(np.concatenate([crowd, other]), [*["crowd"] * 100, "other"])
    found = shelf.measured()
    assert found is not None
    assert found.sample == 101
    assert found.quantiles[50] == pytest.approx(np.sqrt(0.5), abs=0.01)
    monkeypatch.setattr(calibration_module, "FARTHEST", 64)
    found = shelf.measured()
    assert found is not None
    assert found.sample == 1


def test_one_patient_alone_has_no_others() -> None:
    assert Shelf(units(np.eye(3, DIM)), ["P"] * 3).measured() is None


# ---- pictures from afar ----


def pictures(number: int, seed: int = 0) -> NDArray[np.uint8]:
    """Bright discs on black, each a little different."""
    y, x = np.mgrid[:8, :8] - 3.5
    random = np.random.default_rng(seed)
    rows = [np.clip(255 * (np.hypot(x, y) < 3) - 30 * random.random((8, 8)), 0, 255) for _ in range(number)]
    return np.stack(rows).astype(np.uint8).reshape(number, 64)


def of(patients: Sequence[str]) -> list[CataloguedSlice]:
    return Shelf(np.empty((0, DIM), np.float32), patients).all


def test_99_in_100_pictures_are_usual_by_their_own_measure() -> None:
    patients = [f"P{number // 10}" for number in range(300)]
    sketches = pictures(300)
    found = gallery(MODEL, of(patients), sketches)
    assert found is not None
    similarities = scaled(sketches) @ scaled(sketches).T
    similarities[np.equal.outer(np.array(patients), np.array(patients))] = -1
    assert (similarities.max(axis=1) >= found.usual_from).mean() == pytest.approx(0.99, abs=0.005)
    odd = np.zeros((8, 8), np.uint8)
    odd[:, ::2] = 255
    assert float((found.pictures @ scaled(odd.ravel())).max()) < found.usual_from


@pytest.mark.parametrize(("slices", "patients"), [(FEWEST_SLICES - 1, 50), (500, FEWEST_PATIENTS - 1), (0, 1)])
def test_of_a_small_archive_nothing_is_usual_yet(slices: int, patients: int) -> None:
    whose = [f"P{number % patients}" for number in range(slices)]
    assert gallery(MODEL, of(whose), pictures(max(slices, 1))[:slices]) is None


def test_work_that_is_stopped_has_no_result() -> None:
    patients = [f"P{number}" for number in range(300)]
    assert gallery(MODEL, of(patients), pictures(300), lambda some: iter(list(some)[:1])) is None


def test_a_black_picture_is_like_nothing() -> None:
    assert scaled(np.zeros((1, 64), np.uint8)).tolist() == [[0.0] * 64]
