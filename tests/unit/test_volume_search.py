from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from parts import DIM, MODEL, embedded, series, tiny_classifier, units

from cbmir.access import ANYONE
from cbmir.answering.matching import parse
from cbmir.cases import SLICES_SHOWN
from cbmir.index import SliceIndex
from cbmir.search import Criteria, Search
from cbmir.store.sqlite import SqliteCatalogue
from cbmir.volumes import question
from cbmir.volumes import search as search_module
from cbmir.volumes.search import VolumeSearch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from cbmir.cases import Case
    from cbmir.records import Series

T1C = {"SeriesDescription": "T1 TRA +C"}
T2 = {"SeriesDescription": "T2 TRA"}
QUERY = series("reader", 1000, **T1C)


class Reader:
    """A caller who may see some studies."""

    sees_all = False

    def __init__(self, *visible: Series) -> None:
        self.visible = {one.study_orthanc_id for one in visible}

    def studies(self, orthanc_ids: Iterable[str]) -> set[str]:
        return self.visible & set(orthanc_ids)

    def sees_statistics(self) -> bool:
        return False


class Archive:
    """A catalogue and an index over it, filled with series of slices."""

    def __init__(self, directory: Path) -> None:
        self.catalogue = SqliteCatalogue(directory / "catalogue.sqlite")
        self.index = SliceIndex(directory, dim=DIM, model=MODEL)
        self.search = Search(self.catalogue, self.index, MODEL, tiny_classifier())
        self.volumes = VolumeSearch(self.catalogue, self.search, MODEL)
        self._random = np.random.default_rng(0)

    def put(self, belongs_to: Series, slices: Any, noise: float = 0.0) -> None:
        """Add a series of such slices, each an instance, changed by some noise."""
        rows = np.atleast_2d(np.asarray(slices, float))
        rows = units(rows + noise * self._random.standard_normal(rows.shape))
        for place, row in enumerate(rows):
            name = f"{belongs_to.orthanc_id}-{place}"
            self.catalogue.enqueue([name])
            came, _ = self.catalogue.record(embedded(name, belongs_to, vectors=row), MODEL)
            self.index.add(np.array(came), row[None])

    def cases(self, query: Series = QUERY, *, study: bool = False, **criteria: Any) -> list[Case]:
        filters = criteria.pop("filters", {})
        conditions = tuple(found for keyword, text in filters.items() if (found := parse(keyword, text)))
        caller = criteria.pop("caller", ANYONE)
        asked = query.study_orthanc_id if study else query.orthanc_id
        stacks = self.volumes.stacks(self.catalogue.members([asked], MODEL))
        return self.volumes.cases(stacks, Criteria(conditions=conditions, **criteria), caller)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    archive = Archive(tmp_path)
    archive.put(QUERY, np.eye(6, DIM))
    yield archive
    archive.catalogue.close()


def patients(cases: list[Case]) -> list[str]:
    return [case.best.slice.series.patient_orthanc_id for case in cases]


def patient(one: Series) -> str:
    return one.patient_orthanc_id


def test_what_has_all_slices_of_the_query_comes_before_what_has_one_exactly(archive: Archive) -> None:
    alike, one_only = series("alike", 1, **T1C), series("one", 2, **T1C)
    archive.put(alike, np.eye(6, DIM), noise=0.1)
    archive.put(one_only, [np.eye(DIM)[0], *np.eye(DIM)[10:15]])
    assert patients(archive.cases()) == [patient(alike), patient(one_only)]


def test_the_match_says_which_slice_each_slice_found(archive: Archive) -> None:
    other = series("other", 1, **T1C)
    archive.put(other, np.eye(6, DIM)[::-1], noise=0.05)
    (case,) = archive.cases()
    (match,) = case.matches
    assert (match.query, match.series.orthanc_id) == (0, other.orthanc_id)
    assert [hit.slice.orthanc_id for hit in match.hits] == [f"{other.orthanc_id}-{place}" for place in range(6)[::-1]]
    assert case.similarity == pytest.approx(match.similarity * match.agreement, abs=1e-6)
    assert {hit.slice.label for hit in case.hits} == {hit.slice.label for hit in match.hits}


