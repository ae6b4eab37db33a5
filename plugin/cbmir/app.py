"""The plugin's life: from settings to running services, on a thread that Orthanc never waits for."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sys
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cbmir.answering.census import Censuses
from cbmir.answering.services import Services, State, searching
from cbmir.api import Api
from cbmir.audit import open_audit
from cbmir.embedding import load
from cbmir.errors import CbmirError, SettingsError, Unavailable
from cbmir.indexer import Indexer
from cbmir.ingest.inbox import Inbox, Progress
from cbmir.ingest.reader import Reader
from cbmir.ingest.spaces import open_spaces
from cbmir.reports.studies import Reports
from cbmir.store.opening import open_catalogue

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import FileIO

    from cbmir.access import Gatekeeper
    from cbmir.archive import Archive
    from cbmir.audit import Audit
    from cbmir.catalogue import Catalogue
    from cbmir.ingest.spaces import Space, Spaces
    from cbmir.saving.delivery import Delivery
    from cbmir.settings import Settings

NICENESS = 10
"""Of the worker's threads, as of nice(1): where the processors are all busy, receiving images comes first."""

SWITCH_SECONDS = 0.0005
"""How long one of Python's threads may keep its lock from others. Python's own 5 ms are what a callback of Orthanc
would wait for the worker with every image."""

SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
"""Between two tries to reach a database."""

STOP_SECONDS = 10.0
"""How long Orthanc's stop may wait for the batch at work."""


class App:
    """Owns the worker's thread and the state that the API answers from."""

    def __init__(
        self,
        archive: Archive,
        settings: Settings,
        log: Callable[[str], None],
        gatekeeper: Gatekeeper,
        delivery: Delivery,
    ) -> None:
        """Prepare; nothing is loaded until `start`."""
        self._archive = archive
        self._settings = settings
        self._gatekeeper = gatekeeper
        self._delivery = delivery
        self._log = log
        self._state = State()
        self._thread: threading.Thread | None = None
        self.inbox = Inbox()
        self.api = Api(self._state, settings.max_parallel_queries, log)

    def start(self) -> None:
        """Load and index in the background."""
        if self._thread is None:
            sys.setswitchinterval(min(SWITCH_SECONDS, sys.getswitchinterval()))
            self._thread = threading.Thread(target=self._work, name="cbmir-worker")
            self._thread.start()

    def stop(self) -> None:
        """End the worker after its batch, and wait for it a limited time."""
        self.inbox.close()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def disable(self, reason: str) -> None:
        """Answer nothing but why; Orthanc goes on as if the plugin were not there."""
        self._state.services = None
        self._state.become("disabled", reason)
        self.inbox.close()
        self._log(f"disabled: {reason}")

    def _work(self) -> None:
        with contextlib.suppress(OSError):
            # on Linux this is of the thread alone; threads of the runtime, started from here, inherit it
            own = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, own, max(NICENESS, os.getpriority(os.PRIO_PROCESS, own)))
        try:
            directory = Path(self._settings.data_directory)
            with exclusive(directory):
                if directory.stat().st_mode & 0o077:
                    self._log(f"others than its owner may enter {directory}, which holds patient data: chmod 700 it")
                self._run_patiently()
        except CbmirError as error:
            self.disable(str(error))
        except Exception as error:  # noqa: BLE001 - nothing of ours may end Orthanc
            self.disable(f"{type(error).__name__}: {error}")

    def _run_patiently(self) -> None:
        """Run; where the database is on a server that cannot be reached yet, try again until Orthanc stops."""
        pause = SHORTEST_PAUSE_SECONDS
        while True:
            try:
                return self._run()
            except Unavailable as error:
                if not self._settings.database:
                    raise
                if self._state.reason != str(error):
                    self._log(f"waiting: {error}")
                self._state.become("starting", str(error))
            if self.inbox.closed.wait(pause):
                return None
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _run(self) -> None:
        settings = self._settings = replace(
            self._settings, threads=self._settings.threads or max(1, (os.cpu_count() or 1) // 2)
        )
        directory = Path(settings.data_directory)
        with contextlib.closing(open_catalogue(settings, self._log)) as catalogue:
            reader = Reader(self._archive, settings)
            loading = partial(load, runtime=settings.runtime, threads=settings.threads, precision=settings.precision)
            spaces = open_spaces(catalogue, reader, settings, loading)
            with contextlib.closing(open_audit(settings, directory, self._log)) as audit:
                try:
                    self._serve(catalogue, reader, spaces, audit)
                finally:
                    self._state.services = None
                    self._state.name = "stopped"

    def _serve(self, catalogue: Catalogue, reader: Reader, spaces: Spaces, audit: Audit) -> None:
        """Bring the index in step with the catalogue, then answer and index until Orthanc stops."""
        progress = Progress()
        indexer = Indexer(
            self._archive,
            catalogue,
            spaces,
            settings=self._settings,
            inbox=self.inbox,
            progress=progress,
            log=self._log,
            switched=self._switch,
        )
        indexer.restore()
        answering = spaces.answering
        self._state.services = Services(
            self._archive,
            catalogue,
            answering.embedder,
            answering.index,
            reader,
            Reports(self._archive),
            searching(catalogue, answering, self._settings),
            self._settings,
            self.inbox,
            progress,
            self._gatekeeper,
            audit,
            Censuses(catalogue),
            self._delivery,
        )
        self._state.become("running")
        if spaces.trouble:
            self._log(spaces.trouble)
        self._log(f"running with model {answering.model} and {len(answering.index)} slices")
        indexer.run()

    def _switch(self, space: Space) -> None:
        """Have another space answer, from one query to the next."""
        if self._state.services is not None:
            self._state.services = self._state.services.of(space)


class exclusive:  # noqa: N801 - used like a function
    """The data directory, made if need be, for this process alone while the block lasts."""

    def __init__(self, directory: Path) -> None:
        """Take the directory; nothing happens until the block begins."""
        self._directory = directory
        self._file: FileIO | None = None

    def __enter__(self) -> None:
        """Lock it. Raises SettingsError where another process has, or it cannot be written."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = self._lock()
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.__exit__()
            raise SettingsError(f"another Orthanc uses the data directory {self._directory}") from None
        except OSError as error:
            raise SettingsError(f"the data directory {self._directory} cannot be used: {error.strerror}") from None

    def _lock(self) -> FileIO:
        """Return the file to be locked; on a read-only volume it may only be read, but can be locked all the same."""
        path = self._directory / "lock"
        try:
            file = path.open("wb", buffering=0)
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
            return path.open("rb", buffering=0)
        os.fchmod(file.fileno(), 0o600)
        return file

    def __exit__(self, *_: object) -> None:
        """Unlock it."""
        if self._file is not None:
            self._file.close()
