"""Runtimes of the shipped network, those that are installed: each as a function from squares to embeddings."""

from __future__ import annotations

from importlib import util
from typing import TYPE_CHECKING

import numpy as np
import torch
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
EXACT = "ONNX Runtime fp32"
SHIPPED = "ONNX Runtime int8 (shipped)"


def runtimes(threads: int) -> Iterator[tuple[str, Run]]:
    """Yield every runtime that is installed."""
    file = MODEL / "model.onnx"
    yield EAGER, _in_torch(from_onnx(file))
    fused = from_onnx(file)
    _fuse(fused)
    yield "torch, batch norm fused, channels last", _in_torch(fused, last=True)
    yield EXACT, load(MODEL, threads=threads, precision="fp32").embed
    yield SHIPPED, load(MODEL, threads=threads).embed
    if util.find_spec("openvino"):
        yield "OpenVINO fp32", _in_openvino(file, threads)
        yield "OpenVINO int8", _in_openvino(MODEL / "model-int8.onnx", threads)


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