def test_a_study_is_compared_sequence_with_sequence(archive: Archive) -> None:
    second = replace(series("reader", 1000, 2, **T2))
    archive.put(second, np.eye(DIM)[6:10])
    both = [series("both", 1, 1, **T2), series("both", 1, 2, **T1C)]
    archive.put(both[0], np.eye(DIM)[6:10], noise=0.05)
    archive.put(both[1], np.eye(6, DIM), noise=0.05)
    swapped = [series("swapped", 2, 1, **T1C), series("swapped", 2, 2, **T2)]
    archive.put(swapped[0], np.eye(DIM)[6:10], noise=0.05)
    archive.put(swapped[1], np.eye(6, DIM), noise=0.05)
    first_only = series("half", 3, 1, **T1C)
    archive.put(first_only, np.eye(6, DIM), noise=0.05)
    cases = archive.cases(study=True)
    assert patients(cases)[0] == patient(both[0])
    assert {patient(first_only), patient(swapped[0])} == set(patients(cases)[1:])
    assert [match.series.orthanc_id for match in cases[0].matches] == [both[1].orthanc_id, both[0].orthanc_id]
    assert [len(match.hits) for match in cases[0].matches] == [6, 4]


def test_the_own_study_is_never_found_and_the_own_patient_as_asked(archive: Archive) -> None:
    archive.put(series("reader", 1000, 2, **T1C), np.eye(6, DIM))
    prior, other = series("reader", 999, **T1C), series("other", 1, **T1C)
    archive.put(prior, np.eye(6, DIM), noise=0.05)
    archive.put(other, np.eye(6, DIM), noise=0.1)
    assert patients(archive.cases()) == [patient(other)]
    assert patients(archive.cases(same_patient="only")) == [patient(prior)]
    assert patients(archive.cases(same_patient="include")) == [patient(prior), patient(other)]


@pytest.mark.parametrize(("group", "number"), [("patient", 1), ("study", 2), ("none", 3)])
def test_a_case_is_a_patient_a_study_or_a_series(archive: Archive, group: str, number: int) -> None:
    for study, which in ((1, 1), (1, 2), (2, 1)):
        archive.put(series("other", study, which, **T1C), np.eye(6, DIM), noise=0.1)
    cases = archive.cases(group=group)
    assert len(cases) == number
    assert [case.similarity for case in cases] == sorted((case.similarity for case in cases), reverse=True)


def test_filters_choose_the_series_that_are_compared(archive: Archive) -> None:
    flair = {"SeriesDescription": "T2 FLAIR"}
    archive.put(series("a", 1, 1, **T1C), np.eye(6, DIM), noise=0.1)
    archive.put(series("a", 1, 2, **flair), np.eye(6, DIM), noise=0.2)
    archive.put(series("b", 2, 1, **T1C), np.eye(6, DIM), noise=0.1)
    (case,) = archive.cases(filters={"SeriesDescription": "*flair*"})
    assert {match.series.facts["SeriesDescription"] for match in case.matches} == {"T2 FLAIR"}


