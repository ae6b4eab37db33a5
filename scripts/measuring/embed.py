"""How long a slice takes in the shipped network by each runtime that is installed, beside what the machine can do."""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import torch
from dicom_files import mr_file, picture
from onnxruntime import quantization
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cbmir.embedding import load
from cbmir.instance import Limits, read
from cbmir.network import from_onnx
from cbmir.pixels import prepare
from cbmir.settings import HERE, Settings

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]

MODEL = HERE / "models" / Settings().model
BATCHES = (1, 8)
GEMM = 2048
CALIBRATION = 32
EAGER = "torch, as the papers ran it"


def measure(options: Namespace) -> dict[str, Any]:
    """Return milliseconds a slice of every runtime, in turns, the machine's peak, and what preparing a slice takes.

    `likeness` is the least cosine between a runtime's embedding and that of the shipped one.
    """
    threads = os.cpu_count() or 1
    torch.set_num_threads(threads)
    files = [
        mr_file("A", 1, 1, number, pixels=picture(number, kind=number % 3, size=256)) for number in range(CALIBRATION)
    ]
    squares, preparing = _prepared(files)
    with tempfile.TemporaryDirectory() as folder:
        runs = dict(_runs(Path(folder), squares, threads))
        seconds: dict[str, dict[int, list[float]]] = {name: {size: [] for size in BATCHES} for name in runs}
        peaks = []
        for _ in range(options.rounds):
            peaks.append(_gemm())
            for size in BATCHES:
                for name, run in runs.items():
                    start = time.perf_counter()
                    run(squares[:size])
                    seconds[name][size].append((time.perf_counter() - start) / size)
        shipped = runs["ONNX Runtime fp32 (shipped)"](squares)
        likeness = {name: float((run(squares) * shipped).sum(axis=1).min()) for name, run in runs.items()}
    eager = {size: statistics.median(seconds[EAGER][size]) for size in BATCHES}
    return {
        "threads": threads,
        "rounds": options.rounds,
        "model": json.loads((MODEL / "card.json").read_text(encoding="utf-8"))["name"],
        "peakGigaflops": round(statistics.median(peaks)),
        "prepareMilliseconds": round(1000 * preparing, 2),
        "runtimes": {
            name: {
                "likeness": round(likeness[name], 5),
                **{
                    f"batch{size}": {
                        "milliseconds": round(1000 * statistics.median(some), 2),
                        "againstEager": round(eager[size] / statistics.median(some), 2),
                    }
                    for size, some in by_size.items()
                },
            }
            for name, by_size in seconds.items()
        },
    }


def _prepared(files: list[bytes]) -> tuple[NDArray[np.float32], float]:
    """Return (n, 1, size, size) squares of DICOM files, and the median seconds to decode and prepare one."""
    size = load(MODEL).size
    squares, seconds = [], []
    for file in files:
        start = time.perf_counter()
        squares.append(prepare(read(file, Limits()).frame(1), size))
        seconds.append(time.perf_counter() - start)
    return np.stack(squares), statistics.median(seconds)


def _gemm() -> float:
    """Return the GFLOP/s of a large product of matrices, which no convolution beats."""
    matrix = torch.ones((GEMM, GEMM))
    start = time.perf_counter()
    matrix @ matrix
    return 2 * GEMM**3 / (time.perf_counter() - start) / 1e9


def _runs(folder: Path, squares: NDArray[np.float32], threads: int) -> Iterator[tuple[str, Run]]:
    """Yield every runtime with a function from squares to embeddings."""
    file = MODEL / "model.onnx"
    yield EAGER, _in_torch(from_onnx(file))
    fused = from_onnx(file)
    _fuse(fused)
    yield "torch, batch norm fused, channels last", _in_torch(fused, last=True)
    yield "ONNX Runtime fp32 (shipped)", load(MODEL, threads=threads).embed
    file = _folded(file, folder / "folded.onnx")
    quantization.quantize_dynamic(file, folder / "dynamic.onnx", weight_type=quantization.QuantType.QUInt8)
    yield "ONNX Runtime int8, dynamic", _in_onnx(folder / "dynamic.onnx", threads)
    quantization.quantize_static(file, folder / "static.onnx", _Calibration(squares), per_channel=True)
    yield "ONNX Runtime int8, calibrated", _in_onnx(folder / "static.onnx", threads)


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
