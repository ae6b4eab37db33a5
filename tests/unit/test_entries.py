from __future__ import annotations

import json
from typing import Any

import pytest

from cbmir.labelling.entries import NotLabelsError, entries, merged
from cbmir.records import Label

GLIOMA = {"label": "glioma", "provenance": "histology"}
THEIRS = {"label": "glioma", "provenance": "report", "by": "another program"}


def test_nothing_is_there_before_anybody_said_anything() -> None:
    assert entries(None) == []
    assert entries("[]") == []


@pytest.mark.parametrize(
    "text", ["", "glioma", '{"label": "x"}', '"x"', "[1]", '[{"label": 3}]', '[{"text": "x"}]', "null", "[" * 9999]
)
def test_what_is_no_label_is_told_from_labels(text: str) -> None:
    with pytest.raises(NotLabelsError):
        entries(text)


def test_what_is_missing_is_added_and_what_others_wrote_stays_as_it_is() -> None:
    found = merged([THEIRS], [Label("glioma", "histology"), Label("glioma", "report")], replace=False)
    assert (found.there, found.added, found.removed) == ([THEIRS], [GLIOMA], [])
    assert json.loads(found.text) == [THEIRS, GLIOMA]


def test_merging_twice_changes_nothing() -> None:
    once = merged([], [Label("glioma", "histology")], replace=False)
    again = merged(json.loads(once.text), [Label("glioma", "histology")], replace=False)
    assert (once.changes, again.changes) == (True, False)


@pytest.mark.parametrize("before", [[THEIRS], [{}], [{"label": "cyst"}]])
def test_only_replacing_removes(before: list[dict[str, Any]]) -> None:
    found = merged(before, [Label("glioma", "histology")], replace=True)
    assert (found.there, found.added, found.removed) == ([], [GLIOMA], before)
