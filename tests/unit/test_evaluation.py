import csv
import json
from pathlib import Path

import numpy as np
import pytest
from dicom_files import AXIAL, mr_file, picture
from PIL import Image

import evaluate
from cbmir.pixels import Slice, prepare
from evaluation import confounds, metrics, ranked, report
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


def write_table(folder: Path, heading: str, *lines: str) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "index.csv").write_text("\n".join([heading, *lines]) + "\n")
    return str(folder / "index.csv")


def save_picture(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 30), np.uint8)).save(path)


def test_paths_in_a_table_are_relative_to_it_or_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("set/deep/a.png", "elsewhere/b.jpg"):
        save_picture(tmp_path / name)
    lines = ["deep/a.png,x", f"{tmp_path / 'elsewhere/b.jpg'},y", "../elsewhere/b.jpg,y"]
    write_table(tmp_path / "set", "picture,kind", *lines)
    monkeypatch.chdir(tmp_path)
    rows = tables.read("set/index.csv", tables.Columns(label="kind", file="picture"))
    assert [row.file for row in rows] == [tmp_path / "set/deep/a.png", *[tmp_path / "elsewhere/b.jpg"] * 2]
    # named in two ways it is one picture, which never finds itself
    assert ranked.excluded(rows, rows, same_group=False).sum() == 5


def test_a_table_without_a_group_has_each_picture_for_itself(tmp_path: Path) -> None:
    for name in "abc":
        save_picture(tmp_path / f"{name}.png")
    path = write_table(tmp_path, "file;label;case", "a.png;x;1", "b.png;x;", "c.png;y;")
    assert len({row.group for row in tables.read(path, tables.Columns())}) == 3
    # where some have a case, the others are cases of their own
    assert len({row.group for row in tables.read(path, tables.Columns(group="case"))}) == 3
    wishes = ["--gallery", path, "--queries", path, "--exclude-same-group", "--system", "pixels"]
    with pytest.raises(csv_table.TableError, match="no column 'group'; it has file, label, case"):
        evaluate.run(evaluate.arguments(wishes))


