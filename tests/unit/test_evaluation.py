import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import evaluate
from evaluation import metrics, ranked, report
from sources import csv_table, slice_files, tables

ABC = np.array(["a", "b", "a", "c", "a"])


def ranking_of(
    similarity: list[list[float]], queries: list[str], excluded: np.ndarray | None = None
) -> metrics.Ranking:
    return metrics.rank(np.array(similarity, np.float32), np.array(queries), ABC, excluded)


# the gallery ABC in the order of falling similarity is a b a c a: relevant at the ranks 1, 3, 5 for "a", 2 for "b"
FALLING = [0.9, 0.8, 0.7, 0.6, 0.5]


def test_average_precision_equals_the_sum_by_hand() -> None:
    ranking = ranking_of([FALLING, FALLING], ["a", "b"])
    expected = [(1 / 1 + 2 / 3 + 3 / 5) / 3, 1 / 2]
    assert np.allclose(metrics.average_precision(ranking), expected)


def test_average_precision_with_a_cut_divides_by_what_could_be_found_before_it() -> None:
    ranking = ranking_of([FALLING, FALLING], ["a", "b"])
    assert np.allclose(metrics.average_precision(ranking, 2), [(1 / 1) / 2, (1 / 2) / 1])


def test_precision_counts_the_first_hits() -> None:
    ranking = ranking_of([FALLING, FALLING[::-1]], ["a", "c"])
    assert np.allclose(metrics.precision_at(ranking, 1), [1, 0])
    assert np.allclose(metrics.precision_at(ranking, 3), [2 / 3, 1 / 3])


def test_what_is_excluded_is_neither_a_hit_nor_counted() -> None:
    excluded = np.array([[True, False, False, False, False]])
    ranking = ranking_of([FALLING], ["a"], excluded)
    # left: b a c a
    assert ranking.allowed.tolist() == [4]
    assert np.allclose(metrics.average_precision(ranking), (1 / 2 + 2 / 4) / 2)
    assert np.allclose(metrics.precision_at(ranking, 10), 2 / 4)
    assert np.allclose(metrics.chance(ranking), 2 / 4)


def test_a_query_without_anything_relevant_has_no_average_precision() -> None:
    ranking = ranking_of([FALLING], ["z"])
    assert not ranking.judged.any()
    assert np.isnan(metrics.average_precision(ranking)).all()


def test_chance_is_the_sum_of_squared_class_shares() -> None:
    ranking = ranking_of([FALLING] * 5, ABC.tolist())
    assert np.isclose(metrics.chance(ranking).mean(), 0.6**2 + 0.2**2 + 0.2**2)


def test_a_random_order_reaches_about_chance_in_a_large_gallery() -> None:
    random = np.random.default_rng(0)
    labels = random.choice(["a", "b", "c"], 2000, p=[0.5, 0.3, 0.2])
    ranking = metrics.rank(random.random((200, 2000), np.float32), labels[:200], labels)
    assert metrics.average_precision(ranking).mean() == pytest.approx(metrics.chance(ranking).mean(), abs=0.01)


def test_interpolated_precision_is_the_best_at_that_recall_or_beyond() -> None:
    ranking = ranking_of([[0.5, 0.9, 0.7, 0.6, 0.8]], ["a"])
    # order b a a c a: precisions at the hits 1/2, 2/3, 3/5
    levels, precision = metrics.precision_recall(ranking, points=4)
    assert np.allclose(levels, [0, 1 / 3, 2 / 3, 1])
    assert np.allclose(precision, [2 / 3, 2 / 3, 2 / 3, 3 / 5])


def test_the_vote_goes_to_the_commonest_class_and_of_equals_to_the_nearer() -> None:
    ranking = ranking_of([FALLING, FALLING], ["a", "a"])
    assert metrics.vote(ranking, ABC, 5).tolist() == ["a", "a"]
    assert metrics.vote(ranking, ABC, 2).tolist() == ["a", "a"]
    assert metrics.vote(ranking_of([FALLING[::-1]], ["a"]), ABC[::-1], 2).tolist() == ["a"]


def test_confusion_has_the_truth_in_rows() -> None:
    counts = metrics.confusion(np.array(["a", "a", "b"]), np.array(["a", "b", "b"]), ["a", "b"])
    assert counts.tolist() == [[1, 1], [0, 1]]


def test_the_interval_holds_the_mean_and_shrinks_with_more_groups() -> None:
    values = np.random.default_rng(0).random(400)
    few = metrics.interval(values, np.repeat(np.arange(4), 100).astype(str))
    slices = metrics.interval(values, np.arange(400).astype(str))
    assert few[0] <= values.mean() <= few[1]
    assert slices[0] < values.mean() < slices[1]


def test_slices_of_a_case_that_agree_make_a_wide_interval() -> None:
    values = np.repeat([0.0, 1.0, 0.0, 1.0], 100)
    low, high = metrics.interval(values, np.repeat(np.arange(4), 100).astype(str))
    assert high - low > 0.5


