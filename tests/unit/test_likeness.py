from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest
from parts import DIM, MODEL, embedded, series, units

from cbmir.answering.scale import CALIBRATION, Scale
from cbmir.index import SliceIndex
from cbmir.ingest.inbox import Progress
from cbmir.store.sqlite import SqliteCatalogue
from cbmir.watching.likeness import Likeness
from cbmir.watching.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENTS = 25


class Archive:
    """Catalogue and index with a clock that the test sets."""

    def __init__(self, directory: Path) -> None:
        self.catalogue = SqliteCatalogue(directory / "catalogue.sqlite")
        self.index = SliceIndex(directory, dim=DIM, model=MODEL)
        self.now = datetime(2026, 1, 1, 12, tzinfo=UTC)
        self.progress = Progress()
        self.likeness = self.after_a_start()
        self._random = np.random.default_rng(0)

    def after_a_start(self) -> Likeness:
        return Likeness(Watched(self.catalogue, self.index, MODEL, self.progress, now=lambda: self.now))

    def add(self, *patients: int, slices: int = 5) -> None:
        for patient in patients:
            rows = units(np.eye(1, DIM) + 0.3 * self._random.standard_normal((slices, DIM)))
            one = embedded(f"i{patient}", series(f"P{patient}", patient), vectors=rows)
            one.sketches.update({frame: self._random.integers(100, 200, 64).astype(np.uint8) for frame in one.vectors})
            self.catalogue.enqueue([one.orthanc_id])
            labels, _ = self.catalogue.record(one, MODEL)
            self.index.add(np.array(labels), rows)

    def run(self) -> None:
        self.likeness.run_due(len(self.index))

    def days(self) -> list[str]:
        return [day["date"] for day in self.catalogue.days(CALIBRATION, MODEL)]


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    archive = Archive(tmp_path)
    yield archive
    archive.catalogue.close()


def test_an_empty_archive_is_not_measured(archive: Archive) -> None:
    archive.run()
    assert archive.days() == []
    assert archive.progress.gallery is None


def test_an_archive_gets_a_scale_and_a_gallery(archive: Archive) -> None:
    archive.add(*range(PATIENTS))
    archive.run()
    scale = Scale.of(archive.catalogue.last_day(CALIBRATION, MODEL))
    assert scale.is_known
    assert scale.calibration is not None
    assert (scale.calibration.patients, scale.calibration.sample) == (PATIENTS, 5 * PATIENTS)
    shown = archive.progress.gallery
    assert shown is not None
    assert (shown.model, shown.pictures.shape, len(set(shown.patients.tolist()))) == (MODEL, (125, 64), PATIENTS)


def test_a_small_archive_is_measured_but_has_no_scale_yet(archive: Archive) -> None:
    archive.add(1, 2, 3)
    archive.run()
    assert archive.days() == ["2026-01-01"]
    assert not Scale.of(archive.catalogue.last_day(CALIBRATION, MODEL)).is_known
    assert archive.progress.gallery is None


def test_it_is_measured_daily_and_when_the_archive_has_doubled(archive: Archive) -> None:
    archive.add(*range(PATIENTS))
    archive.run()
    first = archive.progress.gallery
    archive.add(100)
    archive.run()
    assert archive.progress.gallery is first
    archive.add(*range(200, 200 + PATIENTS))
    archive.run()
    second = archive.progress.gallery
    assert second is not None
    assert second is not first
    assert archive.days() == ["2026-01-01"]
    archive.now += timedelta(days=1)
    archive.run()
    assert archive.days() == ["2026-01-01", "2026-01-02"]


def test_after_a_start_the_pictures_are_looked_at_and_the_figures_are_there(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.add(*range(PATIENTS))
    archive.run()
    archive.progress.gallery = None
    archive.likeness = archive.after_a_start()
    monkeypatch.setattr(archive.likeness, "_calibrate", None)
    archive.run()
    assert archive.progress.gallery is not None


def test_slices_of_before_there_were_sketches_are_passed_over(archive: Archive) -> None:
    archive.add(*range(PATIENTS))
    archive.catalogue.enqueue(["old"])
    archive.catalogue.record(embedded("old", series("old", 999)), MODEL)
    archive.run()
    assert archive.progress.gallery is not None
    assert len(archive.progress.gallery.pictures) == 125


def test_a_sketch_goes_with_its_slice(archive: Archive) -> None:
    archive.add(1)
    labels = archive.catalogue.live_labels(MODEL).tolist()
    assert set(archive.catalogue.sketches(labels)) == set(labels)
    archive.catalogue.forget(["i1"])
    assert archive.catalogue.sketches(labels) == {}