def test_filters_of_many_slices_are_as_good(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cbmir.search.EXACT_LIMIT", 1)
    for number in range(1, 5):
        name = "even" if number % 2 == 0 else "odd"
        archive.put(series(f"P{number}", number, StudyDescription=name, **T1C), np.eye(6, DIM), noise=0.1)
    assert len(archive.cases(filters={"StudyDescription": "even"})) == 2


def test_studies_that_a_caller_may_not_see_leave_no_trace(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_module, "FEWEST_CANDIDATES", 2)
    monkeypatch.setattr(search_module, "CANDIDATES", 1)
    hidden = [series(f"H{number}", number, **T1C) for number in range(1, 30)]
    for one in hidden:
        archive.put(one, np.eye(6, DIM), noise=0.02)
    seen = series("seen", 99, **T1C)
    archive.put(seen, np.eye(6, DIM), noise=0.3)
    (case,) = archive.cases(caller=Reader(seen, QUERY), k=2)
    assert patients([case]) == [patient(seen)]
    assert archive.cases(caller=Reader(QUERY)) == []


def test_ever_farther_neighbours_are_looked_at_until_there_are_enough_cases(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 6):
        archive.put(series(f"P{number}", number, **T1C), np.eye(6, DIM), noise=0.05 * number)
    rounds = ((6, 2), (2, 4), (1, 100))
    numbers = []
    for end in range(1, len(rounds) + 1):
        monkeypatch.setattr(search_module, "ROUNDS", rounds[:end])
        numbers.append(len(archive.cases(k=5)))
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 5


def test_the_number_of_candidates_that_are_compared_is_limited(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_module, "FEWEST_CANDIDATES", 2)
    monkeypatch.setattr(search_module, "CANDIDATES", 0)
    monkeypatch.setattr(search_module, "MOST_CANDIDATES", 4)
    for number in range(1, 9):
        archive.put(series(f"P{number}", number, **T1C), np.eye(6, DIM), noise=0.05)
    assert len(archive.cases(k=8)) == 4


def test_the_candidates_of_the_index_hold_the_best_of_all(archive: Archive) -> None:
    random = np.random.default_rng(1)
    for number in range(60):
        archive.put(series(f"P{number}", number, **T1C), random.standard_normal((8, DIM)) + 0.3)
    everything = archive.cases(k=60)
    assert len(everything) == 60
    assert patients(archive.cases(k=3)) == patients(everything)[:3]


def test_a_case_below_the_least_similarity_is_not_shown(archive: Archive) -> None:
    archive.put(series("near", 1, **T1C), np.eye(6, DIM), noise=0.05)
    archive.put(series("far", 2, **T1C), np.eye(DIM)[8:14], noise=0.05)
    assert len(archive.cases(min_similarity=0.5)) == 1


def test_long_series_are_thinned_and_localizers_left_out(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(question, "MOST_SLICES", 4)
    monkeypatch.setattr(search_module, "MOST_OF_A_CANDIDATE", 3)
    archive.put(series("reader", 1000, 2, SeriesDescription="localizer"), np.eye(DIM)[12:15])
    archive.put(series("other", 1, **T1C), np.eye(6, DIM), noise=0.1)
    (case,) = archive.cases(study=True)
    (match,) = case.matches
    assert len(match.hits) == 4
    assert len(case.hits) <= 3


def test_a_localizer_alone_can_be_asked_about(archive: Archive) -> None:
    localizer = series("reader", 1001, SeriesDescription="localizer")
    archive.put(localizer, np.eye(3, DIM))
    archive.put(series("other", 1, **T1C), np.eye(6, DIM), noise=0.1)
    assert len(archive.cases(localizer)) == 1


def test_a_case_lists_no_more_slices_than_a_card_shows(archive: Archive) -> None:
    query, other = series("reader", 1001, **T1C), series("other", 1, **T1C)
    random = np.random.default_rng(2)
    archive.put(query, random.standard_normal((40, DIM)))
    archive.put(other, random.standard_normal((40, DIM)))
    (case,) = archive.cases(query)
    assert len(case.hits) <= SLICES_SHOWN
    assert len(case.matches[0].hits) == 40


def test_a_case_whose_slices_go_meanwhile_is_left_out(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.put(series("other", 1, **T1C), np.eye(6, DIM), noise=0.1)
    monkeypatch.setattr(archive.catalogue, "slices", lambda _labels: {})
    assert archive.cases() == []


def test_an_empty_archive_has_no_cases(archive: Archive) -> None:
    assert archive.cases() == []
