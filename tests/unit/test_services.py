from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from parts import Workplace

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("hits", [0, 7])
def test_the_search_expands_queries_as_the_settings_want_it_also_after_a_change_of_model(
    tmp_path: Path, hits: int
) -> None:
    workplace = Workplace(tmp_path, query_expansion=hits)
    assert workplace.search._expand == hits
    changed = workplace.services.of(workplace.spaces.answering)
    assert changed.search._expand == hits
    assert changed.search is not workplace.services.search
    assert changed.inbox is workplace.services.inbox
    workplace.close()
