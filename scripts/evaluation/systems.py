"""What can be measured: a model as the plugin runs it, a checkpoint of a training, and the correlation of pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import _library  # noqa: F401 - before cbmir
from cbmir.embedding import PRECISIONS, load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cbmir.classifier import Classifier

    Embed = Callable[[NDArray[np.float32]], NDArray[np.float32]]
    Classify = Callable[[NDArray[np.float32]], NDArray[np.str_]]

PIXEL_SIDE = 32
"""Side of the grey picture that is correlated."""


@dataclass(frozen=True, slots=True)
class System:
    """Something that ranks pictures.

    Attributes
    ----------
    side
        Of the pictures that it takes, in pixels.
    embed
        (n, 1, side, side) float32 in 0..1 → (n, dim) float32.
    nearest
        Embeddings → the likeliest class of each; None for a system that knows no classes.
    predicted
        The same, but "" for what is far from all classes.
    labels
        The classes that it knows.
    euclidean
        Whether its embeddings are compared by distance; otherwise they are of unit length and compared by cosine.

    """

    name: str
    side: int
    embed: Embed
    nearest: Classify | None = None
    predicted: Classify | None = None
    labels: tuple[str, ...] = ()
    euclidean: bool = False


def pixels() -> System:
    """Return the floor that any network must pass."""
    return System("pixel correlation", PIXEL_SIDE, pixel_correlation)


def pixel_correlation(batch: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (n, 1024) unit rows whose inner product is the correlation of the (n, 1, 32, 32) pictures."""
    flat = batch.reshape(len(batch), -1)
    centred = flat - flat.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6), np.float32)


def model(folder: Path, runtime: str, threads: int, precision: str = PRECISIONS[0]) -> System:
    """Return a model folder as the plugin runs it. Raises ModelError."""
    embedder = load(folder, runtime=runtime, threads=threads, precision=precision)
    nearest, predicted = _classifying(embedder.classifier) if embedder.classifier else (None, None)
    return System(embedder.model_id, embedder.size, embedder.embed, nearest, predicted, embedder.labels)


def _classifying(classifier: Classifier) -> tuple[Classify, Classify]:
    # one more for -1, which is none of them
    names = np.array([*classifier.labels, ""])

    def nearest(vectors: NDArray[np.float32]) -> NDArray[np.str_]:
        return np.asarray(names[(vectors @ classifier.directions.T).argmax(axis=1)])

    def predicted(vectors: NDArray[np.float32]) -> NDArray[np.str_]:
        return np.asarray(names[classifier.classes(vectors)])

    return nearest, predicted


def checkpoints(files: Sequence[Path], threads: int, *, mirrored: bool = False, cache: Path | None = None) -> System:
    """Return the averaged networks of trainings, in torch: also methods that are measured but never exported.

    Of several, the embeddings stand side by side, so that their similarity is the mean of theirs, and the probabilities
    are averaged. `mirrored`: each picture's embedding is averaged with that of its mirror image. `cache`: folder where
    what the layers of fitted networks say is kept.
    """
    from training.checkpoints import together  # noqa: PLC0415 - torch is needed for this only

    networks = together(files, threads, mirrored=mirrored, cache=cache)
    names = np.array(networks.labels)

    def nearest(vectors: NDArray[np.float32]) -> NDArray[np.str_]:
        return np.asarray(names[networks.probabilities(vectors).argmax(axis=1)])

    name = " + ".join(file.parent.name for file in files)
    return System(name, networks.side, networks.embed, nearest, nearest, networks.labels, networks.euclidean)
