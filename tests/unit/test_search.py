from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from parts import DIM, MODEL, embedded, series, tiny_classifier, units

from cbmir import search as search_module
from cbmir.access import ANYONE
from cbmir.answering.matching import Condition, parse
from cbmir.index import SliceIndex
from cbmir.records import Label
from cbmir.search import FIRST_FETCH, Criteria, Search
from cbmir.store.sqlite import SqliteCatalogue

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from cbmir.cases import Case
    from cbmir.records import Series

QUERY = units(np.eye(1, DIM))[0]
READER = series("reader", 1000)


class Reader:
    """A caller who may see some studies."""

    sees_all = False

    def __init__(self, *visible: Series) -> None:
        self.visible = {one.study_orthanc_id for one in visible}
        self.asked: set[str] = set()

    def studies(self, orthanc_ids: Iterable[str]) -> set[str]:
        self.asked |= set(orthanc_ids)
        return self.visible & set(orthanc_ids)

    def sees_statistics(self) -> bool:
        return False


class Shelf:
    """A catalogue and an index over it, filled by the tests."""

    def __init__(self, directory: Path) -> None:
        self.catalogue = SqliteCatalogue(directory / "catalogue.sqlite")
        self.index = SliceIndex(directory, dim=DIM, model=MODEL)
        self.search = Search(self.catalogue, self.index, MODEL, tiny_classifier())
        self._random = np.random.default_rng(0)

    def put(self, belongs_to: Series, similarities: Any, name: str = "") -> None:
        """Add an instance whose frames have these similarities to the query."""
        wanted = np.atleast_1d(np.asarray(similarities, float))
        away = self._random.standard_normal((len(wanted), DIM))
        away[:, 0] = 0
        away /= np.linalg.norm(away, axis=1, keepdims=True)
        vectors = wanted[:, None] * QUERY + np.sqrt(1 - wanted**2)[:, None] * away
        name = name or f"{belongs_to.orthanc_id}-{self._random.integers(10**9)}"
        self.catalogue.enqueue([name])
        came, _ = self.catalogue.record(embedded(name, belongs_to, vectors=vectors), MODEL)
        self.index.add(np.array(came), vectors.astype(np.float32))

    def cases(self, *, query: Series = READER, vector: NDArray[np.float32] = QUERY, **criteria: Any) -> list[Case]:
        filters = criteria.pop("filters", {})
        conditions = tuple(found for keyword, text in filters.items() if (found := parse(keyword, text)))
        caller = criteria.pop("caller", ANYONE)
        return self.search.cases(vector, query, Criteria(conditions=conditions, **criteria), caller)


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    shelf = Shelf(tmp_path)
    yield shelf
    shelf.catalogue.close()


def patients(cases: list[Case]) -> list[str]:
    return [case.best.slice.series.patient for case in cases]


def expected(*names: str) -> list[str]:
    return [series(name).patient for name in names]


def test_an_empty_archive_has_no_cases(shelf: Shelf) -> None:
    assert shelf.cases() == []
    assert shelf.cases(filters={"Modality": "MR"}) == []
    assert shelf.cases(same_patient="only") == []


def test_cases_come_by_falling_similarity(shelf: Shelf) -> None:
    for number, similarity in enumerate([0.2, 0.9, 0.5]):
        shelf.put(series(f"P{number}", number), similarity)
    cases = shelf.cases()
    assert patients(cases) == expected("P1", "P2", "P0")
    assert [case.best.similarity for case in cases] == pytest.approx([0.9, 0.5, 0.2], abs=1e-5)


def test_enough_cases_are_found_although_one_series_fills_the_neighbourhood(shelf: Shelf) -> None:
    shelf.put(series("crowd", 1), np.full(12 * FIRST_FETCH * 5, 0.95))
    for number in range(10):
        shelf.put(series(f"P{number}", 2 + number), 0.5 - number / 100)
    cases = shelf.cases(k=5)
    assert patients(cases) == expected("crowd", "P0", "P1", "P2", "P3")
    assert len(shelf.cases(k=11)) == 11
    assert len(shelf.cases(k=100)) == 11


