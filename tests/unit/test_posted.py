from __future__ import annotations

from typing import Any

import pytest

from cbmir.archive import LABEL_LENGTH
from cbmir.errors import BadRequest
from cbmir.labelling.posted import MOST_LINES, Line, parse_labels
from cbmir.records import Label

ONE = {"StudyInstanceUID": "1.2", "label": "glioma", "provenance": "histology"}


def test_a_list_says_what_of_what() -> None:
    found = parse_labels({"labels": [ONE, {"SOPInstanceUID": "1.9", "label": "cyst"}], "replace": True})
    assert found.lines == (
        Line(1, "studies", "1.2", Label("glioma", "histology")),
        Line(2, "instances", "1.9", Label("cyst", "")),
    )
    assert (found.replace, found.dry) == (True, False)


def test_the_narrowest_uid_decides() -> None:
    uids = {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.3", "SOPInstanceUID": "1.4"}
    levels = []
    while uids:
        (line,) = parse_labels({"labels": [{**uids, "label": "a"}]}).lines
        levels.append((line.level, line.uid))
        uids.popitem()
    assert levels == [("instances", "1.4"), ("series", "1.3"), ("studies", "1.2")]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_says_the_same_and_keeps_the_numbers_of_its_lines(separator: str) -> None:
    heading = ("StudyInstanceUID", "SeriesInstanceUID", "label", "provenance")
    rows = [heading, ("1.2", "", " Glioblastom, grün ", "report")]
    quoted = [[f'"{text}"' if separator in text else text for text in row] for row in rows]
    text = "\ufeff" + "\r\n".join([*map(separator.join, quoted), "", separator.join(["", "1.3", "cyst", ""])])
    found = parse_labels({"csv": text, "dryRun": True})
    assert found.lines == (
        Line(2, "studies", "1.2", Label("Glioblastom, grün", "report")),
        Line(4, "series", "1.3", Label("cyst", "")),
    )
    assert found.dry


def test_lines_of_one_thing_come_together() -> None:
    other = {"StudyInstanceUID": "1.3", "label": "cyst"}
    found = parse_labels({"labels": [ONE, other, {**ONE, "label": "oedema"}]}).by_resource()
    assert {key: [line.number for line in lines] for key, lines in found.items()} == {
        ("studies", "1.2"): [1, 3],
        ("studies", "1.3"): [2],
    }


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({}, "either labels, a list, or csv"),
        ({"labels": [ONE], "csv": ""}, "either labels, a list, or csv"),
        ({"labels": [ONE], "by": "x"}, "unknown key; known are labels, csv, replace, dryRun"),
        ({"labels": [ONE], "replace": 1}, "replace must be true or false"),
        ({"labels": ONE}, "labels must be a list"),
        ({"labels": ["glioma"]}, "labels must be a list"),
        ({"labels": []}, f"needed are 1 to {MOST_LINES} labels"),
        ({"labels": [ONE] * (MOST_LINES + 1)}, f"needed are 1 to {MOST_LINES} labels"),
        ({"labels": [ONE, {"label": "glioma"}]}, "line 2: needed are one of SOPInstanceUID"),
        ({"labels": [{"StudyInstanceUID": "1.2"}]}, "line 1: needed"),
        ({"labels": [{**ONE, "label": 3}]}, "line 1: needed"),
        ({"labels": [{**ONE, "provenance": ["x"]}]}, "line 1: needed"),
        ({"labels": [{**ONE, "label": "x" * (LABEL_LENGTH + 1)}]}, "at most 64 printable"),
        ({"labels": [{**ONE, "label": "a\nb"}]}, "line 1: needed"),
        ({"labels": [{**ONE, "StudyInstanceUID": "../x"}]}, "line 1: needed"),
        ({"labels": [{**ONE, "StudyInstanceUID": 12}]}, "line 1: needed"),
        ({"csv": 3}, "csv must be a text"),
        ({"csv": "StudyInstanceUID,label\n"}, "needed are 1 to"),
        ({"csv": "StudyInstanceUID,label\n1.2,a,b\n"}, "line 2: not as many values"),
        ({"csv": "study,label\n1.2,glioma\n"}, "line 2: needed are one of"),
        ({"csv": ""}, "needed are 1 to"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(document: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadRequest, match=sentence):
        parse_labels(document)
