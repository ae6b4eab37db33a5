from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from parts import DIM, MODEL, embedded, series, units

from cbmir.index import SliceIndex
from cbmir.ingest.inbox import Progress
from cbmir.store.sqlite import SqliteCatalogue
from cbmir.watching.nightly import DRIFT, FEWEST_PATIENTS, SCANNERS, Nightly, measured
from cbmir.watching.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Archive:
    """A catalogue with a clock that the test sets."""

    def __init__(self, directory: Path) -> None:
        self.catalogue = SqliteCatalogue(directory / "catalogue.sqlite")
        self.now = datetime(2026, 1, 31, 3, tzinfo=UTC)
        self.index = SliceIndex(directory, dim=DIM, model=MODEL)
        self.slices = 0
        self.nightly = self.after_a_start()

    def after_a_start(self, **more: Any) -> Nightly:
        return Nightly(Watched(self.catalogue, self.index, MODEL, Progress(), now=lambda: self.now, **more))

    def add(self, patient: str, axis: int, *, days_ago: int = 0, **facts: str) -> None:
        """Add two slices of a study, near an axis."""
        date = f"{self.now - timedelta(days=days_ago):%Y%m%d}"
        noise = np.random.default_rng(self.slices).standard_normal((2, DIM))
        self.catalogue.enqueue([patient])
        its = series(patient, StudyDate=date, **facts)
        self.catalogue.record(embedded(patient, its, vectors=units(np.eye(DIM)[axis] + 0.1 * noise)), MODEL)
        self.slices += 2

    def run(self) -> None:
        self.nightly.run_due(self.slices)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    archive = Archive(tmp_path)
    yield archive
    archive.catalogue.close()


def of_scanners(archive: Archive, *, apart: bool) -> None:
    """Add two scanners' patients, who look like their scanner or like each other."""
    for number in range(40):
        maker = ("A", "B")[number % 2]
        archive.add(
            f"P{number}", number % 2 if apart else (number // 2) % 2, Manufacturer=maker, MagneticFieldStrength="3"
        )


def test_an_archive_in_which_each_scanner_finds_itself_is_found_out(archive: Archive) -> None:
    of_scanners(archive, apart=True)
    archive.run()
    (day,) = archive.catalogue.days(SCANNERS, MODEL)
    assert day["share"] == 1
    assert day["chance"] == pytest.approx(19 / 39, abs=1e-4)
    assert (day["scanners"], day["patients"], day["sample"], day["date"]) == (2, 40, 80, "2026-01-31")
    assert archive.nightly.metrics()["cbmir_own_scanner_ratio"] == pytest.approx(39 / 19, abs=1e-3)


def test_where_scanners_do_not_matter_the_share_is_that_of_chance(archive: Archive) -> None:
    of_scanners(archive, apart=False)
    archive.run()
    (day,) = archive.catalogue.days(SCANNERS, MODEL)
    assert day["share"] == pytest.approx(day["chance"], abs=0.12)


def test_one_scanner_alone_unknown_ones_and_few_patients_say_nothing(archive: Archive) -> None:
    for number in range(FEWEST_PATIENTS - 1):
        archive.add(f"P{number}", 0, Manufacturer=("A", "B")[number % 2])
    archive.add("nobody knows", 0)
    archive.run()
    assert archive.catalogue.days(SCANNERS, MODEL) == []
    assert archive.nightly.metrics() == {}


def years(archive: Archive, *, axis: int, scanner: str = "A") -> None:
    """Add a year of patients near one axis, and a month of some near another."""
    for number in range(40):
        archive.add(f"B{number}", number % 3, days_ago=40 + 7 * number, Manufacturer="A")
    for number in range(12):
        archive.add(f"R{number}", number % 3 + axis, days_ago=number, Manufacturer=scanner)


def test_studies_of_another_kind_are_a_drift_and_a_new_scanner_is_named_as_one(archive: Archive) -> None:
    years(archive, axis=5, scanner="new")
    archive.run()
    (day,) = archive.catalogue.days(DRIFT, MODEL)
    # the threshold is drawn by lot: over 300 draws the distance was 1.8 to 2.5 times as great
    assert day["distance"] > 1.5 * day["threshold"]
    assert (day["patients"], day["referencePatients"], day["newScannerShare"]) == (12, 40, 1)
    assert archive.nightly.metrics()["cbmir_drift_ratio"] > 1.5


def test_studies_of_the_same_kind_are_none(archive: Archive) -> None:
    years(archive, axis=0)
    archive.run()
    (day,) = archive.catalogue.days(DRIFT, MODEL)
    assert day["distance"] < day["threshold"]
    assert day["newScannerShare"] == 0


def test_an_archive_without_recent_studies_has_no_drift(archive: Archive) -> None:
    for number in range(40):
        archive.add(f"B{number}", 0, days_ago=40 + number)
    archive.run()
    assert archive.catalogue.days(DRIFT, MODEL) == []


def test_each_is_measured_once_a_day_and_when_the_archive_has_doubled(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setitem(archive.nightly._measures, DRIFT, lambda: asked.append(archive.slices))
    monkeypatch.setitem(archive.nightly._measures, SCANNERS, lambda: None)
    archive.run()
    assert asked == []
    for slices in (4, 4, 7, 8, 9):
        archive.slices = slices
        archive.run()
    assert asked == [4, 8]
    archive.now += timedelta(days=1)
    archive.run()
    archive.run()
    assert asked == [4, 8, 9]


def test_after_a_start_the_last_figures_still_count(archive: Archive) -> None:
    of_scanners(archive, apart=True)
    archive.run()
    archive.nightly = archive.after_a_start()
    assert archive.nightly.metrics()["cbmir_own_scanner_ratio"] > 2
    before = archive.catalogue.days(SCANNERS, MODEL)
    archive.run()
    assert archive.catalogue.days(SCANNERS, MODEL) == before


def test_one_that_fails_is_not_tried_again_at_once(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError("disk")

    monkeypatch.setitem(archive.nightly._measures, DRIFT, fail)
    archive.slices = 5
    with pytest.raises(OSError, match="disk"):
        archive.run()
    archive.run()


def test_a_stop_of_orthanc_ends_it_without_a_figure(archive: Archive) -> None:
    of_scanners(archive, apart=True)
    archive.after_a_start(stoppable=lambda _: iter(())).run_due(archive.slices)
    assert archive.catalogue.days(SCANNERS, MODEL) == []


def test_figures_in_which_bits_have_flipped_are_passed_over(archive: Archive) -> None:
    of_scanners(archive, apart=True)
    archive.run()
    (day,) = archive.catalogue.days(SCANNERS, MODEL)
    figures = {name: value for name, value in day.items() if name != "date"}
    archive.catalogue.keep_day(SCANNERS, MODEL, "2026-02-01", {**figures, "share": "0.5"})
    archive.catalogue.keep_day(SCANNERS, MODEL, "2026-02-02", {**figures, "shard": 0.5})
    with archive.catalogue._transaction() as database:
        database.execute("INSERT INTO day VALUES (?, ?, '2026-02-03', '{\"share\": 0.')", (SCANNERS, MODEL))
        database.execute("INSERT INTO day VALUES (?, ?, '2026-02-04', '5')", (SCANNERS, MODEL))
    assert archive.catalogue.last_day(SCANNERS, MODEL) is None
    assert measured(archive.catalogue, SCANNERS, MODEL) == [day]
    assert archive.after_a_start().metrics()["cbmir_own_scanner_ratio"] > 2
