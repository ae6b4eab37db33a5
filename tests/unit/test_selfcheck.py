from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest
from parts import DIM, MODEL, embedded, series, units

from cbmir.index import SliceIndex
from cbmir.ingest.inbox import Progress
from cbmir.records import ORTHANC_LABEL, Label
from cbmir.store.sqlite import SqliteCatalogue
from cbmir.watching import selfcheck
from cbmir.watching.selfcheck import SelfChecks
from cbmir.watching.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cbmir.records import Quality


class Archive:
    """Catalogue and index with a clock that the test sets."""

    def __init__(self, directory: Path) -> None:
        self.catalogue = SqliteCatalogue(directory / "catalogue.sqlite")
        self.index = SliceIndex(directory, dim=DIM, model=MODEL)
        self.now = datetime(2026, 1, 1, 12, tzinfo=UTC)
        self.progress = Progress()
        self.checks = self.after_a_start()

    def after_a_start(self) -> SelfChecks:
        return SelfChecks(Watched(self.catalogue, self.index, MODEL, self.progress, now=lambda: self.now))

    def add(self, patient: str, diagnosis: str | None = None, axis: int = 0) -> None:
        name = f"{patient}{len(self.catalogue.orthanc_ids())}"
        its = series(patient)
        self.catalogue.enqueue([name])
        noise = np.random.default_rng(len(name) + len(self.index)).standard_normal(DIM)
        rows = units([np.eye(DIM)[axis] + 0.05 * noise])
        labels, _ = self.catalogue.record(embedded(name, its, vectors=rows), MODEL)
        self.index.add(np.array(labels, np.int64), rows)
        if diagnosis:
            self.catalogue.set_labels(its.study_orthanc_id, [Label(diagnosis, "histology")])

    def add_patients(self, *numbers: int) -> None:
        """Gliomas and meningiomas in turn, each kind in a place of its own."""
        for number in numbers:
            self.add(f"P{number}", ("glioma", "meningioma")[number % 2], axis=number % 2)

    def measured(self) -> list[Quality]:
        return self.catalogue.quality(MODEL)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    archive = Archive(tmp_path)
    yield archive
    archive.catalogue.close()


def test_an_empty_archive_is_not_checked(archive: Archive) -> None:
    archive.checks.run_due()
    assert archive.progress.health is None
    assert archive.measured() == []


def test_the_recall_of_an_index_is_told_with_sample_and_time(archive: Archive) -> None:
    archive.add_patients(*range(60))
    archive.checks.run_due()
    health = archive.progress.health
    assert health is not None
    assert (health.recall, health.sample, health.time) == (1, 50, "2026-01-01T12:00:00+00:00")


def test_an_index_that_lost_slices_is_found_out(archive: Archive) -> None:
    archive.add_patients(*range(40))
    archive.index.remove(archive.catalogue.live_labels(MODEL)[::2].tolist())
    archive.checks.run_due()
    assert archive.progress.health is not None
    assert archive.progress.health.recall < 0.8


