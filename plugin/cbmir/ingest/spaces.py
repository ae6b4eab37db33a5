"""The model that answers and, while another is to take its place, that one: each with its vectors, index and pipeline.

Vectors of two models are never compared. The one that answers does so from its index until the other has embedded
everything. What arrives meanwhile is embedded at once by the one that answers, so that it is found, and in its turn by
the other; where the network of the one that answers is no longer installed, only by the other, and it is found after
the change.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cbmir.embedding import absent
from cbmir.errors import ModelError, SettingsError
from cbmir.failpoints import reach
from cbmir.index import SliceIndex
from cbmir.ingest.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cbmir.catalogue import Catalogue
    from cbmir.embedding import Embedder
    from cbmir.ingest.reader import Reader
    from cbmir.records import Answering
    from cbmir.settings import Settings
    from cbmir.store.protocols import VectorIndex, Vectors

INCOMING = "incoming"
"""Folder, below that of the data, for the index of the model that is to take over."""


class Load(Protocol):
    """Loads models as the settings want them."""

    def __call__(self, directory: Path, /, *, model_id: str | None = None) -> Embedder:
        """Return the model in a folder or, of its networks, that of an id. Raises ModelError."""


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """A model with the index of its vectors; `pipeline` is None where its network is no longer installed."""

    embedder: Embedder
    folder: str
    index: VectorIndex
    pipeline: Pipeline | None

    @property
    def model(self) -> str:
        """The id of the model."""
        return self.embedder.model_id


class Spaces:
    """One or two spaces, whose indexes the worker keeps in step with the catalogue."""

    def __init__(self, answering: Space, incoming: Space | None = None, trouble: str | None = None) -> None:
        """Take the space that answers, the one that is to, and why the one that the settings name cannot."""
        self.answering = answering
        self.incoming = incoming
        self.trouble = trouble
        self._behind = set(self)

    def __iter__(self) -> Iterator[Space]:
        """Yield the space that answers, then the one that is to, if there is such."""
        yield self.answering
        if self.incoming is not None:
            yield self.incoming

    @property
    def writing(self) -> Space:
        """The space that takes what arrives."""
        return self.incoming if self.answering.pipeline is None and self.incoming is not None else self.answering

    def models(self) -> set[str]:
        """Return the ids of the models."""
        return {space.model for space in self}

    def is_behind(self, space: Space) -> bool:
        """Return whether the catalogue may hold vectors that the index does not."""
        return space in self._behind

    def restore(self, space: Space, live: NDArray[np.int64], vectors: Vectors) -> str:
        """Bring an index in step with the catalogue; return how, as SliceIndex.restore."""
        how = space.index.restore(live, vectors)
        self._behind.discard(space)
        return how

    def add(self, space: Space, labels: list[int], vectors: NDArray[np.float32]) -> None:
        """Add (n, dim) vectors under n new labels to the index of one space."""
        with self._keeping_step():
            reach("before-index")
            space.index.add(np.array(labels, np.int64), vectors)

    def remove(self, labels: list[int]) -> None:
        """Remove labels from the index that knows them."""
        with self._keeping_step():
            for space in self:
                space.index.remove(labels)

    @contextlib.contextmanager
    def _keeping_step(self) -> Iterator[None]:
        """Have the indexes restored if changing one fails: the catalogue is ahead of it then."""
        try:
            yield
        except Exception:
            self._behind = set(self)
            raise

    def switch(self) -> None:
        """Have the incoming space answer, and its snapshots take the place of those of the one before."""
        if self.incoming is not None:
            self.incoming.index.succeed(self.answering.index)
            self.answering, self.incoming = self.incoming, None


def open_spaces(catalogue: Catalogue, reader: Reader, settings: Settings, load: Load) -> Spaces:
    """Return the space that answers, and the one that the settings want instead if that is another.

    Raises
    ------
    ModelError
        The model that the settings name cannot be used, and neither can the one that answered before.

    """
    folder = Path(settings.model_directory) / settings.model
    data = Path(settings.data_directory)
    before = catalogue.answering()

    def space(embedder: Embedder, folder: Path | str, data: Path) -> Space:
        index = _index(catalogue, data, settings, embedder.dim, embedder.model_id)
        return Space(embedder, str(folder), index, Pipeline(reader, embedder, settings.batch_size))

    try:
        wanted = load(folder)
    except ModelError as error:
        still = _installed(before, settings, load) if before else None
        if still is None:
            raise
        return Spaces(
            space(*still, data),
            trouble=f"the model {settings.model!r} cannot be used, so {still[0].name!r} goes on answering: {error}",
        )
    dim = catalogue.dimension(before.model) if before else None
    if before is None or dim is None or before.model == wanted.model_id:
        if before is None or before.model != wanted.model_id or before.folder != str(folder):
            catalogue.answer_with(wanted.model_id, str(folder))
        shutil.rmtree(data / INCOMING, ignore_errors=True)
        return Spaces(space(wanted, folder, data))
    (data / INCOMING).mkdir(mode=0o700, exist_ok=True)
    incoming = space(wanted, folder, data / INCOMING)
    found = _installed(before, settings, load)
    if found is not None:
        return Spaces(space(*found, data), incoming)
    old = absent(
        before.model,
        dim,
        f"the model is being changed from {before.model} to {wanted.model_id}, and the former is no longer installed:"
        " until the change is done, only slices that it has indexed can be asked about, without regions and heat maps",
    )
    return Spaces(Space(old, before.folder, _index(catalogue, data, settings, dim, before.model), None), incoming)


def _index(catalogue: Catalogue, data: Path, settings: Settings, dim: int, model: str) -> VectorIndex:
    """Return the index of a model's vectors: the database's own, or one with snapshots in a folder."""
    own = catalogue.own_index(dim=dim, model=model)
    if own is not None:
        return own
    threads = max(1, settings.threads)
    if not settings.compressed_index:
        return SliceIndex(data, dim=dim, model=model, threads=threads)
    try:
        from cbmir.compressed import CompressedIndex  # noqa: PLC0415 - needs a package that few have
    except ImportError:
        raise SettingsError(
            '"Cbmir.CompressedIndex" needs a package of its own: scripts/install --compressed'
        ) from None
    return CompressedIndex(data, dim=dim, model=model, vectors=catalogue.vectors, threads=threads)


def _installed(before: Answering, settings: Settings, load: Load) -> tuple[Embedder, Path] | None:
    """Return the model that answered before and its folder: where it was, or whichever of the models has its id."""
    others = sorted(path.parent for path in Path(settings.model_directory).glob("*/card.json"))
    for folder in [*([Path(before.folder)] if before.folder else []), *others]:
        with contextlib.suppress(ModelError):
            return load(folder, model_id=before.model), folder
    return None