@pytest.mark.parametrize(
    ("heading", "lines", "sentence"),
    [
        ("path,label", ["a.png,x"], "no column 'file'; it has path, label"),
        ("file,label", ["a.png,x", "b.png,y"], "1 of 2 files are not there: .*b.png"),
        ("file,label", ["a.png,"], "no value in the column 'label' in line 2"),
        ("file,label", ["a.png,x,7"], "line 2: 3 values under a heading of 2 columns"),
        ("file,label", [], "no line below its heading"),
        ("file,label", ["a.png,x", "c.png,x"], "all pictures are of the class 'x'"),
        ("file,label", ["a.png,x", "c.png,x", "broken.png,y"], "broken.png cannot be read as a picture"),
        ("file,label", ["a.png,x", "c.png,x", "even.png,y"], "even.png: .* one grey"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_in_a_sentence(
    tmp_path: Path, heading: str, lines: list[str], sentence: str
) -> None:
    for seed, name in enumerate("ac"):
        save_picture(tmp_path / f"{name}.png", seed)
    (tmp_path / "broken.png").write_bytes((tmp_path / "a.png").read_bytes()[:-300])
    Image.new("L", (8, 8), 7).save(tmp_path / "even.png")
    path = write_table(tmp_path, heading, *lines)
    wishes = ["--gallery", path, "--queries", path, "--system", "pixels"]
    with pytest.raises(csv_table.TableError, match=sentence):
        evaluate.run(evaluate.arguments(wishes))


def test_unreadable_pictures_are_left_out_when_asked_and_named(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(table).parent
    (folder / "0.png").write_bytes(b"no picture")
    wishes = ["--gallery", table, "--queries", table, "--group", "case", "--system", "pixels", "--skip-unreadable"]
    _, figures = evaluate.measure(evaluate.arguments(wishes))
    assert (figures["n_queries"], figures["n_gallery"]) == (23, 23)
    assert all("0.png cannot be read" in reason for reason in figures["unreadable"])
    evaluate.run(evaluate.arguments(wishes))
    assert "0.png" in capsys.readouterr().err


def test_sixteen_bits_colours_and_transparency_can_be_measured(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 4000, (32, 32)).astype(np.uint16)
    expected = prepare(Slice(stored=grey), 16)
    Image.fromarray(grey).save(tmp_path / "deep.png")
    Image.fromarray(grey).save(tmp_path / "deep.tif")
    for name in ("deep.png", "deep.tif"):
        assert np.array_equal(slice_files.picture(tmp_path / name, 16), expected)
    eight = (grey >> 4).astype(np.uint8)
    Image.fromarray(eight).save(tmp_path / "grey.png")
    for mode in ("RGB", "RGBA", "LA", "P", "CMYK"):
        file = tmp_path / f"{mode}.{'tif' if mode == 'CMYK' else 'png'}"
        Image.fromarray(eight).convert(mode).save(file)
        assert np.allclose(slice_files.picture(file), slice_files.picture(tmp_path / "grey.png"), atol=0.02), mode


def test_dicom_files_of_any_modality_are_prepared_as_the_plugin_does(tmp_path: Path) -> None:
    pixels = picture(3)
    (tmp_path / "ct.dcm").write_bytes(mr_file(pixels=pixels, Modality="CT"))
    (tmp_path / "no-ending").write_bytes(mr_file(pixels=np.stack([picture(seed) for seed in (1, 3, 5)])))
    expected = prepare(Slice(stored=pixels, orientation=tuple(map(float, AXIAL))))
    assert np.array_equal(slice_files.picture(tmp_path / "ct.dcm"), expected)
    # of a volume, the slice in the middle
    assert np.array_equal(slice_files.picture(tmp_path / "no-ending"), expected)
    (tmp_path / "broken.dcm").write_bytes(mr_file()[:900])
    with pytest.raises(csv_table.TableError, match=r"broken\.dcm"):
        slice_files.picture(tmp_path / "broken.dcm")


def test_a_slice_that_is_kept_comes_back_whole(tmp_path: Path) -> None:
    whole = Slice(
        picture(1), slope=2.0, intercept=-3.0, inverted=True, padding=(0, 9), spacing=(1.0, 0.5), orientation=(1.0,) * 6
    )
    for kept in (whole, Slice(picture(2))):
        slice_files.keep(kept, tmp_path / "kept.npz")
        again = slice_files.slice_of(tmp_path / "kept.npz")
        assert np.array_equal(again.stored, kept.stored)
        assert all(getattr(again, name) == getattr(kept, name) for name in Slice.__slots__ if name != "stored")


def embedded(vectors: list[list[float]], labels: str, predicted: str | None = None, **columns: str) -> ranked.Embedded:
    """Return pictures with a class and a letter of each column, each of its own group."""
    rows = [
        tables.Row(
            Path(f"{id(vectors)}-{i}"), label, f"{id(vectors)}-{i}", columns={c: columns[c][i].strip() for c in columns}
        )
        for i, label in enumerate(labels)
    ]
    guesses = None if predicted is None else np.array([letter.strip() for letter in predicted])
    return ranked.Embedded(rows, np.array(vectors, np.float32), guesses)


def test_what_a_wrong_prediction_withholds_counts_as_never_found() -> None:
    gallery = embedded([[1, 0], [0.8, 0.6], [0, 1], [-1, 0]], "aabb", predicted="abbb")
    queries = embedded([[1, 0], [1, 0], [1, 0]], "aaa", predicted="ab ")
    found = ranked.evaluate(queries, gallery, same_group=False, method=ranked.Method(of_class=True))
    # the first sees only the first of two; the second sees one of two, at rank 1; the third is not restricted
    assert found.values["mAP"].tolist() == [0.5, 0.5, 1]
    assert found.values["P@1"].tolist() == [1, 1, 1]
    assert found.shown.tolist() == [1, 3, 4]
    assert found.values["chance_mAP"].tolist() == [0.5, 0.5, 0.5]
    assert found.precision[0] == 1
    # only the third finds all
    assert found.precision[-1] == pytest.approx(1 / 3)


def test_a_system_without_classes_cannot_be_restricted_to_them(table: str) -> None:
    wishes = ["--gallery", table, "--queries", table, "--group", "case", "--system", "pixels", "--class-predicted"]
    with pytest.raises(csv_table.TableError, match="predicts no class"):
        evaluate.measure(evaluate.arguments(wishes))


def test_euclidean_distance_ranks_by_distance() -> None:
    gallery, queries = embedded([[4, 0], [1, 1]], "ab"), embedded([[1, 0]], "b")
    nearer = ranked.evaluate(queries, gallery, same_group=False, method=ranked.Method(euclidean=True))
    assert nearer.top.tolist() == [[1, 0]]
    assert ranked.evaluate(queries, gallery, same_group=False).top.tolist() == [[0, 1]]


def test_a_ranking_by_scanner_shows_and_one_by_class_does_not() -> None:
    # the first direction tells the scanner, the second the class; s and t see both classes alike
    labels, scanner = "aabb" * 6, "stst" * 6
    by_scanner = [[1.0, 0.1 * (label == "a")] if machine == "s" else [-1.0, 0.1 * (label == "a")]
                  for label, machine in zip(labels, scanner, strict=True)]  # fmt: skip
    by_class = [[0.0, 1.0] if label == "a" else [0.0, -1.0] for label in labels]
    shares = []
    for vectors in (by_scanner, by_class):
        both = embedded(vectors, labels, scanner=scanner)
        found = ranked.evaluate(both, both, same_group=False)
        assert confounds.columns(found, []) == ["scanner"]
        shares.append(confounds.confound(found, "scanner"))
    assert shares[0]["share"] == 1
    assert shares[0]["chance"] == pytest.approx(11 / 23)
    assert shares[1]["share"] == pytest.approx(0.5, abs=0.06)
    assert shares[1]["within_class"] == pytest.approx(shares[1]["chance_within_class"], abs=0.06)
    assert (shares[0]["n_queries"], shares[0]["n_values"]) == (24, 2)


def test_a_scanner_that_sees_one_disease_is_no_fault_within_the_class() -> None:
    labels = "aabb" * 6
    vectors = [[1.0, 0.0] if label == "a" else [0.0, 1.0] for label in labels]
    both = embedded(vectors, labels, scanner=labels)
    found = confounds.confound(ranked.evaluate(both, both, same_group=False), "scanner")
    assert found["share"] == 1
    assert found["chance"] < 0.5
    assert found["within_class"] == found["chance_within_class"] == 1


def test_pictures_without_a_value_are_left_out_of_the_confounds() -> None:
    both = embedded([[1, 0], [1, 0], [0, 1]], "aab", scanner="s t")
    found = confounds.confound(ranked.evaluate(both, both, same_group=False), "scanner")
    assert (found["n_queries"], found["n_values"], found["share"]) == (2, 2, 0)


def test_a_confound_that_no_table_has_is_an_error(table: str) -> None:
    wishes = ["--gallery", table, "--queries", table, "--group", "case", "--system", "pixels", "--confound", "scanner"]
    with pytest.raises(csv_table.TableError, match="'scanner'"):
        evaluate.measure(evaluate.arguments(wishes))


def test_the_scanner_of_dicom_files_is_read_from_their_headers(tmp_path: Path) -> None:
    for number in range(8):
        scanner = ("SIEMENS", "Philips")[number % 2]
        (tmp_path / f"{number}.dcm").write_bytes(mr_file(f"P{number}", Manufacturer=scanner))
    path = write_table(tmp_path, "file,label", *(f"{number}.dcm,{'ab'[number // 4]}" for number in range(8)))
    wishes = ["--gallery", path, "--queries", path, "--system", "pixels"]
    _, figures = evaluate.measure(evaluate.arguments(wishes))
    assert figures["confounds"].keys() == {"Manufacturer"}
    assert figures["confounds"]["Manufacturer"]["chance"] == pytest.approx(3 / 7)


def test_confounds_are_told_and_drawn(table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wishes = ["--gallery", table, "--queries", table, "--group", "case", "--system", "pixels", "--confound", "fold"]
    written = tmp_path / "out.json"
    evaluate.run(evaluate.arguments([*wishes, "--json", str(written), "--plots", str(tmp_path / "plots")]))
    assert json.loads(written.read_text())["confounds"]["fold"]["n_values"] == 2
    assert (tmp_path / "plots" / "confounds.png").stat().st_size > 0
    assert "first 10 share its" in capsys.readouterr().out


def test_a_class_of_which_nothing_can_be_found_has_no_figures(table: str, tmp_path: Path) -> None:
    lefts = f"{table}:label=left"
    wishes = ["--gallery", lefts, "--queries", table, "--group", "case", "--system", "pixels"]
    written = tmp_path / "out.json"
    evaluate.run(evaluate.arguments([*wishes, "--json", str(written), "--plots", str(tmp_path / "plots")]))
    figures = json.loads(written.read_text())
    assert figures["per_class"]["right"]["mAP"] is None
    assert figures["n_queries_without_relevant"] == 12


def test_the_shipped_model_tells_what_it_predicts_and_is_measured_in_both_runtimes(
    table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="the torch runtime needs torch")
    wishes = ["--gallery", table, "--queries", f"{table}:fold=0", "--group", "case", "--runtime", "torch"]
    evaluate.run(evaluate.arguments(wishes))
    told = capsys.readouterr().out
    # left and right are no classes of the network
    assert "predicted class" in told
    assert "of 0 whose class it knows" in told
    assert "loss of the shipped runtime: " in told
    _, figures = evaluate.measure(evaluate.arguments([*wishes, "--class-predicted"]))
    # of a few made pictures, far from what the network knows; what eight bits cost on real ones, its card tells
    assert abs(figures["runtime_loss"]["mAP"]) < 0.05
    assert figures["classification"]["accuracy"] is None
    assert "predicted class" in figures["protocol"]
