"""The network of a model folder once more, in eight-bit numbers: written, and compared with the exact one.

Weights have seven bits and activations eight. Processors without VNNI add two products in 16 bits and would cut off
what is larger; of seven bits and eight none is, so that every processor answers the same.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime import quantization

import _library  # noqa: F401 - before cbmir
from evaluation.embedded import embedded
from evaluation.ranked import evaluate
from evaluation.systems import System
from model_folder import card
from sources.csv_table import TableError
from sources.slice_files import picture

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from sources.tables import Row

FILE = "model-int8.onnx"

CALIBRATION = 128
"""Pictures by which the ranges of the activations are found; 64 and 128 of one collection gave the same mAP."""

COMPARED = 1500
"""Pictures that find each other, at most: what is lost must be seen, and found within a minute or two."""

MOST_LOST = 0.003
"""Of mAP, by which the eight-bit network may be worse."""

QUANTIZED = frozenset({"Conv", "Relu", "Clip", "MaxPool", "AveragePool", "Concat", "Add"})


def add(folder: Path, side: int, ranges: Sequence[Row], check: Sequence[Row] | None) -> dict[str, Any] | None:
    """Write FILE beside the network of a folder; return what the card says of it.

    None, and no such file, where it is worse by more than MOST_LOST than the exact network with the pictures of `check`
    or, without such, with those of `ranges` that the ranges were not found by; or where these cannot tell.
    """
    order = [ranges[place] for place in np.random.default_rng(0).permutation(len(ranges))]
    write(folder / card.MODEL, folder / FILE, [picture(row.file, side) for row in order[:CALIBRATION]])
    others = order[CALIBRATION:] or order if check is None else check
    some = [others[place] for place in np.random.default_rng(1).permutation(len(others))[:COMPARED]]
    try:
        found = compare(folder / card.MODEL, folder / FILE, some, side)
    except TableError as error:
        print(f"int8: left out, the plugin runs the exact network: {error}")
        (folder / FILE).unlink()
        return None
    print(f"int8: mAP {found['mAP']:.4f}, exact {found['exactMAP']:.4f}; cosine {found['leastCosine']:.4f} at least")
    if found["exactMAP"] - found["mAP"] > MOST_LOST:
        print(f"It loses more than {MOST_LOST} of mAP: left out, the plugin runs the exact network")
        (folder / FILE).unlink()
        return None
    return {**card.described(folder / FILE), "calibrationPictures": len(order[:CALIBRATION]), "comparison": found}


def write(network: Path, into: Path, squares: Sequence[NDArray[np.float32]]) -> None:
    """Write the network of an ONNX file in eight-bit numbers, its ranges from squares of (1, side, side).

    The convolutions down to the last feature map are in whole numbers; the head, a hundredth of the arithmetic in which
    a rounding would be in the vector at once, stays as it is.
    """
    with tempfile.TemporaryDirectory() as folder:
        folded = _folded(network, Path(folder) / "folded.onnx")
        quantization.quantize_static(
            folded,
            into,
            _Pictures(squares),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            nodes_to_quantize=_trunk(onnx.load(folded).graph),
        )


def compare(exact: Path, ours: Path, rows: Sequence[Row], side: int) -> dict[str, Any]:
    """Return how two networks fare with pictures, each of which looks for others of its class, not of its group.

    Their number, the mAP of both, and the least and mean cosine between the two embeddings of a picture.
    """
    found, before = (embedded(rows, rows, System(file.name, side, _embedding(file)))[1] for file in (ours, exact))
    cosines = (found.vectors * before.vectors).sum(axis=1)
    values = {
        name: float(np.nanmean(evaluate(one, one, same_group=True).values["mAP"]))
        for name, one in (("mAP", found), ("exactMAP", before))
    }
    cosine = {"leastCosine": float(cosines.min()), "meanCosine": float(cosines.mean())}
    return {"pictures": len(rows), **{name: round(value, 5) for name, value in {**values, **cosine}.items()}}


def _embedding(file: Path) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda squares: np.asarray(session.run(["embedding"], {"image": squares})[0], np.float32)


def _folded(network: Path, into: Path) -> Path:
    """Write a network with its batch norms in the convolutions before them."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(into)
    onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    model = onnx.load(into)
    # shapes between the layers, which the quantizer finds out by itself and calls contradictory
    del model.graph.value_info[:]
    # without this it advises to fold first
    onnx.helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    onnx.save(model, into)
    return into


def _trunk(graph: onnx.GraphProto) -> list[str]:
    """Return the names of what comes before the last feature map and can be done in whole numbers."""
    needed, names = {"features"}, []
    for node in reversed(graph.node):
        if not needed.isdisjoint(node.output):
            needed.update(node.input)
            names += [node.name] if node.op_type in QUANTIZED else []
    return names


class _Pictures(quantization.CalibrationDataReader):  # type: ignore[misc]
    """Hands out squares, each (1, side, side), one at a time."""

    def __init__(self, squares: Sequence[NDArray[np.float32]]) -> None:
        self._squares = iter(squares)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next square, None after the last."""
        square = next(self._squares, None)
        return None if square is None else {"image": square[np.newaxis]}
