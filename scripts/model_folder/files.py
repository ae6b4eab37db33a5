"""The files of a model folder: the network and its head as ONNX, the classifier's directions; written and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper

import _library  # noqa: F401 - before cbmir
from cbmir.network import Cells, Network, architecture_as_json, from_onnx
from model_folder.card import CELLS, CLASSIFIER, MODEL

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from cbmir.fitted import Fitted

OPSET = 18
"""Of ONNX: the first with ReduceMax and ReduceMean taking axes as input, known to every runtime since 2022."""

TOLERANCE = 1e-4
"""How far an output of the ONNX file may be from torch's, relative to the largest value of that output."""

OUTPUTS = ("embedding", "features", "logits")


class ExportError(Exception):
    """The checkpoint cannot be exported, or the exported file computes something else."""


def shape_of(network: Network | Fitted, count: int) -> tuple[int, int, int, int]:
    """Return the shape of pictures as the network takes them."""
    side = network.architecture.side
    return count, 1, side, side


def write_all(network: Network | Fitted, folder: Path) -> dict[str, float]:
    """Write all files of a network, and return how far ONNX Runtime is from torch. Raises as `differences`."""
    write_onnx(network, folder / MODEL)
    if isinstance(network, Network):  # what a fitted one says comes from no one place
        write_cells(network, folder / CELLS)
    write_classifier(network, folder / CLASSIFIER)
    return differences(network, folder)


def write_onnx(network: Network | Fitted, path: Path) -> None:
    """Write the network as ONNX whose initialisers keep the names of its weights, so that torch can read them back."""
    _write(network, {"image": torch.zeros(shape_of(network, 2))}, OUTPUTS, path)


def write_cells(network: Network, path: Path) -> None:
    """Write what shows where a similarity comes from: from the features that the network answers, not the image."""
    with torch.inference_mode():
        features = network.outputs(torch.zeros(shape_of(network, 2))).features
    _write(Cells(network).eval(), {"features": features, "region": features[:, :1]}, ("cells",), path)


def _write(module: Cells | Network | Fitted, examples: dict[str, Tensor], outputs: Sequence[str], path: Path) -> None:
    network = module.network if isinstance(module, Cells) else module
    program = torch.onnx.export(
        module,
        tuple(examples.values()),
        input_names=list(examples),
        output_names=list(outputs),
        dynamic_shapes={name: {0: torch.export.Dim("batch")} for name in examples},
        opset_version=OPSET,
        # batch norms stay apart from convolutions: runtimes fold them when they load the file
        optimize=False,
        verbose=False,
    )
    if program is None:
        raise ExportError("torch wrote no ONNX program")
    model = program.model_proto
    onnx.helper.set_model_props(model, {"architecture": architecture_as_json(network.architecture)})
    # the exporter's notes name source files and lines of the machine that ran it
    for node in model.graph.node:
        del node.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer):
        value.doc_string = ""
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    _drop_biases_of_zero(model.graph)
    _store_in_half(model.graph)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _drop_biases_of_zero(graph: onnx.GraphProto) -> None:
    """Take away the bias that the exporter gives a convolution without one.

    It is computed while the network runs, from a zero, and keeps runtimes from folding the batch norm that follows.
    """
    computed = {output for node in graph.node if node.op_type == "Expand" for output in node.output}
    for node in graph.node:
        if node.op_type == "Conv" and len(node.input) > 2 and node.input[2] in computed:
            del node.input[2]
    _drop_unused(graph)


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Take away the nodes and weights whose result nothing uses."""
    needed = {output.name for output in graph.output}
    for node in reversed(graph.node[:]):
        if needed.isdisjoint(node.output):
            graph.node.remove(node)
        else:
            needed.update(node.input)
    for item in [item for item in graph.initializer if item.name not in needed]:
        graph.initializer.remove(item)


def _store_in_half(graph: onnx.GraphProto) -> None:
    """Store the weights that lose nothing by it in 16 bits; runtimes widen them when they load the file."""
    halves = {}
    for item in graph.initializer:
        exact = numpy_helper.to_array(item)
        if exact.ndim > 1 and exact.dtype == np.float32 and (exact.astype(np.float16) == exact).all():
            item.CopyFrom(numpy_helper.from_array(exact.astype(np.float16), item.name))
            halves[item.name] = f"{item.name}.wide"
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = halves.get(name, name)
    full = onnx.TensorProto.FLOAT
    wide = [onnx.helper.make_node("Cast", [name], [to], name=to, to=full) for name, to in halves.items()]
    nodes = [*wide, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def round_weights(network: Network | Fitted) -> None:
    """Round the weights of convolutions and products to what 16 bits hold, so that files are half as large.

    But for those of a fitted network: what its map answers is a difference of large numbers.
    """
    with torch.no_grad():
        for weight in network.parameters() if isinstance(network, Network) else ():
            if weight.ndim > 1:
                weight.copy_(weight.half())


def differences(network: Network | Fitted, folder: Path) -> dict[str, float]:
    """Return, per output, the largest absolute difference of ONNX Runtime from torch over random pictures.

    Raises
    ------
    ExportError
        A difference is beyond the tolerance, or torch does not get the same weights back from the file.

    """
    pictures_ = torch.rand(shape_of(network, 3), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(pictures_)
        again = from_onnx(folder / MODEL)(pictures_)
    session = onnxruntime.InferenceSession(folder / MODEL, providers=["CPUExecutionProvider"])
    found = dict(zip(OUTPUTS, session.run(list(OUTPUTS), {"image": pictures_.numpy()}), strict=True))
    result = {}
    for (name, theirs), ours, back in zip(found.items(), expected, again, strict=True):
        result[name] = float(np.abs(ours.numpy() - theirs).max())
        if not result[name] <= TOLERANCE * max(1.0, float(ours.abs().max())) or not torch.equal(ours, back):
            raise ExportError(f"output {name!r} of the ONNX file differs from torch by {result[name]:.2g}")
    if (folder / CELLS).exists():
        result["cells"] = _difference_of_cells(folder / CELLS, found["features"], found["embedding"])
    return result


def _difference_of_cells(cells: Path, features: NDArray[np.float32], embedding: NDArray[np.float32]) -> float:
    session = onnxruntime.InferenceSession(cells, providers=["CPUExecutionProvider"])
    (places,) = session.run(["cells"], {"features": features, "region": np.zeros_like(features[:, :1])})
    difference = float(np.abs(places.sum(axis=(2, 3)) - embedding).max())
    if not difference <= TOLERANCE:
        raise ExportError(f"the cells do not add up to the embedding: they differ by {difference:.2g}")
    return difference


def write_classifier(network: Network | Fitted, path: Path) -> None:
    """Write the direction of each class: (classes, dim) float32, rows of unit length."""
    with torch.inference_mode():
        directions = torch.nn.functional.normalize(network.classifier.weight, dim=1)
    np.save(path, directions.numpy(), allow_pickle=False)
