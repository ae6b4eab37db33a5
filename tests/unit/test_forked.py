from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cbmir.store import forked
from cbmir.store.forked import Copy, started_copy

PLUGIN = Path(__file__).parents[2] / "plugin"


def test_the_work_is_done_in_another_process(tmp_path: Path) -> None:
    file = tmp_path / "id"
    Copy(lambda: file.write_text(str(os.getpid())) and None).wait()
    assert int(file.read_text()) != os.getpid()


def full() -> None:
    raise OSError(28, "No space left on device")


def broken() -> None:
    raise RuntimeError


@pytest.mark.parametrize(("work", "number"), [(full, 28), (broken, 0)])
def test_work_that_fails_there_is_an_error_here(work: object, number: int) -> None:
    with pytest.raises(OSError, match="copy of the process") as failure:
        Copy(work).wait()  # type: ignore[arg-type]
    assert failure.value.errno == number


def test_a_copy_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forked, "LIMIT_SECONDS", 0.1)
    copy = Copy(lambda: time.sleep(60))
    with pytest.raises(TimeoutError):
        copy.wait()
    with pytest.raises(ProcessLookupError):
        os.kill(copy._process, 0)


def test_a_copy_holds_no_file_or_socket_of_the_process(tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as mine:
        seen = tmp_path / "seen"
        Copy(lambda: seen.write_text("open" if is_open(mine.fileno()) else "closed") and None).wait()
        assert is_open(mine.fileno())
    assert seen.read_text() == "closed"


def is_open(descriptor: int) -> bool:
    return Path(f"/proc/self/fd/{descriptor}").exists()


def test_other_threads_go_on_while_a_copy_is_waited_for(tmp_path: Path) -> None:
    go_on, waiting = tmp_path / "go on", threading.Event()

    def work() -> None:
        while not go_on.exists():
            pass

    def let_go() -> None:
        waiting.wait()
        go_on.touch()

    thread = threading.Thread(target=let_go)
    thread.start()
    copy = Copy(work)
    waiting.set()
    copy.wait()
    thread.join()


def test_a_process_whose_numpy_may_have_threads_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    forked.prepare()
    assert "numpy" in sys.modules
    assert started_copy(lambda: None) is None


def test_numpy_has_no_threads_of_its_own_in_a_prepared_process() -> None:
    program = (
        f"import sys, os; sys.path.insert(0, {str(PLUGIN)!r})\n"
        "from cbmir.store import forked; forked.prepare(); import numpy as np\n"
        "a = np.ones((2000, 2000), np.float32); a @ a\n"
        "print(len(os.listdir('/proc/self/task')), forked.is_prepared())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["1", "True"]


GATHERING = """
import mmap
from pathlib import Path
import numpy as np
from cbmir.store import forked

def large_pages():
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages"))

with mmap.mmap(-1, 2 * forked.LARGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
    # small pages, of which the second half is never touched
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    numbers = np.frombuffer(memory, np.int64, count=forked.LARGE // 8)
    numbers[:] = np.arange(len(numbers))
    memory.madvise(mmap.MADV_HUGEPAGE)
    before = large_pages()
    forked.gather_pages()
    print(large_pages() - before)
    assert np.array_equal(numbers, np.arange(len(numbers)))
    del numbers
"""
"""In a process of its own, as all that is large there is gathered; tells how many kilobytes were."""


def test_what_is_large_is_gathered_into_large_pages_and_keeps_its_content() -> None:
    switch = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not switch.exists() or "[never]" in switch.read_text(encoding="ascii"):
        pytest.skip("large pages are switched off")
    told = subprocess.run([sys.executable, "-c", GATHERING], cwd=PLUGIN, capture_output=True, check=True)
    gathered = int(told.stdout)
    if not gathered:
        pytest.skip("before Linux 6.1")
    assert forked.LARGE // 1024 * 0.5 < gathered <= forked.LARGE // 1024 + 4096
