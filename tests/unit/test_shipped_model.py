import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from dicom_files import picture

from cbmir import embedding
from cbmir.pixels import Slice, prepare
from model_folder import card as model_card

MODELS = Path(embedding.__file__).parent / "models"
LARGEST = 30_000_000

shipped = pytest.mark.parametrize("folder", sorted(MODELS.iterdir()), ids=lambda folder: folder.name)


@shipped
def test_a_shipped_model_loads_and_answers_unit_vectors(folder: Path) -> None:
    model = embedding.load(folder)
    assert model.name == folder.name
    vectors = model.embed(np.random.default_rng(0).random((2, 1, model.size, model.size), np.float32))
    assert vectors.shape == (2, model.dim)


@shipped
def test_a_shipped_model_is_small_and_every_file_is_the_one_its_card_names(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text())
    assert hashlib.sha256((folder / card["file"]).read_bytes()).hexdigest() == card["sha256"]
    assert sum(file.stat().st_size for file in folder.iterdir()) <= LARGEST


@shipped
def test_the_readable_card_says_what_the_card_for_programs_says(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text())
    assert (folder / "MODEL_CARD.md").read_text() == model_card.markdown(card)


@shipped
def test_a_card_names_licence_data_limits_and_figures_with_interval_and_chance(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text())
    assert card["licence"]
    assert card["limits"]
    assert "diagnosis" in card["intendedUse"]
    for source in card["data"]:
        assert all(source[key] for key in ("name", "licence", "attribution", "url", "use"))
    assert card["figures"]
    for figure in card["figures"].values():
        low, high = figure["intervals"]["mAP"]
        assert figure["values"]["chance_mAP"] < low <= figure["values"]["mAP"] <= high
        assert figure["protocol"]


@shipped
def test_a_class_of_which_nothing_could_be_found_has_empty_cells(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text())
    figure = next(iter(card["figures"].values()))
    figure["perClass"]["rare"] = {"n_queries": 3, "mAP": None, "P@10": None, "chance_mAP": None}
    assert "| rare | 3 |  |  |  |" in model_card.markdown(card)


@shipped
def test_no_shipped_file_tells_of_the_machine_it_was_made_on(folder: Path) -> None:
    for file in folder.iterdir():
        content = file.read_bytes()
        for trace in (b"/work/", b"/home/", b"/root/", b"/tmp/", b"site-packages"):
            assert trace not in content, f"{trace!r} in {file.name}"


@shipped
@pytest.mark.parametrize("entry", ["exact", "int8"])
def test_a_shipped_network_runs_without_batch_norms_and_its_eight_bit_one_without_detours(
    folder: Path, entry: str, tmp_path: Path
) -> None:
    # a bias that was computed while it ran once kept all 57 batch norms apart, which cost a third of the time
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    card = json.loads((folder / "card.json").read_text())
    options = runtime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "runs.onnx"), 3
    file = folder / (card if entry == "exact" else card["int8"])["file"]
    runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    operations = [node.op_type for node in onnx.load(tmp_path / "runs.onnx").graph.node]
    assert "BatchNormalization" not in operations
    if entry == "int8":
        assert operations.count("QLinearConv") > 20
        # the suspicion of a lesion, in the head; the picture itself
        assert operations.count("Conv") <= 1
        assert operations.count("QuantizeLinear") == 1


@shipped
def test_the_eight_bit_network_of_a_shipped_model_is_another_model_that_finds_nearly_the_same(folder: Path) -> None:
    exact, ours = (embedding.load(folder, precision=precision) for precision in ("fp32", "int8"))
    assert exact.model_id != ours.model_id
    found = json.loads((folder / "card.json").read_text())["int8"]["comparison"]
    assert found["exactMAP"] - found["mAP"] <= 0.003
    squares = [prepare(Slice(picture(number, kind=number % 3)), ours.size) for number in range(12)]
    cosines = (exact.embed(np.stack(squares)) * ours.embed(np.stack(squares))).sum(axis=1)
    assert cosines.min() > 0.95


@shipped
def test_the_cells_of_the_eight_bit_network_add_up_to_its_embedding(folder: Path) -> None:
    model = embedding.load(folder)
    square = prepare(Slice(picture(1)), model.size)
    cells = model.cells(model.features(square))
    np.testing.assert_allclose(cells.sum(axis=(1, 2)), model.embed(square[np.newaxis])[0], atol=1e-4)


@shipped
def test_no_weight_of_the_eight_bit_network_has_more_than_seven_bits(folder: Path) -> None:
    # processors without VNNI would cut off sums of larger products, and answer otherwise than those with it
    onnx = pytest.importorskip("onnx")
    card = json.loads((folder / "card.json").read_text())
    for item in onnx.load(folder / card["int8"]["file"]).graph.initializer:
        values = onnx.numpy_helper.to_array(item)
        if values.dtype == np.int8 and values.ndim > 1:
            assert np.abs(values.astype(int)).max() <= 64, item.name
