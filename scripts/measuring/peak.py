"""What the machine can do at most, and what a network asks of it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

import torch

from cbmir.network import from_onnx

GEMM = 2048
SOURCE = Path(__file__).with_name("fma.c")


def gemm_gigaflops() -> float:
    """Return the GFLOP/s of a large product of matrices."""
    matrix = torch.ones((GEMM, GEMM))
    start = time.perf_counter()
    matrix @ matrix
    return 2 * GEMM**3 / (time.perf_counter() - start) / 1e9


def fma_gigaflops(threads: int) -> float | None:
    """Return the GFLOP/s of multiplications with addition in registers alone; None where there is no C compiler."""
    program = _compiled()
    if program is None:
        return None
    done = subprocess.run([program, str(threads)], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[0])


@cache
def _compiled() -> Path | None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return None
    program = Path(tempfile.mkdtemp(prefix="bench-")) / "fma"
    flags = ["-O3", "-march=native", "-ffp-contract=fast", "-pthread"]
    subprocess.run([compiler, *flags, str(SOURCE), "-o", str(program)], check=True)
    return program


def operations_of(file: Path, side: int) -> float:
    """Return the GFLOP (additions and multiplications) of the convolutions and products for one square."""
    network, found = from_onnx(file), []

    def count(module: torch.nn.Module, _: object, result: torch.Tensor) -> None:
        if isinstance(module, torch.nn.Conv2d):
            found.append(2 * result[0].numel() * module.weight[0].numel())
        elif isinstance(module, torch.nn.Linear):
            found.append(2 * module.weight.numel())

    for module in network.modules():
        module.register_forward_hook(count)
    with torch.inference_mode():
        network(torch.zeros((1, 1, side, side)))
    return sum(found) / 1e9
