"""What an index of shorter vectors would save and find: projected, searched, and the nearest compared in full.

A trial of what the plugin does not do (yet): the vectors are projected onto the directions in which those of the
archive differ most, and the candidates that the graph finds among them are compared by their whole vectors, read from
the catalogue.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from cbmir.store.graph import Graph
from measuring import made
from measuring.indexes import Archive, folder_for
from measuring.steps import milliseconds

if TYPE_CHECKING:
    from argparse import Namespace

    from numpy.typing import NDArray

K = 10
LENGTHS = (32, 48, 64)
CANDIDATES = (50, 100, 200)
LEARNT_FROM = 20_000
"""Slices from which the directions are learnt."""

UNSEEN = 10_000


def measure(options: Namespace) -> dict[str, Any]:
    """Return bytes a slice, and recall@10 and time by the number of candidates compared in full, for each length."""
    unseen = made.slices(options.slices + UNSEEN)[-UNSEEN:]
    with folder_for(options) as folder:
        archive = Archive(folder, options.slices, {})
        random = np.random.default_rng(1)
        half = options.queries // 2
        places = random.choice(len(archive.rows), half, replace=False)
        queries = np.concatenate([archive.rows[places], unseen[random.choice(UNSEEN, half, replace=False)]])
        nearest = [archive.labels[np.argpartition(-(archive.rows @ query), K)[:K]] for query in queries]
        sample = archive.rows[random.choice(len(archive.rows), min(LEARNT_FROM, len(archive.rows)), replace=False)]
        directions = np.linalg.svd(sample, full_matrices=False)[2]
        lengths = {str(length): _tried(archive, directions[:length].T, queries, nearest) for length in LENGTHS}
        archive.catalogue.close()
    return {"slices": options.slices, "queries": len(queries), "lengths": lengths}


def _tried(
    archive: Archive, directions: NDArray[np.float32], queries: NDArray[np.float32], nearest: list[NDArray[np.int64]]
) -> dict[str, Any]:
    """Return what a graph of projected vectors takes and finds."""
    order = np.random.default_rng(0).permutation(len(archive.rows))
    graph = Graph.empty(directions.shape[1], len(order))
    start = time.process_time()
    graph.add(archive.labels[order], archive.rows[order] @ directions, os.cpu_count() or 1)
    linked = time.process_time() - start
    found = {}
    for candidates in CANDIDATES:
        recalls, seconds = [], []
        for query, truth in zip(queries, nearest, strict=True):
            begun = time.perf_counter()
            labels, _ = graph.search(query @ directions, candidates)
            (there, vectors), *_ = archive.catalogue.vectors(labels)
            first = there[np.argsort(-(vectors @ query), kind="stable")[:K]]
            seconds.append(time.perf_counter() - begun)
            recalls.append(np.isin(truth, first).mean())
        found[str(candidates)] = {"recallAt10": round(float(np.mean(recalls)), 4), **milliseconds(seconds)}
    return {
        "bytesPerSlice": round(graph.bytes_when_saved() / len(graph)),
        "linkProcessorSeconds": round(linked, 1),
        "candidates": found,
    }
