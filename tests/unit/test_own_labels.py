"""cbmir.ingest.own_labels: what Orthanc calls labels is noticed, though Orthanc tells nobody when one comes or goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from dicom_files import mr_slice
from parts import Workplace

from cbmir import archive as archive_module
from cbmir.archive import Archive
from cbmir.errors import Unavailable
from cbmir.ingest.own_labels import PAUSE_SECONDS, OwnLabels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Clock:
    """Tells the time, and how long every look at it takes."""

    def __init__(self) -> None:
        self.now = 0.0
        self.taken = 0.0

    def __call__(self) -> float:
        self.now += self.taken
        return self.now


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    workplace = Workplace(tmp_path)
    workplace.orthanc.own_labels = {}
    workplace.store(mr_slice("P1"))
    workplace.work()
    yield workplace
    workplace.close()


def test_a_label_that_came_changed_or_went_is_noticed_when_it_is_time(workplace: Workplace) -> None:
    clock = Clock()
    own = OwnLabels(Archive(workplace.orthanc), workplace.catalogue, clock)
    labels = workplace.orthanc.own_labels
    assert labels is not None
    series, study, _ = workplace.orthanc.above(next(iter(workplace.orthanc.files)))
    assert own.changed() == set()
    for said in ({study: ["teaching"]}, {study: ["research"]}, {study: ["research"], series: ["research"]}, {}):
        before = {key for key, some in labels.items() for one in some if one not in said.get(key, [])}
        after = {key for key, some in said.items() for one in some if one not in labels.get(key, [])}
        labels.clear()
        labels.update(said)
        assert own.changed() == set()
        clock.now += PAUSE_SECONDS
        assert own.changed() == before | after
        for orthanc_id in before | after:
            level = "studies" if orthanc_id == study else "series"
            workplace.catalogue.set_labels(orthanc_id, Archive(workplace.orthanc).labels(level, orthanc_id))
        clock.now += PAUSE_SECONDS
        assert own.changed() == set()


def test_labels_of_what_is_not_indexed_are_no_news(workplace: Workplace) -> None:
    """Every study of an archive may have one, and few of them be indexed: they differ at each look."""
    labels = workplace.orthanc.own_labels
    assert labels is not None
    indexed = workplace.orthanc.above(next(iter(workplace.orthanc.files)))[1]
    unknown = workplace.orthanc.above(workplace.orthanc.store(mr_slice("P2", 2)))[1]
    labels |= {indexed: ["teaching"], unknown: ["teaching"]}
    assert OwnLabels(Archive(workplace.orthanc), workplace.catalogue, Clock()).changed() == {indexed}


def test_labels_are_listed_a_page_at_a_time(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = workplace.orthanc.own_labels
    assert labels is not None
    monkeypatch.setattr(archive_module, "IDS_LISTED", 2)
    studies = [workplace.orthanc.above(workplace.orthanc.store(mr_slice(f"P{n}", n)))[1] for n in range(2, 7)]
    labels |= {study: ["teaching"] for study in studies}
    assert Archive(workplace.orthanc).own_labels() == {(study, "teaching") for study in studies}


def test_looking_takes_a_hundredth_of_the_time_at_most(workplace: Workplace) -> None:
    clock = Clock()
    own = OwnLabels(Archive(workplace.orthanc), workplace.catalogue, clock)
    clock.taken = 10.0
    own.changed()
    workplace.orthanc.calls.clear()
    clock.taken = 0.0
    clock.now += 999.0
    own.changed()
    assert workplace.orthanc.calls == []
    clock.now += 1.0
    own.changed()
    assert "/tools/labels" in workplace.orthanc.calls


def test_an_orthanc_that_does_not_answer_is_asked_again_later(workplace: Workplace) -> None:
    clock = Clock()
    own = OwnLabels(Archive(workplace.orthanc), workplace.catalogue, clock)
    workplace.orthanc.failing["/tools/labels"] = 1
    with pytest.raises(Unavailable):
        own.changed()
    assert own.changed() == set()
