"""Parts of the library, put together for the tests with a network of a few numbers instead of the real one."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from orthanc_double import OrthancDouble, orthanc_id

from cbmir.access import ANYONE
from cbmir.answering.census import Censuses
from cbmir.answering.services import Services, State, searching
from cbmir.api import Api
from cbmir.archive import Archive
from cbmir.audit import open_audit
from cbmir.classifier import Classifier
from cbmir.embedding import Embedder
from cbmir.errors import ModelError
from cbmir.indexer import Indexer
from cbmir.ingest.inbox import Inbox, Progress
from cbmir.ingest.reader import Reader
from cbmir.ingest.spaces import open_spaces
from cbmir.loopback import Door
from cbmir.records import Embedded, Series, Window
from cbmir.reports.studies import Reports
from cbmir.saving.delivery import Delivery
from cbmir.settings import Settings
from cbmir.store.opening import open_catalogue
from cbmir.web import Request, Response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cbmir.access import Gatekeeper
    from cbmir.embedding import Session
    from cbmir.ingest.spaces import Space

SIZE, DIM, MODEL = 32, 16, "tiny-0123456789ab"
CLASSES = ("glioma", "meningioma")


def tiny_session(outputs: Sequence[str], /, *, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Project squares to a few numbers: alike squares lie close together. A feature map has 8 x 8 places."""
    if outputs == ["features"]:
        given = np.einsum("ncyx,yxd->ndyx", image, _projection())
        return [given.reshape(len(given), DIM, 8, SIZE // 8, 8, SIZE // 8).sum(axis=(3, 5))]
    assert outputs == ["embedding"]
    return [units(np.einsum("ncyx,yxd->nd", image, _projection()))]


def tiny_head(
    outputs: Sequence[str], /, *, features: NDArray[np.float32], region: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """Say what each place gives to the embedding of `tiny_session`; those of a region count five times."""
    assert outputs == ["cells"]
    cells = features * (1 + 4 * region)
    return [cells / np.linalg.norm(cells.sum(axis=(2, 3)), axis=1)[:, None, None, None]]


def _projection() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((SIZE, SIZE, DIM)).astype(np.float32)


def tiny_classifier() -> Classifier:
    """Return a classifier that is never at a loss."""
    return Classifier(CLASSES, units(np.random.default_rng(1).standard_normal((len(CLASSES), DIM))), 5.0, -1.0)


def units(vectors: Any) -> NDArray[np.float32]:
    """Return the rows, scaled to unit length."""
    rows: NDArray[np.float32] = np.asarray(vectors, np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def tiny_embedder(session: Session = tiny_session, model: str = MODEL) -> Embedder:
    """Return an embedder that needs no model file."""
    return Embedder(
        model, model.split("-", maxsplit=1)[0], SIZE, DIM, CLASSES, {}, session, tiny_head, tiny_classifier()
    )


def series(patient: str = "P1", study: int = 1, number: int = 1, **facts: str) -> Series:
    """Return a series; facts default to those of a plain MR."""
    keys = [patient, f"1.{study}", f"1.{study}.{number}"]
    patient_id, study_id, series_id = (orthanc_id(*keys[: length + 1]) for length in range(3))
    return Series(series_id, study_id, patient_id, patient_id, keys[1], keys[2], {"Modality": "MR", **facts})


def embedded(
    name: str, belongs_to: Series | None = None, *, vectors: Any = None, note: str | None = None, sop: str | None = None
) -> Embedded:
    """Return an instance as it comes from the network; `vectors` is one row a frame."""
    rows = units(np.eye(1, DIM) if vectors is None else np.atleast_2d(vectors))
    frames = dict(enumerate(rows, start=1))
    windows = dict.fromkeys(frames, Window(100.5, 200))
    return Embedded(name, sop or f"1.9.{name}", belongs_to or series(), len(rows), frames, note, windows)


def _load(installed: Mapping[str, Embedder], folder: Path, *, model_id: str | None = None) -> Embedder:
    if folder.name not in installed or model_id not in {None, installed[folder.name].model_id}:
        raise ModelError(f"no usable model in {folder}")
    return installed[folder.name]


class Workplace:
    """All parts of the plugin over a double of Orthanc, without a thread: `turn` does one turn of the worker."""

    def __init__(
        self,
        directory: Path,
        *,
        embedder: Embedder | None = None,
        installed: Mapping[str, Embedder] | None = None,
        orthanc: OrthancDouble | None = None,
        gatekeeper: Gatekeeper = ANYONE,
        delivery: Delivery | None = None,
        **settings: Any,
    ) -> None:
        """Put the parts together, running as after a start, with one model or those installed, by their folders."""
        self.orthanc = orthanc or OrthancDouble()
        self.directory = directory
        self.settings = Settings(
            batch_size=4, data_directory=str(directory), viewer_directory=str(directory / "viewer"), **settings
        )
        self.log: list[str] = []
        archive = Archive(self.orthanc)
        self.catalogue = open_catalogue(self.settings, self.log.append)
        self.reader = reader = Reader(archive, self.settings)
        self.inbox, self.progress = Inbox(), Progress()
        models = installed or {self.settings.model: embedder or tiny_embedder()}
        self.load = partial(_load, models)
        self.spaces = open_spaces(self.catalogue, reader, self.settings, self.load)
        self.embedder, self.index = self.spaces.answering.embedder, self.spaces.answering.index
        self.search = searching(self.catalogue, self.spaces.answering, self.settings)
        self.indexer = Indexer(
            archive,
            self.catalogue,
            self.spaces,
            settings=self.settings,
            inbox=self.inbox,
            progress=self.progress,
            log=self.log.append,
            switched=self._switched,
        )
        self.services = Services(
            archive,
            self.catalogue,
            self.embedder,
            self.index,
            reader,
            Reports(archive),
            self.search,
            self.settings,
            self.inbox,
            self.progress,
            gatekeeper,
            open_audit(self.settings, directory, self.log.append),
            Censuses(self.catalogue),
            delivery or Delivery(Door(1, tls=False)),
        )
        self.state = State("running", None, self.services)
        self.api = Api(self.state, self.settings.max_parallel_queries, self.log.append)

    def _switched(self, space: Space) -> None:
        self.services = self.state.services = self.services.of(space)
        self.embedder, self.index, self.search = space.embedder, space.index, self.services.search

    def store(self, *datasets: Any) -> list[str]:
        """Store in Orthanc, which reports each."""
        stored = [self.orthanc.store(dataset) for dataset in datasets]
        for name in stored:
            self.inbox.put("stored", name)
        return stored

    def turn(self) -> bool:
        """Absorb what was reported and index some of what is pending. Return whether anything was."""
        self.indexer._absorb(0)
        if self.inbox.overflowed.is_set():
            self.indexer._reconcile()
        return self.indexer._index_next() or self.indexer._change_next()

    def work(self) -> None:
        """Work until nothing is left to do now."""
        while self.turn():
            logging.getLogger(__name__).debug("one more turn")

    def idle(self) -> None:
        """Have the worker look at its own work, in as many idle moments as it takes to draw the map."""
        self.indexer._check()
        while self.indexer._checks._survey._drawing is not None:
            self.indexer._check()

    def get(self, path: str, /, **query: str) -> Response:
        """Return the answer to GET /cbmir/<path>."""
        return self.api(Request("GET", path, query))

    def state_of(self, name: str) -> str | None:
        """Return the state of an instance in the catalogue, or None where it is unknown."""
        entry = self.catalogue.entry(name)
        return entry.state if entry else None

    def labels(self) -> set[int]:
        """Return the labels that the index can find."""
        found, _ = self.index.search(np.full(DIM, 0.25, np.float32), 1_000_000)
        return set(found.tolist())

    def agree(self) -> None:
        """Assert that catalogue and index hold the same slices."""
        assert self.agrees()

    def agrees(self) -> bool:
        """Return whether catalogue and index hold the same slices."""
        return self.labels() == set(self.catalogue.live_labels(self.embedder.model_id).tolist())

    def close(self) -> None:
        """Close this thread's connection, and the audit."""
        self.catalogue.close()
        self.services.audit.close()