def test_recall_is_measured_hourly_and_after_a_rebuild_and_when_the_archive_has_doubled(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []
    monkeypatch.setattr(archive.checks, "_measure_recall", lambda: measured.append(len(archive.index)))
    archive.add_patients(0, 1, 2)
    archive.checks.run_due()
    archive.checks.run_due()
    assert measured == [3]
    archive.checks.index_rebuilt()
    archive.checks.run_due()
    assert measured == [3, 3]
    archive.add_patients(3, 4)
    archive.checks.run_due()
    assert measured == [3, 3]
    archive.add_patients(5)
    archive.checks.run_due()
    assert measured == [3, 3, 6]
    monkeypatch.setattr(selfcheck, "RECALL_SECONDS", -1.0)
    archive.checks.run_due()
    assert measured == [3, 3, 6, 6]


def test_a_check_that_fails_is_not_repeated_at_once(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk")

    archive.add_patients(0, 1)
    monkeypatch.setattr(archive.checks, "_measure_recall", fail)
    with pytest.raises(OSError, match="disk"):
        archive.checks.run_due()
    monkeypatch.setattr(archive.checks, "_measure_quality", fail)
    with pytest.raises(OSError, match="disk"):
        archive.checks.run_due()
    archive.checks.run_due()


def test_the_quality_of_answers_is_kept_with_its_day(archive: Archive) -> None:
    archive.add_patients(*range(8))
    archive.add("P99")
    archive.checks.run_due()
    (measured,) = archive.measured()
    assert measured.date == "2026-01-01"
    assert (measured.slices, measured.diagnoses, measured.patients, measured.sample) == (9, 8, 8, 8)
    assert measured.p1 == 1
    assert measured.p10 == pytest.approx(3 / 7)
    assert measured.chance == pytest.approx(3 / 7)


def test_quality_is_measured_at_most_daily_and_only_when_the_archive_changed_much(archive: Archive) -> None:
    archive.add_patients(*range(10))
    archive.checks.run_due()
    archive.add_patients(10)
    archive.checks.run_due()
    archive.now += timedelta(days=1)
    archive.checks.run_due()
    assert [one.diagnoses for one in archive.measured()] == [10]
    archive.add_patients(11)
    archive.checks.run_due()
    assert [(one.date, one.diagnoses) for one in archive.measured()] == [("2026-01-01", 10), ("2026-01-02", 12)]
    archive.add_patients(12, 13)
    archive.checks.run_due()
    assert len(archive.measured()) == 2


def test_an_archive_that_has_just_begun_to_fill_is_measured_again_the_same_day(archive: Archive) -> None:
    archive.add_patients(0, 1)
    archive.checks.run_due()
    archive.add_patients(2, 3)
    archive.checks.run_due()
    assert [one.diagnoses for one in archive.measured()] == [4]


def test_after_a_start_the_last_measurement_still_counts(archive: Archive) -> None:
    archive.add_patients(0, 1, 2)
    archive.checks.run_due()
    before = archive.measured()
    archive.add_patients(3)
    archive.after_a_start().run_due()
    assert archive.measured() == before


def test_labels_of_one_patient_are_no_quality_and_are_not_looked_at_again_and_again(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.add("P1", "glioma")
    archive.add("P1", "glioma")
    archive.checks.run_due()
    assert archive.measured() == []
    monkeypatch.setattr(archive.catalogue, "select", lambda *_, **__: pytest.fail("looked again"))
    archive.checks.run_due()


def test_of_a_large_archive_a_part_is_compared(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selfcheck, "MOST_COMPARED", 12)
    archive.add_patients(*range(40))
    archive.checks.run_due()
    assert archive.progress.health is not None
    assert archive.progress.health.sample == 12
    assert archive.measured()[0].sample == 12


def test_what_was_said_of_the_study_and_of_the_series_counts_in_any_case(archive: Archive) -> None:
    archive.add("P1", "Glioma")
    archive.add("P2", "oedema")
    its = series("P2")
    archive.catalogue.set_labels(its.orthanc_id, [Label("GLIOMA", "report")])
    archive.checks.run_due()
    (measured,) = archive.measured()
    assert (measured.p1, measured.diagnoses) == (1, 3)


def test_labels_of_orthanc_itself_make_no_answer_right(archive: Archive) -> None:
    for number in range(4):
        archive.add(f"P{number}")
        archive.catalogue.set_labels(series(f"P{number}").study_orthanc_id, [Label("department 3", ORTHANC_LABEL)])
    archive.checks.run_due()
    assert archive.measured() == []


def test_what_was_said_of_an_instance_counts_for_that_slice(archive: Archive) -> None:
    archive.add("P1", "glioma")
    archive.add("P2")
    (second,) = archive.catalogue.orthanc_ids() - {"P10"}
    archive.catalogue.set_labels(second, [Label("glioma", "histology")])
    archive.checks.run_due()
    (measured,) = archive.measured()
    assert (measured.p1, measured.patients) == (1, 2)


def test_a_stop_of_orthanc_ends_a_check_without_a_figure(archive: Archive) -> None:
    archive.add_patients(*range(8))
    stopped = SelfChecks(Watched(archive.catalogue, archive.index, MODEL, archive.progress, lambda _: iter(())))
    stopped.run_due()
    assert archive.progress.health is None
    assert archive.measured() == []