def test_the_second_look_is_wide_and_later_ones_grow_slowly(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.put(series("crowd", 1), np.full(9 * FIRST_FETCH, 0.95))
    shelf.put(series("P1", 2), 0.3)
    asked: list[int] = []
    search = shelf.index.search

    def noting(vector: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        asked.append(k)
        return search(vector, k)

    monkeypatch.setattr(shelf.index, "search", noting)
    assert patients(shelf.cases(k=1, query=series("crowd", 3))) == expected("P1")
    assert asked == [FIRST_FETCH, 4 * FIRST_FETCH, 8 * FIRST_FETCH, 16 * FIRST_FETCH]


def test_the_reader_s_own_series_does_not_hide_others(shelf: Shelf) -> None:
    shelf.put(series("reader", 1000), np.full(500, 0.99))
    shelf.put(series("P1", 1), 0.3)
    assert patients(shelf.cases(k=1)) == expected("P1")


@pytest.mark.parametrize(
    ("mode", "found"), [("exclude", ["other"]), ("only", ["prior"]), ("include", ["prior", "other"])]
)
def test_the_patient_s_other_studies_are_found_as_asked(shelf: Shelf, mode: str, found: list[str]) -> None:
    shelf.put(series("reader", 1000), 0.99, "own study")
    shelf.put(series("reader", 999), 0.8, "prior")
    shelf.put(series("P1", 1), 0.7, "other")
    assert [case.best.slice.orthanc_id for case in shelf.cases(same_patient=mode)] == found


def test_cases_below_the_least_similarity_are_not_shown(shelf: Shelf) -> None:
    for number, similarity in enumerate([0.9, 0.6, 0.55, 0.4, -0.5]):
        shelf.put(series(f"P{number}", number), similarity)
    assert len(shelf.cases(min_similarity=0.5)) == 3
    assert shelf.cases(min_similarity=0.95) == []
    assert len(shelf.cases(min_similarity=-1)) == 5
    assert len(shelf.cases(min_similarity=0.5, filters={"Modality": "MR"})) == 3


@pytest.mark.parametrize(("group", "number"), [("patient", 2), ("study", 3), ("none", 8)])
def test_cases_are_grouped_as_asked(shelf: Shelf, group: str, number: int) -> None:
    shelf.put(series("P1", 1), [0.9, 0.8, 0.7, 0.6])
    shelf.put(series("P1", 2), [0.85, 0.5])
    shelf.put(series("P2", 3), [0.3, 0.2])
    assert len(shelf.cases(group=group)) == number


def test_no_similarity_is_above_one(shelf: Shelf) -> None:
    shelf.put(series("P1", 1), 1)
    (case,) = shelf.cases(vector=QUERY * np.float32(1.00001))
    assert case.best.similarity == 1


def test_slices_that_the_catalogue_has_lost_are_passed_over(shelf: Shelf) -> None:
    shelf.put(series("P1", 1), 0.9, "gone")
    shelf.put(series("P2", 2), 0.8, "kept")
    shelf.catalogue.forget(["gone"])
    assert patients(shelf.cases()) == expected("P2")


def test_slices_that_the_index_does_not_have_yet_are_compared_all_the_same(shelf: Shelf) -> None:
    shelf.put(series("P1", 1), 0.9)
    shelf.catalogue.enqueue(["late"])
    vectors = units([[0.95, np.sqrt(1 - 0.95**2), *[0] * (DIM - 2)]])
    shelf.catalogue.record(embedded("late", series("P2", 2), vectors=vectors), MODEL)
    assert patients(shelf.cases(filters={"Modality": "MR"})) == expected("P2", "P1")


def filled(shelf: Shelf) -> None:
    for number in range(400):
        sex = "MF"[number % 2]
        description = f"T{1 + number % 3}"
        facts = {"PatientSex": sex, "SeriesDescription": description}
        shelf.put(series(f"P{number}", number, **facts), shelf._random.uniform(-0.5, 0.99, 3))


@pytest.mark.parametrize(
    "filters",
    [
        {"PatientSex": "F"},
        {"SeriesDescription": "T?"},
        {"PatientSex": "M", "SeriesDescription": "T2"},
        {"SeriesDescription": "T9"},
        {"StudyInstanceUID": "1.7"},
    ],
)
def test_filtering_one_by_one_and_through_the_graph_agree(
    shelf: Shelf, filters: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(shelf)
    monkeypatch.setattr(search_module, "READ", 0)
    exact = shelf.cases(filters=filters, k=10)
    assert all(case.best.slice.series.facts["SeriesDescription"] for case in exact)
    monkeypatch.setattr(search_module, "READ", 10**6)
    assert patients(shelf.cases(filters=filters, k=10)) == patients(exact)
    monkeypatch.setattr(search_module, "EXACT_LIMIT", -1)
    assert patients(shelf.cases(filters=filters, k=10)) == patients(exact)
    if filters == {"PatientSex": "F"}:
        assert {case.best.slice.series.facts["PatientSex"] for case in exact} == {"F"}
        assert len(exact) == 10


def test_a_filter_never_lowers_the_number_of_cases_below_what_there_is(shelf: Shelf) -> None:
    filled(shelf)
    shelf.put(series("rare", 5000, BodyPartExamined="SPINE"), -0.4)
    assert patients(shelf.cases(filters={"BodyPartExamined": "spine"}, min_similarity=-1)) == expected("rare")


def vectors_of(shelf: Shelf, labels: list[int]) -> NDArray[np.float32]:
    ((found, vectors),) = shelf.catalogue.vectors(np.array(labels))
    assert found.tolist() == labels
    return vectors


@pytest.mark.parametrize("filters", [{}, {"PatientSex": "F"}])
def test_cases_of_one_class_are_all_and_only_those(
    shelf: Shelf, filters: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(shelf)
    everything = shelf.cases(filters=filters, k=100, group="none", min_similarity=-1)
    classifier = tiny_classifier()
    for number in range(2):
        found = shelf.cases(filters=filters, k=20, group="none", min_similarity=-1, predicted=number)
        labels = [case.best.slice.label for case in found]
        assert (classifier.classes(vectors_of(shelf, labels)) == number).all()
        every = [case.best.slice.label for case in everything]
        of_class = [
            label
            for label, its in zip(every, classifier.classes(vectors_of(shelf, every)), strict=True)
            if its == number
        ]
        assert labels == of_class[:20]
        with monkeypatch.context() as patched:
            patched.setattr(search_module, "EXACT_LIMIT", -1)
            again = shelf.cases(filters=filters, k=20, group="none", min_similarity=-1, predicted=number)
        assert [case.best.slice.label for case in again] == labels


def test_a_filter_that_nearly_all_fulfil_has_no_vector_read(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(shelf)
    asked: list[int] = []
    vectors = shelf.catalogue.vectors
    monkeypatch.setattr(shelf.catalogue, "vectors", lambda labels: asked.append(len(labels)) or vectors(labels))
    assert len(shelf.cases(filters={"Modality": "MR"}, k=10)) == 10
    assert not asked


def test_unfiltered_cases_are_the_nearest_by_brute_force(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(shelf)
    monkeypatch.setattr(search_module, "READ", 0)
    everything = shelf.cases(filters={"Modality": "MR"}, k=20)
    assert patients(shelf.cases(k=20)) == patients(everything)


def test_equal_cases_come_in_the_same_order_whatever_order_they_were_indexed_in(tmp_path: Path) -> None:
    orders = []
    for turn in range(5):
        directory = tmp_path / str(turn)
        directory.mkdir()
        shelf = Shelf(directory)
        names = [f"P{number:02d}" for number in range(30)]
        random.Random(turn).shuffle(names)
        for name in names:
            shelf.catalogue.enqueue([name])
            came, _ = shelf.catalogue.record(embedded(name, series(name, int(name[1:])), vectors=QUERY), MODEL)
            shelf.index.add(np.array(came), QUERY[None])
        orders.append([case.best.slice.orthanc_id for case in shelf.cases(k=10)])
        assert [case.best.slice.orthanc_id for case in shelf.cases(k=10, filters={"Modality": "MR"})] == orders[-1]
        shelf.catalogue.close()
    assert all(order == sorted(order) == orders[0] for order in orders)


# ---- callers who may not see everything ----


@pytest.mark.parametrize("filters", [{}, {"Modality": "MR"}])
def test_a_full_list_is_found_behind_any_number_of_hidden_neighbours(shelf: Shelf, filters: dict[str, str]) -> None:
    for number in range(300):
        shelf.put(series(f"H{number}", number), 0.9 - number / 10_000)
    shown = [series(f"S{number}", 400 + number) for number in range(5)]
    for number, one in enumerate(shown):
        shelf.put(one, 0.5 - number / 100)
    cases = shelf.cases(k=5, filters=filters, caller=Reader(*shown))
    assert [case.best.slice.series for case in cases] == shown


def test_who_may_see_nothing_finds_nothing(shelf: Shelf) -> None:
    for number in range(50):
        shelf.put(series(f"H{number}", number), 0.9)
    assert shelf.cases(k=5, caller=Reader()) == []


def test_orthanc_is_not_asked_about_a_whole_archive(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_module, "FARTHEST", 100)
    for number in range(400):
        shelf.put(series(f"H{number}", number), 0.9 - number / 10_000)
    reader = Reader()
    assert shelf.cases(k=1, caller=reader) == []
    assert 100 <= len(reader.asked) < 400


# ---- the order that the first hits have a say in ----


def leaning(similarity: float, axis: int) -> NDArray[np.float32]:
    """Return a unit vector of this similarity to the query, away from it along an axis."""
    vector = similarity * np.eye(DIM)[0] + np.sqrt(1 - similarity**2) * np.eye(DIM)[axis]
    return vector.astype(np.float32)


def place(shelf: Shelf, patient: str, vector: NDArray[np.float32]) -> Series:
    belongs_to = series(patient, sum(map(ord, patient)))
    shelf.catalogue.enqueue([patient])
    came, _ = shelf.catalogue.record(embedded(patient, belongs_to, vectors=vector), MODEL)
    shelf.index.add(np.array(came), vector[np.newaxis])
    return belongs_to


def crowd_on_one_side(shelf: Shelf) -> list[Series]:
    """Three near slices that lean to one side; then one that is alone, and one, a little farther, on that side too."""
    near = [place(shelf, f"near{number}", leaning(0.9 - number / 1000, 1)) for number in range(3)]
    return [*near, place(shelf, "alone", leaning(0.8, 2)), place(shelf, "beside", leaning(0.78, 1))]


@pytest.mark.parametrize(("expand", "last"), [(0, ["alone", "beside"]), (3, ["beside", "alone"])])
def test_what_the_first_hits_share_decides_between_nearly_equal_ones(
    shelf: Shelf, expand: int, last: list[str]
) -> None:
    crowd_on_one_side(shelf)
    shelf.search = Search(shelf.catalogue, shelf.index, MODEL, None, expand=expand)
    assert [case.best.slice.orthanc_id for case in shelf.cases()][3:] == last


def test_the_similarity_told_is_to_the_query_itself(shelf: Shelf) -> None:
    crowd_on_one_side(shelf)
    shelf.search = Search(shelf.catalogue, shelf.index, MODEL, None, expand=3)
    told = {case.best.slice.orthanc_id: case.best.similarity for case in shelf.cases()}
    assert told == pytest.approx({"near0": 0.9, "near1": 0.899, "near2": 0.898, "alone": 0.8, "beside": 0.78}, abs=1e-5)
    assert [case.best.slice.orthanc_id for case in shelf.cases(min_similarity=0.79)] == [
        "near0",
        "near1",
        "near2",
        "alone",
    ]


def test_slices_of_the_own_patient_have_no_say(shelf: Shelf) -> None:
    crowd_on_one_side(shelf)
    for number in range(5):
        name = f"own{number}"
        shelf.catalogue.enqueue([name])
        vector = leaning(0.95, 2)
        came, _ = shelf.catalogue.record(embedded(name, series("reader", 1000 + number), vectors=vector), MODEL)
        shelf.index.add(np.array(came), vector[np.newaxis])
    shelf.search = Search(shelf.catalogue, shelf.index, MODEL, None, expand=3)
    assert [case.best.slice.orthanc_id for case in shelf.cases()][3:] == ["beside", "alone"]


def test_slices_that_the_caller_may_not_see_have_no_say(shelf: Shelf) -> None:
    *_, alone, beside = crowd_on_one_side(shelf)
    shelf.search = Search(shelf.catalogue, shelf.index, MODEL, None, expand=3)
    found = shelf.cases(caller=Reader(alone, beside))
    # the first visible one moves the query to its own side; those hidden would have moved it to the other's
    assert [case.best.slice.orthanc_id for case in found] == ["alone", "beside"]


def test_the_first_cases_are_the_same_however_many_are_asked_for(shelf: Shelf) -> None:
    filled(shelf)
    shelf.search = Search(shelf.catalogue, shelf.index, MODEL, None, expand=10)
    ten = patients(shelf.cases(k=10))
    assert patients(shelf.cases(k=3)) == ten[:3]


# ---- something rare ----


def test_something_rare_is_found_by_looking_ever_farther(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_module, "OUTWARD", (8, 64, 512))
    for number in range(60):
        shelf.put(series(f"P{number}", number), 0.9 - number / 1000)
        shelf.catalogue.set_labels(series(f"P{number}", number).study_orthanc_id, [Label("glioma", "histology")])
    far = series("far", 900)
    shelf.put(far, 0.2)
    shelf.catalogue.set_labels(far.study_orthanc_id, [Label("cyst", "histology")])
    other = Condition("label", "other", ("glioma", "histology"))
    found = shelf.search.cases(QUERY, READER, Criteria(conditions=(other,), min_similarity=-1), ANYONE)
    assert patients(found) == [far.patient]
    monkeypatch.setattr(search_module, "OUTWARD", (8, 16))
    assert shelf.search.cases(QUERY, READER, Criteria(conditions=(other,), min_similarity=-1), ANYONE) == []


@pytest.mark.parametrize("group", ["patient", "study", "none"])
@pytest.mark.parametrize("expand", [0, 10])
def test_who_may_see_each_study_finds_what_those_find_who_may_see_everything(
    shelf: Shelf, group: str, expand: int
) -> None:
    filled(shelf)
    shelf.search = Search(shelf.catalogue, shelf.index, MODEL, None, expand=expand)
    reader = Reader(*(series(f"P{number}", number) for number in range(400)))
    for vector in units(shelf._random.standard_normal((5, DIM)) + 3 * QUERY):
        everything = shelf.cases(vector=vector, group=group, k=7)
        assert len(everything) == 7
        assert shelf.cases(vector=vector, group=group, k=7, caller=reader) == everything
