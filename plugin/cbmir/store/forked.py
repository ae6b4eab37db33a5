"""Work done by a copy of the process, so that what holds Python's lock for seconds holds up no other thread.

A copy (fork(2)) shares the memory until one of both writes to it, and has one thread: the one that made it. So it must
touch nothing that another thread may have been in the middle of, close what it was given, and end at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT_SECONDS = 600.0
"""After which a copy that has not ended is ended."""

LOOK_SECONDS = 0.02

LARGE = 64 * 2**20
"""Bytes of memory in one piece from which on it is worth holding in large pages."""

LARGE_PAGE = 2 * 2**20
PAUSE_SECONDS = 0.002
_MAPS = Path("/proc/self/maps")
_MADV_HUGEPAGE, _MADV_COLLAPSE = 14, 25

_BLAS_THREADS = "OPENBLAS_NUM_THREADS"
_PR_SET_PDEATHSIG = 1
_FAILED = 255
"""Exit status of a copy whose work failed with no number that the system knows."""


def prepare() -> None:
    """Have numpy compute on the thread that asks it to; before numpy is imported.

    Threads of its own would have to be ended for every copy, and that waits for ever if one is at work then. Besides,
    all that is computed here is small.
    """
    if "numpy" not in sys.modules:
        os.environ[_BLAS_THREADS] = "1"


def is_prepared() -> bool:
    """Return whether this process may be copied at any moment."""
    return os.environ.get(_BLAS_THREADS) == "1"


def gather_pages() -> None:
    """Have the system hold what is large in pages of 2 MB: to copy a process of 1.4 GB then takes 2 ms, not 100.

    That takes some seconds where it was not so yet, in which no other thread waits for long. madvise(2); before Linux
    6.1, where large pages are switched off, and where /proc does not tell what memory there is, nothing changes.
    """
    if not _MAPS.exists():
        return
    for line in _MAPS.read_text(encoding="utf-8", errors="replace").splitlines():
        # proc(5): addresses, permissions, offset, device, inode, and the name of what is not simply memory
        addresses, permissions, *others = line.split()
        start, end = (int(text, 16) for text in addresses.split("-"))
        if permissions != "rw-p" or len(others) > 3 or end - start < LARGE:
            continue
        _advise(start, end - start, _MADV_HUGEPAGE)
        # one by one: the system gives up at the first that nothing is in
        for page in range(-(-start // LARGE_PAGE) * LARGE_PAGE, end - LARGE_PAGE + 1, LARGE_PAGE):
            _advise(page, LARGE_PAGE, _MADV_COLLAPSE)
            # lets others have the lock of the process's memory, which each of their new pages needs
            time.sleep(PAUSE_SECONDS)


def _advise(start: int, size: int, advice: int) -> None:
    _LIBC.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), advice)


class Copy:
    """A copy of the process that does some work and ends."""

    def __init__(self, work: Callable[[], None]) -> None:
        """Start it. Raises OSError if the system has no room for another process."""
        with warnings.catch_warnings():
            # Python 3.12 and later warn of what the head of this file says
            warnings.simplefilter("ignore", DeprecationWarning)
            self._process = os.fork()
        if self._process == 0:
            _work_and_end(work)

    def wait(self) -> None:
        """Return when the work is done. Raises OSError if it failed or took too long."""
        end = time.monotonic() + LIMIT_SECONDS
        while True:
            try:
                process, status = os.waitpid(self._process, os.WNOHANG)
            except ChildProcessError:
                # a host that ignores SIGCHLD is not told how its children end: what they made must tell
                return
            if process:
                break
            if time.monotonic() > end:
                os.kill(self._process, signal.SIGKILL)
                os.waitpid(self._process, 0)
                raise TimeoutError("the copy of the process did not end")
            time.sleep(LOOK_SECONDS)
        code = os.waitstatus_to_exitcode(status)
        if code:
            raise OSError(code if 0 < code < _FAILED else 0, "the work of a copy of the process failed")


def started_copy(work: Callable[[], None]) -> Copy | None:
    """Return a copy of the process that does the work, or None where there can be none."""
    if is_prepared():
        # without room for another process, the caller does the work itself
        with contextlib.suppress(OSError):
            return Copy(work)
    return None


def _work_and_end(work: Callable[[], None]) -> None:
    """Do the work, and end this process with its outcome."""
    status = _FAILED
    try:
        with contextlib.suppress(Exception):
            # who stops Orthanc stops its copies, and a copy does not outlive it
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # sockets that stay open here would keep the next Orthanc from listening, and clients from being answered
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        work()
        status = 0
    except OSError as error:
        status = error.errno or _FAILED
    finally:
        os._exit(status)


_LIBC = ctypes.CDLL(None)
