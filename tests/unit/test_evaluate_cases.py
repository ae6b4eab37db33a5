from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import evaluate_cases
from evaluation import cases
from sources.csv_table import TableError
from sources.tables import Row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


def rows(*described: tuple[str, str, str], folder: Path) -> list[Row]:
    """Return rows of (label, group, sequence)."""
    return [
        Row(folder / f"{place}.png", label, group, None, {"sequence": sequence})
        for place, (label, group, sequence) in enumerate(described)
    ]


def units(values: object) -> NDArray[np.float32]:
    vectors = np.asarray(values, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def stacked(described: Sequence[tuple[str, str, str]], vectors: object, folder: Path) -> cases.Stacked:
    return cases.stacked(rows(*described, folder=folder), units(vectors), None, "sequence")


METHODS = [
    cases.votes(sequences=False),
    cases.votes(sequences=True),
    cases.means,
    cases.one_way,
    cases.interaction(),
    cases.interaction(power=0, sequences=False),
]


def test_the_slices_of_a_case_are_put_together_by_sequence(tmp_path: Path) -> None:
    described = [("a", "1", "T1"), ("b", "2", "T1"), ("a", "1", "T2"), ("a", "1", "T1")]
    found = stacked(described, np.eye(4), tmp_path)
    assert found.labels.tolist() == ["a", "b"]
    assert found.bounds.tolist() == [0, 3, 4]
    assert [kind.sequence for kind in found.kinds] == ["T1", "T2", "T1"]
    assert found.vectors.argmax(axis=1).tolist() == [0, 3, 2, 1]
    assert found.owners.tolist() == [0, 0, 0, 1]
    assert found.members.tolist() == [0, 0, 1, 2]


def test_where_groups_are_folds_runs_of_rows_are_the_cases(tmp_path: Path) -> None:
    described = [("a", "1", "")] * 5 + [("b", "1", "")] * 2
    found = cases.stacked(rows(*described, folder=tmp_path), units(np.eye(7)), 2, None)
    assert found.labels.tolist() == ["a", "a", "a", "b"]
    assert np.diff(found.bounds).tolist() == [2, 2, 1, 2]


@pytest.mark.parametrize("method", METHODS)
def test_every_way_finds_the_case_of_the_same_slices(method: cases.Method, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    kinds = random.standard_normal((3, 4, 16))
    described = [(str(kind), f"{kind}{side}", "T1") for side in "qg" for kind in range(3) for _ in range(4)]
    vectors = np.concatenate([(kinds + 0.1 * random.standard_normal(kinds.shape)).reshape(12, 16) for _ in range(2)])
    queries = stacked(described[:12], vectors[:12], tmp_path)
    gallery = stacked(described[12:], vectors[12:], tmp_path)
    assert method(queries, gallery).argmax(axis=1).tolist() == [0, 1, 2]


def test_a_vote_is_never_for_the_own_group(tmp_path: Path) -> None:
    both = stacked([("a", "1", ""), ("a", "2", ""), ("b", "3", "")], [[1, 0], [1, 0.1], [0, 1]], tmp_path)
    found = cases.votes(sequences=False)(both, both)
    assert found[0].argmax() == 1
    assert found[0, 0] < 0


def test_sequences_tell_cases_apart_that_look_alike(tmp_path: Path) -> None:
    queries = stacked([("a", "1", "T1C")], [[1, 0]], tmp_path)
    gallery = stacked([("b", "2", "T2"), ("a", "3", "T1C")], [[1, 0], [1, 0.1]], tmp_path)
    blind, seeing = (cases.interaction(sequences=sequences)(queries, gallery)[0] for sequences in (False, True))
    assert blind.argmax() == 0
    assert seeing.argmax() == 1


def made(folder: Path) -> Path:
    """Write a table of two classes of three cases of two pictures each; return it."""
    random = np.random.default_rng(0)
    lines = ["file,label,case,sequence"]
    for label in ("bright", "dark"):
        kind = random.random((8, 8))
        for case in range(3):
            for picture in range(2):
                name = f"{label}{case}{picture}.png"
                grey = np.kron(kind + 0.2 * random.random((8, 8)), np.ones((8, 8)))
                Image.fromarray((grey / grey.max() * 255).astype(np.uint8)).save(folder / name)
                lines.append(f"{name},{label},{label}{case},T1")
    (folder / "index.csv").write_text("\n".join(lines) + "\n")
    return folder / "index.csv"


def test_the_figures_are_those_of_every_way_with_intervals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table, out = made(tmp_path), tmp_path / "out.json"
    options = f"--gallery {table} --queries {table} --group case --sequence sequence --system pixels --json {out}"
    monkeypatch.setattr("sys.argv", ["evaluate_cases.py", *options.split()])
    evaluate_cases.main()
    figures = json.loads(out.read_text())
    assert figures["cases"] == {"queries": 6, "gallery": 6}
    assert len(figures["methods"]) == 7
    assert figures["methods"][evaluate_cases.VOTES]["gain"] == [0, 0, 0]
    for row in figures["methods"].values():
        mean, low, high = row["mAP"]
        assert 0 <= low <= mean <= high <= 1
    assert "| mean vectors | 1.000 (1.000 to 1.000) |" in capsys.readouterr().out


def test_small_cases_can_be_left_out_as_queries(tmp_path: Path) -> None:
    table = made(tmp_path)
    options = f"--gallery {table} --queries {table} --group case --system pixels --fewest-slices 3"
    with pytest.raises(TableError, match="has so many slices"):
        evaluate_cases.measure(evaluate_cases.arguments(options.split()))
