"""Networks left as ImageNet made them, and a discriminant on their layers that a gallery is enough to fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evaluation.discriminant import balanced, fit, unit
from evaluation.embedded import vectors
from evaluation.systems import System
from sources.csv_table import TableError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from sources.tables import Row
    from training.layers import Layers


class Fixed:
    """One discriminant for each network, side by side, so that their similarities are averaged."""

    def __init__(self, gallery: Sequence[Row], networks: Sequence[Layers], side: int) -> None:
        """Fit the discriminants to the gallery."""
        labels = [row.label for row in gallery]
        weights = balanced(labels, [row.group for row in gallery])
        # each picture is read once for all networks
        read = vectors(gallery, side, lambda batch: np.concatenate([one(batch) for one in networks], axis=2), "layers")
        features = np.split(read, np.cumsum([one.length for one in networks])[:-1], axis=2)
        self.networks = networks
        self.discriminants = [fit(one, labels, weights) for one in features]
        self.labels = tuple(sorted(set(labels)))
        known = self._embeddings(features)
        of = np.array(labels)
        self.directions = unit(np.stack([known[of == label].mean(axis=0) for label in self.labels]))

    def embed(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (n, networks * (classes - 1)) float32 unit rows of (n, 1, side, side) float32 in 0..1."""
        return self._embeddings([network(batch) for network in self.networks])

    def nearest(self, embeddings: NDArray[np.float32]) -> NDArray[np.str_]:
        """Return the class whose mean in the gallery each embedding is nearest to."""
        return np.asarray(np.array(self.labels)[(embeddings @ self.directions.T).argmax(axis=1)])

    def _embeddings(self, features: Sequence[NDArray[np.float16]]) -> NDArray[np.float32]:
        parts = [discriminant(one) for discriminant, one in zip(self.discriminants, features, strict=True)]
        return np.asarray(np.concatenate(parts, axis=1) / len(parts) ** 0.5, np.float32)


def fixed(gallery: Sequence[Row], queries: Sequence[Row], cache: Path | None, threads: int) -> System:
    """Return what was fitted to the gallery.

    Raises
    ------
    TableError
        A group has pictures on both sides, so that it would be measured on what it learnt.
    ValueError
        The weights of the networks are not there.

    """
    import torch  # noqa: PLC0415 - needed for this only

    from training.layers import NETWORKS, SIDE, Layers  # noqa: PLC0415

    if {row.group for row in gallery} & {row.group for row in queries}:
        raise TableError("this system learns from the gallery: no group may be in both tables")
    torch.set_num_threads(threads)
    made = Fixed(gallery, [Layers(name, cache) for name in NETWORKS], SIDE)
    name = f"discriminant on layers of {' + '.join(NETWORKS)}"
    return System(name, SIDE, made.embed, made.nearest, made.nearest, labels=made.labels)
