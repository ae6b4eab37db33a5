"""Stage 3: grey squares become unit vectors. A model is a folder that holds `model.onnx` and its `card.json`.

Beside `model.onnx` there may be the same network with eight-bit numbers, several times as fast on a CPU. Its vectors
are not quite those of the other: to whatever keeps vectors it is another model, with an id of its own.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cbmir.classifier import Classifier
from cbmir.errors import BadRequest, ModelError, Unavailable
from cbmir.units import are_units

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

PRECISIONS = ("int8", "fp32")
"""Of the networks of a model, the first being what a CPU runs where the folder has it."""

ABSENT_SIZE = 8
"""Side of the squares of a model that is not there to take them."""


class Session(Protocol):
    """A loaded network."""

    def __call__(self, outputs: Sequence[str], /, **inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return the outputs of these names for a batch of inputs, by their names."""


@dataclass(frozen=True, slots=True)
class Embedder:
    """A model ready to run.

    Attributes
    ----------
    model_id
        Name and first twelve digits of the SHA-256: vectors of two ids are never compared.
    size, dim
        Side of the input square in pixels; length of an embedding.
    labels
        Classes that the model was trained on.
    card
        The whole model card.

    """

    model_id: str
    name: str
    size: int
    dim: int
    labels: tuple[str, ...]
    card: dict[str, object]
    session: Session
    head: Session | None
    classifier: Classifier | None

    def embed(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return one embedding per square: (n, 1, size, size) float32 in 0..1 → (n, dim) float32, rows of unit length.

        Raises
        ------
        ModelError
            A row is not finite or not of unit length.

        """
        (vectors,) = self.session(["embedding"], image=np.ascontiguousarray(batch, np.float32))
        if not are_units(vectors).all():
            raise ModelError("the network answered a vector that is not of unit length")
        return vectors

    def features(self, square: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the last feature map of one square: (1, size, size) → (channels, h, w) float32."""
        (features,) = self.session(["features"], image=np.ascontiguousarray(square[np.newaxis], np.float32))
        first: NDArray[np.float32] = features[0]
        return first

    def cells(self, features: NDArray[np.float32], region: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Return what each place gives to the embedding: (channels, h, w) → (dim, h, w), whose sum it is.

        `region` is (h, w) in 0..1, how much of each place a reader marked: then the embedding is that of the region,
        with the whole slice as its context.

        Raises
        ------
        BadRequest
            The model was exported without this.

        """
        if self.head is None:
            raise BadRequest("the model in use cannot say which places of a picture its embedding comes from")
        marked = np.zeros(features.shape[1:], np.float32) if region is None else region
        (cells,) = self.head(["cells"], features=features[np.newaxis], region=marked[np.newaxis, np.newaxis])
        first: NDArray[np.float32] = cells[0]
        return first


def load(
    directory: Path,
    *,
    runtime: str = "onnx",
    threads: int = 1,
    precision: str = PRECISIONS[0],
    model_id: str | None = None,
) -> Embedder:
    """Return the model in a folder, checked against its card and run once.

    The eight-bit network is taken where `precision` is "int8", the folder has one and the runtime is ONNX Runtime, the
    only one to run it; otherwise the exact one. With `model_id` it is whichever of them has that id.

    Raises
    ------
    ModelError
        The folder, card or network is missing, the SHA-256 differs, or the runtime cannot load it.

    """
    try:
        card = json.loads((directory / "card.json").read_text(encoding="utf-8"))
        name, size, dim = str(card["name"]), int(card["size"]), int(card["dim"])
        labels = tuple(map(str, card["labels"]))
        chosen = _chosen(card, precision if runtime == "onnx" else "fp32", model_id)
        network = _checked(directory / chosen.file, chosen.sha256)
        head = _checked(directory / card["cells"]["file"], card["cells"]["sha256"]) if "cells" in card else None
        classifier = _classifier(directory, card["classifier"], labels, dim) if "classifier" in card else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"no usable model in {directory}: {type(error).__name__}: {error}") from error
    try:
        session = _SESSIONS["onnx" if chosen.precision == "int8" else runtime](network, threads)
        head_session = _onnx_session(head, threads) if head else None
    except Exception as error:  # whatever a runtime raises for a file it cannot use
        raise ModelError(f"the runtime {runtime!r} cannot load {network}: {error}") from error
    embedder = Embedder(chosen.model_id, name, size, dim, labels, card, session, head_session, classifier)
    try:
        answered = embedder.embed(np.full((1, 1, size, size), 0.5, np.float32)).shape
    except ModelError:
        raise
    except Exception as error:  # as above
        raise ModelError(f"{network} does not take squares of side {size}: {error}") from error
    if answered != (1, dim):
        raise ModelError(f"{network} does not answer vectors of length {dim}")
    return embedder


def card_id(directory: Path, precision: str = PRECISIONS[0]) -> str | None:
    """Return the id of the model in a folder, as a CPU runs it; None where its card cannot be read."""
    try:
        return _chosen(json.loads((directory / "card.json").read_text(encoding="utf-8")), precision, None).model_id
    except (OSError, ValueError, KeyError, TypeError):
        return None


def absent(model_id: str, dim: int, why: str) -> Embedder:
    """Return a model that is no longer installed: it has a name, and all that needs its network raises Unavailable."""

    def refuse(_outputs: Sequence[str], /, **_inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        raise Unavailable(why)

    name = model_id.rpartition("-")[0]
    return Embedder(model_id, name, ABSENT_SIZE, dim, (), {"name": name, "summary": why}, refuse, refuse, None)


@dataclass(frozen=True, slots=True)
class _Network:
    """One of the networks that a card describes."""

    precision: str
    file: str
    sha256: str
    model_id: str


def _chosen(card: dict[str, Any], precision: str, model_id: str | None) -> _Network:
    """Return the network of this id or, without one, of this precision, the exact one if there is none.

    Raises
    ------
    ValueError
        None has the id.
    KeyError, TypeError
        This is no card.

    """
    described = {"fp32": card, **({"int8": card["int8"]} if "int8" in card else {})}
    networks = {
        kind: _Network(kind, str(one["file"]), str(one["sha256"]), f"{card['name']}-{one['sha256'][:12]}")
        for kind, one in described.items()
    }
    if model_id is None:
        return networks.get(precision, networks["fp32"])
    for network in networks.values():
        if network.model_id == model_id:
            return network
    raise ValueError(f"it has no network {model_id}")


def _checked(file: Path, sha256: str) -> Path:
    """Return the file if it is the one that the card describes."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if digest != sha256:
        raise ModelError(
            f"{file} is not the file its card describes: its SHA-256 is {digest[:12]}…, not {sha256[:12]}…"
        )
    return file


def _classifier(directory: Path, described: dict[str, Any], labels: tuple[str, ...], dim: int) -> Classifier:
    file = _checked(directory / described["file"], described["sha256"])
    directions = np.load(file, allow_pickle=False)
    if directions.shape != (len(labels), dim) or directions.dtype != np.float32:
        raise ModelError(f"{file} does not hold one direction of length {dim} for each of {len(labels)} classes")
    return Classifier(labels, directions, float(described["scale"]), float(described["farBelow"]))


def _onnx_session(network: Path, threads: int) -> Session:
    import onnxruntime  # noqa: PLC0415 - half a second and 60 MB that a disabled plugin need not spend

    # no log of its own on the console of the PACS
    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # threads that spin while they wait would take the cores from Orthanc
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])

    def run(outputs: Sequence[str], /, **inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        return [np.asarray(output, np.float32) for output in session.run(list(outputs), inputs)]

    return run


def _torch_session(network: Path, threads: int) -> Session:
    from cbmir.network import torch_session  # noqa: PLC0415 - torch is optional

    return torch_session(network, threads)


_SESSIONS = {"onnx": _onnx_session, "torch": _torch_session}
