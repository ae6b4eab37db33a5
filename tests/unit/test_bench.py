from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import bench
from measuring import made, report
from measuring.indexes import Archive

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["index", "compressed", "query", "startup", "scale"])
def test_a_quick_measurement_writes_its_figures_its_table_and_its_picture(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    if name == "compressed":
        pytest.importorskip("faiss")
    options = ["--slices", "1000", *(["--queries", "6"] if name != "startup" else [])]
    assert bench.main(["--out", str(tmp_path), name, "--quick", *options]) == 0
    found = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
    assert found["circumstances"]["cores"] > 0
    assert (tmp_path / f"{name}.png").stat().st_size > 1000
    assert f"### {name}" in capsys.readouterr().out


def test_the_quick_measurement_of_the_runtimes_tells_each_one_s_share_of_the_peak(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    assert bench.main(["--out", str(tmp_path), "embed", "--quick", "--rounds", "1"]) == 0
    found = json.loads((tmp_path / "embed.json").read_text(encoding="utf-8"))
    assert found["runtimes"]["ONNX Runtime int8 (shipped)"]["batch8"]["ofPeak"] is None or found["fmaGigaflops"] > 0
    assert "of the FMA peak" in capsys.readouterr().out


def test_the_page_shows_what_there_is_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", encoding="utf-8")
    here = {"date": "2026-11-29T00:00:00", "processor": "P", "cores": 2, "load": [0.5, 0, 0]}
    found = {"circumstances": here, "loadAfter": [0.7, 0, 0], "steps": {}}
    (tmp_path / "startup.json").write_text(json.dumps(found), encoding="utf-8")
    (tmp_path / "query.json").write_text(json.dumps(found), encoding="utf-8")
    report.write(tmp_path, page)
    report.write(tmp_path, page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{report.BEGIN}\n\n### query\n\nMeasured by an earlier version")
    assert "### startup\n" in text
    assert text.endswith(f"{report.END}\nafter\n")
    assert "old" not in text


def test_made_slices_come_series_by_series_and_the_catalogue_knows_whose_they_are(tmp_path: Path) -> None:
    rows = made.slices(620)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert rows[10] @ rows[11] > rows[10] @ rows[made.LENGTHS[0] + 10]
    catalogue, labels = made.catalogue_of(tmp_path, rows)
    found = catalogue.series_of(labels.tolist())
    assert [found[label].orthanc_id for label in labels.tolist()] == [
        made.series_of(place).orthanc_id for place in range(620)
    ]
    assert len({series.patient for series in found.values()}) == 3
    catalogue.close()


def test_an_archive_that_is_kept_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    command = ["--keep", str(tmp_path / "kept"), "--out", str(tmp_path), "query", "--queries", "2", "--slices"]
    assert bench.main([*command, "1000"]) == 0
    (index,) = tmp_path.glob("kept/1000/index-*.bin")
    before = index.stat().st_mtime_ns
    assert bench.main([*command, "1000"]) == 0
    assert index.stat().st_mtime_ns == before


def test_an_archive_of_another_size_is_not_taken_for_the_one_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "built.json").write_text('{"slices": 7, "steps": {}}', encoding="utf-8")
    with pytest.raises(SystemExit, match="holds 7 slices, not 1,000"):
        Archive(tmp_path, 1000, {})


def test_all_goes_on_where_one_fails_and_says_which(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "ALL", ("index", "startup"))
    (tmp_path / "kept" / "2000").mkdir(parents=True)
    # an archive of another size is refused
    (tmp_path / "kept" / "2000" / "built.json").write_text('{"slices": 7, "steps": {}}', encoding="utf-8")
    assert bench.main(["--keep", str(tmp_path / "kept"), "--out", str(tmp_path), "all", "--quick"]) == 1
    assert "index" in (said := capfd.readouterr().out)
    assert said.count("FAILED") == 4, "each as it ends, and all at the end"
    (tmp_path / "kept" / "2000" / "built.json").unlink()
    assert bench.main(["--keep", str(tmp_path / "kept"), "--out", str(tmp_path), "all", "--quick"]) == 0
    assert (tmp_path / "startup.json").exists()


@pytest.mark.parametrize("started_by", [signal.default_int_handler, signal.SIG_IGN], ids=["hand", "a background job"])
def test_a_measurement_that_hangs_is_ended(
    started_by: Any, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.signal(signal.SIGINT, started_by)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    monkeypatch.setattr(bench, "ALL", ("index",))
    monkeypatch.setattr(bench, "LONGEST_SECONDS", 0.1)
    assert bench.main(["--out", str(tmp_path), "all", "--quick"]) == 1
    assert not (tmp_path / "index.json").exists()
