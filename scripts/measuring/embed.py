"""How long a slice takes in the shipped network by each runtime that is installed, beside what the machine can do."""

from __future__ import annotations

import json
import os
import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from dicom_files import picture

from cbmir.pixels import Slice, prepare
from measuring.labelled import Labelled
from measuring.machine import resident_megabytes
from measuring.peak import fma_gigaflops, gemm_gigaflops, operations_of
from measuring.preparing import preparing
from measuring.profiling import profile
from measuring.runtimes import EAGER, EXACT, SHIPPED, runtimes
from measuring.shipped import MODEL

if TYPE_CHECKING:
    from argparse import Namespace

    from numpy.typing import NDArray

    from measuring.runtimes import Run

    Taken = dict[str, dict[int, list[tuple[float, float]]]]
    """Seconds a slice, by the clock and of processor, of each turn: by runtime and size of batch."""

BATCHES = (1, 8)
LIKENESS = 32
"""Squares by which runtimes are compared."""

EMBEDDING_PROCESS = """
import sys, numpy
from pathlib import Path
from cbmir.embedding import load
embedder = load(Path("{model}"), threads={threads})
for _ in range(20):
    embedder.embed(numpy.zeros((8, 1, embedder.size, embedder.size), numpy.float32))
"""
"""What embeds and nothing else, in a process of its own, to see what memory that takes."""


def measure(options: Namespace) -> dict[str, Any]:
    """Return milliseconds a slice of every runtime, in turns, the machine's peak, and what else a slice takes.

    `likeness` is the least cosine between a runtime's embedding and the exact one; `mAP` is of labelled
    pictures that find each other, where the collection is there; `ofPeak` the share of what the machine's FMA does.
    """
    threads = os.cpu_count() or 1
    torch.set_num_threads(threads)
    card = json.loads((MODEL / "card.json").read_text(encoding="utf-8"))
    squares = np.stack(
        [prepare(Slice(picture(number, kind=number % 3, size=256)), card["size"]) for number in range(LIKENESS)]
    )
    labelled = Labelled.sample(options.pictures, card["size"])
    runs = dict(runtimes(threads))
    taken, gemm, fma = _timed(runs, squares, options.rounds, threads)
    exact = runs[EXACT](squares)
    kept = {
        name: {
            "likeness": round(float((run(squares) * exact).sum(axis=1).min()), 5),
            "mAP": None if labelled is None else round(labelled.mean_average_precision(run), 4),
        }
        for name, run in runs.items()
    }
    work = operations_of(MODEL / "model.onnx", card["size"])
    return {
        "threads": threads,
        "rounds": options.rounds,
        "model": card["name"],
        "gigaflopsASlice": round(work, 3),
        "gemmGigaflops": round(gemm),
        "fmaGigaflops": None if fma is None else round(fma),
        "prepareMilliseconds": preparing(),
        "residentMegabytes": resident_megabytes(EMBEDDING_PROCESS.format(model=MODEL, threads=threads)),
        "labelledPictures": None if labelled is None else len(labelled.squares),
        "runtimes": {name: {**kept[name], **_figures(taken, name, work, fma)} for name in runs},
        "profile": {
            name: profile(MODEL / described["file"], squares[: max(BATCHES)], threads)
            for name, described in ((EXACT, card), (SHIPPED, card["int8"]))
        },
    }


def _figures(taken: Taken, name: str, work: float, fma: float | None) -> dict[str, dict[str, float | None]]:
    """Return the medians of a runtime by size of batch; `work` and `fma` are GFLOP a slice and GFLOP/s."""
    found: dict[str, dict[str, float | None]] = {}
    for size in BATCHES:
        (one, busy), (eager, eager_busy) = (np.median(taken[who][size], axis=0) for who in (name, EAGER))
        found[f"batch{size}"] = {
            "milliseconds": round(1000 * float(one), 2),
            "againstEager": round(float(eager / one), 2),
            "ofPeak": None if fma is None else round(float(work / one / fma), 2),
            "processorMilliseconds": round(1000 * float(busy), 2),
            "processorAgainstEager": round(float(eager_busy / busy), 2),
        }
    return found


def _timed(
    runs: dict[str, Run], squares: NDArray[np.float32], rounds: int, threads: int
) -> tuple[Taken, float, float | None]:
    """Return the seconds a slice of each runtime by size of batch, in turns, and the machine's GEMM and FMA peak."""
    taken: Taken = {name: {size: [] for size in BATCHES} for name in runs}
    gemm, fma = [], []
    for _ in range(rounds):
        gemm.append(gemm_gigaflops())
        fma.append(fma_gigaflops(threads))
        for size in BATCHES:
            for name, run in runs.items():
                start, busy = time.perf_counter(), time.process_time()
                run(squares[:size])
                taken[name][size].append(((time.perf_counter() - start) / size, (time.process_time() - busy) / size))
    measured = [one for one in fma if one is not None]
    return taken, statistics.median(gemm), statistics.median(measured) if measured else None
