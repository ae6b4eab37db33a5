"""Runtimes of the shipped network, those that are installed: each as a function from squares to embeddings."""

from __future__ import annotations

from importlib import util
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime import quantization
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cbmir.embedding import load
from cbmir.network import from_onnx
from measuring.shipped import MODEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]

EAGER = "torch, as the papers ran it"
SHIPPED = "ONNX Runtime fp32 (shipped)"


def runtimes(folder: Path, squares: NDArray[np.float32], threads: int) -> Iterator[tuple[str, Run]]:
    """Yield every runtime that is installed; the squares, (n, 1, size, size), are what int8 is calibrated with."""
    file = MODEL / "model.onnx"
    yield EAGER, _in_torch(from_onnx(file))
    fused = from_onnx(file)
    _fuse(fused)
    yield "torch, batch norm fused, channels last", _in_torch(fused, last=True)
    yield SHIPPED, load(MODEL, threads=threads).embed
    file = _folded(file, folder / "folded.onnx")
    quantization.quantize_dynamic(file, folder / "dynamic.onnx", weight_type=quantization.QuantType.QUInt8)
    yield "ONNX Runtime int8, dynamic", _in_onnx(folder / "dynamic.onnx", threads)
    quantization.quantize_static(
        file, folder / "static.onnx", _Calibration(squares), per_channel=True, reduce_range=True
    )
    yield "ONNX Runtime int8, calibrated", _in_onnx(folder / "static.onnx", threads)
    if util.find_spec("openvino"):
        yield "OpenVINO fp32", _in_openvino(MODEL / "model.onnx", threads)
        yield "OpenVINO int8, calibrated", _in_openvino(folder / "static.onnx", threads)


def _folded(file: Path, into: Path) -> Path:
    """Write the network with its batch norms folded into the convolutions, as it must be to be quantized well."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(into)
    onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    folded = onnx.load(into)
    # shapes between the layers, which the quantizer finds out by itself and calls contradictory
    del folded.graph.value_info[:]
    onnx.save(folded, into)
    return into


class _Calibration(quantization.CalibrationDataReader):  # type: ignore[misc]
    """Hands out squares, one at a time."""

    def __init__(self, squares: NDArray[np.float32]) -> None:
        self._squares = iter(squares)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next square, None after the last."""
        square = next(self._squares, None)
        return None if square is None else {"image": square[np.newaxis]}


def _in_onnx(file: Path, threads: int) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda batch: np.asarray(session.run(["embedding"], {"image": batch})[0], np.float32)


def _in_openvino(file: Path, threads: int) -> Run:
    import openvino  # noqa: PLC0415 - few have it

    hints = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(file, "CPU", hints)
    return lambda batch: np.array(compiled({"image": batch})["embedding"], np.float32)


def _in_torch(network: torch.nn.Module, *, last: bool = False) -> Run:
    layout = torch.channels_last if last else torch.contiguous_format

    @torch.inference_mode()
    def run(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(network(torch.from_numpy(batch).contiguous(memory_format=layout))[0].numpy())

    return run


def _fuse(module: torch.nn.Module) -> None:
    """Put every batch norm that follows a convolution into its weights, and those into the order that is fastest."""
    for child in module.children():
        convolution, norm = getattr(child, "conv", None), getattr(child, "bn", None)
        if isinstance(convolution, torch.nn.Conv2d) and isinstance(norm, torch.nn.BatchNorm2d):
            fused = fuse_conv_bn_eval(convolution, norm)
            fused.weight.data = fused.weight.data.contiguous(memory_format=torch.channels_last)
            child.add_module("conv", fused)
            child.add_module("bn", torch.nn.Identity())
        else:
            _fuse(child)
