from __future__ import annotations

import numpy as np
import pytest
from parts import units

from cbmir.units import are_units


def test_rows_of_unit_length_are_sound() -> None:
    assert are_units(units(np.random.default_rng(1).standard_normal((50, 16)))).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, 2.0, 0.0])
def test_one_wrong_number_makes_its_row_unsound_and_no_other(value: float) -> None:
    rows = units(np.eye(4, 16))
    rows[2, 2] = value
    assert are_units(rows).tolist() == [True, True, False, True]


def test_of_no_rows_none_is_unsound() -> None:
    assert are_units(np.empty((0, 16), np.float32)).shape == (0,)
