from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from cbmir.store import belonging as belonging_module
from cbmir.store.belonging import NONE, Belonging

if TYPE_CHECKING:
    from collections.abc import Iterable


class Slices:
    """Slices in the order of their labels, as the catalogue gives those that came after one."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int]] = []

    def put(self, *rows: tuple[int, int]) -> None:
        self.rows += rows

    def after(self, last: int) -> Iterable[tuple[int, int]]:
        return (row for row in self.rows if row[0] > last)


def belonging(*rows: tuple[int, int]) -> Belonging:
    slices, found = Slices(), Belonging()
    slices.put(*rows)
    found.extend(0, slices.after)
    return found


def test_what_is_not_known_has_no_series() -> None:
    assert belonging().series_of(np.array([1, 2])).tolist() == [NONE, NONE]
    assert belonging((5, 1), (7, 2)).series_of(np.array([4, 5, 6, 7, 8])).tolist() == [NONE, 1, NONE, 2, NONE]


def test_only_what_came_after_the_last_is_read() -> None:
    slices, found, asked = Slices(), Belonging(), list[int]()

    def after(last: int) -> Iterable[tuple[int, int]]:
        asked.append(last)
        return slices.after(last)

    slices.put((10, 1), (11, 1))
    found.extend(1, after)
    slices.put((12, 9))
    found.extend(2, after)
    found.extend(3, after)
    assert asked == [-1, 11, 12]
    assert found.series_of(np.array([10, 12])).tolist() == [1, 9]


def test_nothing_is_read_where_nothing_was_written() -> None:
    slices, found, asked = Slices(), Belonging(), list[int]()

    def after(last: int) -> Iterable[tuple[int, int]]:
        asked.append(last)
        return slices.after(last)

    for as_of in (0, 0, 7, 7):
        found.extend(as_of, after)
    assert asked == [-1, -1]


def test_a_few_labels_are_found_once_and_many_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    found = belonging((1, 3), (2, 3), (5, 0))
    few = found.of_series(np.array([3]))
    assert few.labels() is few.labels()
    monkeypatch.setattr(belonging_module, "FEW", 1)
    many = found.of_series(np.array([3]))
    assert many.labels() is not many.labels()
    assert many.labels().tolist() == [1, 2]


def test_slices_are_chosen_and_counted_by_their_series() -> None:
    found = belonging((1, 3), (2, 3), (5, 0), (6, 7))
    chosen = found.of_series(np.array([3, 7, 99]))
    assert len(chosen) == 3
    assert chosen.labels().tolist() == [1, 2, 6]
    assert chosen.holds(np.array([1, 5, 6, 99])).tolist() == [True, False, True, False]
    assert len(found.of_series(np.empty(0, np.int64))) == 0


def test_what_is_gone_belongs_nowhere() -> None:
    found = belonging((1, 3), (2, 3), (5, 4))
    before = found.of_series(np.array([3]))
    found.discard([2, 2, 77])
    found.discard([2])
    assert found.series_of(np.array([1, 2])).tolist() == [3, NONE]
    chosen = found.of_series(np.array([3, 4]))
    assert len(chosen) == 2
    assert chosen.labels().tolist() == [1, 5]
    assert before.labels().tolist() == [1]


@pytest.mark.parametrize("portion", [1, 7, 500])
def test_thousands_come_and_go_without_a_trace(portion: int) -> None:
    random, slices, found = np.random.default_rng(0), Slices(), Belonging()
    truth: dict[int, int] = {}
    for start in range(0, 4000, portion):
        new = [(label, int(random.integers(50))) for label in range(start, start + portion)]
        slices.put(*new)
        truth |= dict(new)
        found.extend(start, slices.after)
        gone = random.choice(list(truth), len(truth) // 5).tolist() if start % 500 == 0 else []
        found.discard(gone)
        for label in gone:
            truth.pop(label, None)
    assert found.series_of(np.array(list(truth))).tolist() == list(truth.values())
    for series in range(50):
        chosen = found.of_series(np.array([series]))
        assert chosen.labels().tolist() == [label for label, its in truth.items() if its == series]
        assert len(chosen) == len(chosen.labels())
