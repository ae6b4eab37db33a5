"""Where the time of a network goes in ONNX Runtime, by its own profiler: kinds of operations, and how fast they are."""

from __future__ import annotations

import json
import math
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnxruntime

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROUNDS = 20


def profile(file: Path, squares: NDArray[np.float32], threads: int) -> dict[str, Any]:
    """Return, of kinds of operations, the share of the time and, of convolutions, the GFLOP/s; the largest first.

    Convolutions are told apart by the size of their kernel. What the runtime spends between operations is not counted.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        for _ in range(ROUNDS):
            session.run(["embedding"], {"image": squares})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    seconds: dict[str, float] = defaultdict(float)
    work: dict[str, float] = defaultdict(float)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            kind, operations = _described(event["args"])
            seconds[kind] += event["dur"] / 1e6
            work[kind] += operations / 1e9
    whole = sum(seconds.values())
    return {
        kind: {
            "share": round(took / whole, 3),
            "gigaflopsASecond": round(work[kind] / took) if work[kind] else None,
        }
        for kind, took in sorted(seconds.items(), key=lambda one: -one[1])
    }


def _described(event: dict[str, Any]) -> tuple[str, float]:
    """Return what kind of operation this was, and how many additions and multiplications if it was a convolution."""
    kind = str(event["op_name"])
    shapes = [next(iter(one.values())) for one in event["input_type_shape"]]
    weight = next((shape for shape in shapes[1:] if len(shape) == 4), None)
    if not kind.endswith("Conv") or weight is None:
        # eight-bit weights are packed when the file is loaded, and then have no shape
        return kind, 0.0
    result = next(iter(event["output_type_shape"][0].values()))
    return f"{kind} {weight[2]} x {weight[3]}", 2.0 * math.prod(result) * math.prod(weight[1:])
