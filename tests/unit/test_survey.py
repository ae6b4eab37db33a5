from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest
from parts import DIM, MODEL, embedded, series, units

from cbmir.index import SliceIndex
from cbmir.ingest.inbox import Progress
from cbmir.store.sqlite import SqliteCatalogue
from cbmir.watching import survey
from cbmir.watching.survey import Survey
from cbmir.watching.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Archive:
    """A catalogue with a clock that the test sets."""

    def __init__(self, directory: Path) -> None:
        self.catalogue = SqliteCatalogue(directory / "catalogue.sqlite")
        self.now = datetime(2026, 1, 31, 3, tzinfo=UTC)
        self.progress = Progress()
        index = SliceIndex(directory, dim=DIM, model=MODEL)
        self.survey = Survey(Watched(self.catalogue, index, MODEL, self.progress, now=lambda: self.now))

    def add(self, count: int) -> None:
        for _ in range(count):
            name = f"S{len(self.catalogue.orthanc_ids())}"
            noise = np.random.default_rng(len(name) + count).standard_normal((1, DIM))
            self.catalogue.enqueue([name])
            self.catalogue.record(embedded(name, series(name), vectors=units(noise)), MODEL)

    def idle(self, moments: int = 1_000_000) -> None:
        """Have it work for so many idle moments, or until it has nothing more to draw."""
        for _ in range(moments):
            self.survey.run_due(len(self.catalogue.live_labels(MODEL)))
            if self.survey._drawing is None:
                return


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    archive = Archive(tmp_path)
    yield archive
    archive.catalogue.close()


def test_every_slice_of_a_small_archive_has_a_place(archive: Archive) -> None:
    archive.idle()
    assert archive.progress.atlas is None
    archive.add(40)
    archive.idle()
    drawn = archive.progress.atlas
    assert drawn is not None
    assert set(drawn.labels.tolist()) == set(archive.catalogue.live_labels(MODEL).tolist())
    assert (drawn.model, drawn.slices, drawn.time) == (MODEL, 40, "2026-01-31T03:00:00+00:00")
    assert drawn.places.min() >= 0
    assert drawn.places.max() <= 1
    assert np.ptp(drawn.places, axis=0).max() == pytest.approx(1)


def test_no_place_is_beyond_the_edge_by_rounding() -> None:
    clouds = [np.random.default_rng(seed).standard_normal((40, 2)).astype(np.float32) for seed in range(1000)]
    edges = np.array([(within.min(), within.max()) for within in map(survey._within, clouds)])
    assert edges.min() >= 0
    assert edges.max() <= 1


def test_one_slice_alone_is_in_the_middle(archive: Archive) -> None:
    archive.add(1)
    archive.idle()
    assert archive.progress.atlas is not None
    assert archive.progress.atlas.places.tolist() == [[0.5, 0.5]]


def test_of_a_large_archive_a_part_is_drawn(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "MOST_DRAWN", 10)
    archive.add(25)
    archive.idle()
    assert archive.progress.atlas is not None
    assert (len(archive.progress.atlas.labels), archive.progress.atlas.slices) == (10, 25)


def test_it_is_drawn_a_little_at_a_time(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "AT_A_TIME_SECONDS", -1.0)
    archive.add(40)
    archive.idle(10)
    assert archive.progress.atlas is None
    archive.idle()
    assert archive.progress.atlas is not None


def test_it_is_drawn_anew_when_the_archive_has_doubled_or_the_next_day_when_it_has_changed_much(
    archive: Archive,
) -> None:
    def drawn_of() -> int:
        archive.idle()
        assert archive.progress.atlas is not None
        return archive.progress.atlas.slices

    archive.add(10)
    assert drawn_of() == 10
    archive.add(5)
    assert drawn_of() == 10
    archive.add(5)
    assert drawn_of() == 20
    archive.now += timedelta(days=1)
    archive.add(1)
    assert drawn_of() == 20
    archive.add(2)
    assert drawn_of() == 23
