from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from dicom_files import mr_file, picture
from parts import units

import cbmir
from cbmir.embedding import Embedder, card_id, load
from cbmir.errors import BadRequest, ModelError
from cbmir.instance import Limits, read
from cbmir.pixels import Slice, prepare
from cbmir.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SIZE, DIM, SIDE = 16, 6, 4
PLUGIN = Path(cbmir.__file__).parent.parent
SHIPPED = Path(Settings().model_directory) / Settings().model
needs_shipped_model = pytest.mark.skipif(not (SHIPPED / "card.json").is_file(), reason="no model is shipped yet")


def network(
    path: Path, *, size: int = SIZE, dim: int = DIM, nan: bool = False, longer: bool = False, seed: int = 0
) -> None:
    """Write a network that projects squares and normalises, with a map of 4 x 4 places."""
    onnx = pytest.importorskip("onnx", reason="the package onnx, which writes small models, is not installed")
    helper, tensor = onnx.helper, onnx.TensorProto.FLOAT
    weights = np.random.default_rng(seed).standard_normal((SIDE * SIDE, dim)).astype(np.float32)
    if nan:
        weights[0, 0] = np.nan
    pool = size // SIDE
    nodes = [
        helper.make_node("AveragePool", ["image"], ["features"], kernel_shape=[pool, pool], strides=[pool, pool]),
        helper.make_node("Flatten", ["features"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["projected"]),
        helper.make_node("LpNormalization", ["projected"], ["unit"], axis=1, p=2),
        helper.make_node("Mul", ["unit", "length"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", tensor, ["n", 1, size, size])],
        [
            helper.make_tensor_value_info("embedding", tensor, ["n", dim]),
            helper.make_tensor_value_info("features", tensor, ["n", 1, SIDE, SIDE]),
        ],
        [
            onnx.numpy_helper.from_array(weights, "weights"),
            onnx.numpy_helper.from_array(np.float32([1.1 if longer else 1.0]), "length"),
        ],
    )
    save(onnx, graph, path)


def head(path: Path) -> None:
    """Write a head whose cells are the map, more of it where the region is."""
    onnx = pytest.importorskip("onnx", reason="the package onnx, which writes small models, is not installed")
    helper, tensor = onnx.helper, onnx.TensorProto.FLOAT
    shape = ["n", 1, SIDE, SIDE]
    graph = helper.make_graph(
        [helper.make_node("Add", ["features", "region"], ["cells"])],
        "head",
        [helper.make_tensor_value_info(name, tensor, shape) for name in ("features", "region")],
        [helper.make_tensor_value_info("cells", tensor, shape)],
    )
    save(onnx, graph, path)


def save(onnx: Any, graph: Any, path: Path) -> None:
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return the folder of a small but whole model."""
    network(tmp_path / "model.onnx")
    head(tmp_path / "cells.onnx")
    np.save(tmp_path / "classifier.npy", units(np.eye(2, DIM)))
    describe(tmp_path)
    return tmp_path


def describe(folder: Path, **changes: Any) -> None:
    card: dict[str, Any] = {
        "name": "tiny",
        "file": "model.onnx",
        "sha256": sha256(folder / "model.onnx"),
        "size": SIZE,
        "dim": DIM,
        "labels": ["glioma", "meningioma"],
    }
    for name, file in (("cells", "cells.onnx"), ("classifier", "classifier.npy")):
        if (folder / file).is_file():
            card[name] = {"file": file, "sha256": sha256(folder / file)}
    if "classifier" in card:
        card["classifier"] |= {"scale": 5.0, "farBelow": -0.5}
    card |= changes
    (folder / "card.json").write_text(json.dumps({key: value for key, value in card.items() if value is not None}))


def squares(number: int = 3, size: int = SIZE) -> NDArray[np.float32]:
    return np.stack([prepare(Slice(picture(seed, kind=seed)), size) for seed in range(number)])


# ---- a model made here ----


def test_a_model_embeds_squares_as_unit_vectors(model: Path) -> None:
    embedder = load(model)
    vectors = embedder.embed(squares())
    assert vectors.shape == (3, DIM)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert (embedder.size, embedder.dim, embedder.labels) == (SIZE, DIM, ("glioma", "meningioma"))
    assert embedder.model_id == f"tiny-{sha256(model / 'model.onnx')[:12]}"


@pytest.fixture
def twice(model: Path) -> Path:
    """Return a model folder that has the network in eight-bit numbers too, or what stands for it here."""
    network(model / "int8.onnx", seed=1)
    describe(model, int8={"file": "int8.onnx", "sha256": sha256(model / "int8.onnx")})
    return model


def test_the_eight_bit_network_is_taken_where_there_is_one_and_its_vectors_are_those_of_another_model(
    twice: Path,
) -> None:
    ours, exact = load(twice), load(twice, precision="fp32")
    assert ours.model_id == card_id(twice) == f"tiny-{sha256(twice / 'int8.onnx')[:12]}"
    assert exact.model_id == f"tiny-{sha256(twice / 'model.onnx')[:12]}"
    assert not np.allclose(ours.embed(squares()), exact.embed(squares()))


def test_a_model_without_eight_bit_network_runs_as_it_is(model: Path) -> None:
    assert load(model, precision="int8").model_id == card_id(model) == load(model, precision="fp32").model_id


def test_a_network_is_found_by_its_id_whatever_the_settings_say(twice: Path) -> None:
    ids = [load(twice, precision=precision).model_id for precision in ("int8", "fp32")]
    for precision in ("int8", "fp32"):
        for runtime in ("onnx", "torch"):
            found = load(twice, runtime=runtime, precision=precision, model_id=ids[0])
            assert found.model_id == ids[0]
        assert load(twice, precision=precision, model_id=ids[1]).model_id == ids[1]
    with pytest.raises(ModelError, match="no network tiny-0000"):
        load(twice, model_id="tiny-0000")


def test_an_eight_bit_network_that_is_not_the_one_of_its_card_is_refused(twice: Path) -> None:
    (twice / "int8.onnx").write_bytes((twice / "model.onnx").read_bytes())
    with pytest.raises(ModelError, match="not the file its card describes"):
        load(twice)
    assert load(twice, precision="fp32")


def test_each_place_has_its_cell_and_a_region_changes_them(model: Path) -> None:
    embedder = load(model)
    features = embedder.features(squares(1)[0])
    assert features.shape == (1, SIDE, SIDE)
    np.testing.assert_allclose(embedder.cells(features), features)
    region = np.zeros((SIDE, SIDE), np.float32)
    region[1, 2] = 1
    np.testing.assert_allclose(embedder.cells(features, region)[0] - features[0], region, atol=1e-6)


def test_a_model_without_head_or_classifier_does_without(tmp_path: Path) -> None:
    network(tmp_path / "model.onnx")
    describe(tmp_path)
    embedder = load(tmp_path)
    assert embedder.classifier is None
    with pytest.raises(BadRequest, match="cannot say which places"):
        embedder.cells(embedder.features(squares(1)[0]))


def test_the_classifier_knows_the_direction_of_each_class(model: Path) -> None:
    classifier = load(model).classifier
    assert classifier is not None
    predicted = classifier.predict(units(np.eye(1, DIM))[0])
    assert predicted.label == "glioma"
    assert sum(predicted.probabilities.values()) == pytest.approx(1)
    assert classifier.predict(-units(np.ones((1, DIM)))[0]).label == "glioma"
    assert classifier.predict(-units([[1, 1, 0, 0, 0, 0]])[0]).label is None


@pytest.mark.parametrize("file", ["model.onnx", "cells.onnx", "classifier.npy"])
def test_a_file_with_one_changed_bit_is_refused(model: Path, file: str) -> None:
    content = bytearray((model / file).read_bytes())
    content[len(content) // 2] ^= 1
    (model / file).write_bytes(content)
    with pytest.raises(ModelError, match="is not the file its card describes"):
        load(model)


@pytest.mark.parametrize("file", ["card.json", "model.onnx", "cells.onnx", "classifier.npy"])
def test_a_missing_file_is_refused(model: Path, file: str) -> None:
    (model / file).unlink()
    with pytest.raises(ModelError, match="no usable model in"):
        load(model)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"name": 1}'])
def test_a_card_that_is_none_is_refused(model: Path, text: str) -> None:
    (model / "card.json").write_text(text)
    with pytest.raises(ModelError, match="no usable model in"):
        load(model)


@pytest.mark.parametrize(
    "changes",
    [
        {"sha256": "0" * 64},
        {"sha256": None},
        {"size": "large"},
        {"size": SIZE * 2},
        {"dim": DIM + 1},
        {"labels": None},
        {"labels": ["one"]},
        {"file": "/etc/passwd"},
        {"file": "missing.onnx"},
        {"classifier": {"file": "classifier.npy"}},
        {"cells": {"file": 5}},
    ],
)
def test_a_card_that_does_not_fit_its_files_is_refused(model: Path, changes: dict[str, Any]) -> None:
    describe(model, **changes)
    with pytest.raises(ModelError):
        load(model)


def pickled(path: Path) -> None:
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    "write",
    [
        pickled,
        lambda path: np.save(path, np.zeros((3, DIM), np.float32)),
        lambda path: np.save(path, np.zeros((2, DIM), np.float64)),
        lambda path: path.write_bytes(b"no array"),
    ],
)
def test_a_classifier_of_another_form_is_refused_and_never_unpickled(
    model: Path, write: Callable[[Path], None]
) -> None:
    write(model / "classifier.npy")
    describe(model)
    with pytest.raises(ModelError):
        load(model)


@pytest.mark.parametrize("content", [b"", b"no network at all", b"\x80\x04\x95\x0f\0\0\0\0\0\0\0"])
def test_a_network_that_is_none_is_refused_by_the_runtime(model: Path, content: bytes) -> None:
    (model / "model.onnx").write_bytes(content)
    describe(model)
    with pytest.raises(ModelError, match="cannot load"):
        load(model)


@pytest.mark.parametrize("fault", ["nan", "longer"])
def test_a_network_whose_vectors_are_not_of_unit_length_is_refused(tmp_path: Path, fault: str) -> None:
    network(tmp_path / "model.onnx", **{fault: True})
    describe(tmp_path)
    with pytest.raises(ModelError, match="unit length"):
        load(tmp_path)


def test_a_square_that_gives_no_unit_vector_is_an_error_and_not_a_vector(model: Path) -> None:
    with pytest.raises(ModelError, match="unit length"):
        load(model).embed(np.full((1, 1, SIZE, SIZE), np.nan, np.float32))


def test_an_unknown_runtime_is_refused(model: Path) -> None:
    with pytest.raises(ModelError, match="tensorflow"):
        load(model, runtime="tensorflow")


# ---- the shipped model ----


@pytest.fixture(scope="module")
def shipped() -> Embedder:
    return load(SHIPPED)


def cosines(some: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = (some * others).sum(axis=1)
    return found


@needs_shipped_model
def test_the_shipped_model_has_what_the_plugin_uses(shipped: Embedder) -> None:
    assert shipped.size == 128
    assert shipped.head is not None
    assert shipped.classifier is not None
    assert len(shipped.labels) == 3
    assert {"licence", "data", "limits", "intendedUse"} <= shipped.card.keys()


@needs_shipped_model
def test_the_runtime_keeps_nothing_of_its_own_to_report(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    program = "import sys; from pathlib import Path; from cbmir.embedding import load; load(Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", program, SHIPPED], cwd=PLUGIN, env=environment, check=True)
    assert not list(tmp_path.rglob("*"))


@needs_shipped_model
def test_the_number_of_threads_and_the_batch_do_not_change_a_vector(shipped: Embedder) -> None:
    batch = squares(4, shipped.size)
    vectors = shipped.embed(batch)
    assert cosines(vectors, load(SHIPPED, threads=2).embed(batch)).min() >= 0.9999
    assert cosines(vectors, np.concatenate([shipped.embed(one[None]) for one in batch])).min() >= 0.9999


@needs_shipped_model
def test_the_cells_of_the_shipped_model_add_up_to_its_embedding(shipped: Embedder) -> None:
    (square,) = squares(1, shipped.size)
    whole = shipped.cells(shipped.features(square)).sum(axis=(1, 2))
    assert whole @ shipped.embed(square[None])[0] >= 0.9999


@needs_shipped_model
def test_the_shipped_model_tells_pictures_apart(shipped: Embedder) -> None:
    alike = np.stack([prepare(Slice(picture(seed, kind=1)), shipped.size) for seed in range(2)])
    other = prepare(Slice(picture(9, kind=2)), shipped.size)[None]
    one, same = shipped.embed(alike)
    assert one @ same > one @ shipped.embed(other)[0]


@needs_shipped_model
def test_a_picture_flipped_in_storage_has_the_same_vector(shipped: Embedder) -> None:
    pixels = picture(3)
    plain = mr_file(pixels=pixels)
    flipped = mr_file(pixels=np.ascontiguousarray(pixels[:, ::-1]), ImageOrientationPatient=[-1, 0, 0, 0, 1, 0])
    batch = np.stack([prepare(read(file, Limits()).frame(1), shipped.size) for file in (plain, flipped)])
    one, other = shipped.embed(batch)
    assert one @ other >= 0.9999