def test_one_value_for_all_has_an_interval_without_width() -> None:
    assert metrics.interval(np.ones(5), np.arange(5).astype(str)) == (1.0, 1.0)


@pytest.fixture
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a table of two classes that differ plainly, four cases each, three slices a case."""
    folder = tmp_path_factory.mktemp("table")
    random = np.random.default_rng(0)
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label", "case", "fold"])
        for number in range(24):
            label, case = ("left", "right")[number % 2], f"c{number // 3}"
            grey = random.integers(0, 60, (40, 40), np.uint8)
            grey[:, :20] += np.uint8(150 if label == "left" else 0)
            grey[:, 20:] += np.uint8(150 if label == "right" else 0)
            Image.fromarray(grey).save(folder / f"{number}.png")
            writer.writerow([f"{number}.png", label, case, number // 12])
    return str(folder / "index.csv")


def test_the_command_writes_every_figure_and_plot(
    table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written, plots = tmp_path / "out.json", tmp_path / "plots"
    wishes = ["--gallery", table, "--queries", table, "--group", "case", "--exclude-same-group", "--system", "pixels"]
    evaluate.run(evaluate.arguments([*wishes, "--json", str(written), "--plots", str(plots)]))
    figures = json.loads(written.read_text())
    assert figures["mAP"] == figures["P@1"] == figures["P@10"] == figures["mAP@10"] == 1
    assert (figures["n_queries"], figures["n_gallery"]) == (24, 24)
    assert figures["chance_mAP"] == pytest.approx(0.5, abs=0.05)
    assert figures["per_class"].keys() == {"left", "right"}
    assert figures["confidence_intervals"]["mAP"] == [1, 1]
    assert figures["confusion"]["counts"] == [[12, 0], [0, 12]]
    assert figures["index_recall"] == 1
    assert {path.name for path in plots.iterdir()} == {
        "precision_recall.png", "classes.png", "confusion.png", "map.png", "worst.png"
    }  # fmt: skip
    assert "mAP" in capsys.readouterr().out


def test_a_picture_never_finds_itself_or_when_asked_its_case(table: str) -> None:
    rows = tables.read(table, tables.Columns(group="case"))
    itself = ranked.excluded(rows, rows, same_group=False)
    assert (itself == np.eye(24, dtype=bool)).all()
    assert ranked.excluded(rows, rows, same_group=True).sum(axis=1).tolist() == [3] * 24


def test_conditions_behind_a_table_choose_its_rows(table: str) -> None:
    assert len(tables.read(f"{table}:fold=0", tables.Columns(group="case"))) == 12
    assert len(tables.read(f"{table}:fold=0,1&case=c0", tables.Columns(group="case"))) == 3
    assert len(tables.read(table, tables.Columns(group="case"), ["left"])) == 12


@pytest.mark.parametrize(
    ("spec", "column", "sentence"),
    [
        ("{}:fold=9", "case", "no row fits"),
        ("{}", "patient", "no column 'patient'"),
        ("{}.not", "case", "cannot be read"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(table: str, spec: str, column: str, sentence: str) -> None:
    with pytest.raises(csv_table.TableError, match=sentence):
        tables.read(spec.format(table), tables.Columns(group=column))


def test_a_gallery_with_nothing_to_find_is_an_error(table: str) -> None:
    rows = tables.read(table, tables.Columns(group="fold"))
    lefts, rights = ([row for row in rows if row.label == label] for label in ("left", "right"))
    sides = (ranked.Embedded(side, np.eye(12, dtype=np.float32)) for side in (lefts, rights))
    with pytest.raises(csv_table.TableError, match="no query has"):
        ranked.evaluate(*sides, same_group=False)


def test_a_query_is_moved_towards_its_hits_but_never_to_a_forbidden_one() -> None:
    query, gallery = np.float32([[1, 0]]), np.float32([[0.6, 0.8], [0.8, 0.6], [-1, 0]])
    forbidden = np.array([[False, True, False]])
    moved = ranked.expanded(query, gallery, forbidden, 2)
    # 0.6 cubed times the first; the second is forbidden, the third lies opposite and weighs nothing
    expected = np.array([1, 0]) + 0.6**3 * np.array([0.6, 0.8])
    assert np.allclose(moved, expected / np.linalg.norm(expected))
    assert (ranked.expanded(query, gallery, forbidden, 0) == query).all()


def test_the_protocol_names_what_was_resampled(table: str) -> None:
    rows = tables.read(table, tables.Columns(group="fold"))
    assert report.resampling_groups(rows, 13)[1] == "2 groups of queries"
    assert "blocks of 3" in report.resampling_groups(rows[:12], 3)[1]


def test_a_picture_of_one_grey_is_named(tmp_path: Path) -> None:
    Image.new("L", (8, 8), 7).save(tmp_path / "empty.png")
    with pytest.raises(csv_table.TableError, match=r"empty\.png: .* one grey"):
        slice_files.picture(tmp_path / "empty.png")
