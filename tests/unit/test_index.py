from __future__ import annotations

import contextlib
import json
import math
import resource
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from parts import units

from cbmir.index import SliceIndex
from cbmir.store.graph import SMALLEST_CAPACITY, Graph
from cbmir.store.linked import LONGEST_DELETED_SECONDS, MOST_DELETED, MOST_UNSHUFFLED, SMALLEST_WORTH
from cbmir.store.snapshots import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

DIM = 24
MODEL = "tiny-1"


class Vectors:
    """Vectors by label, as the catalogue hands them out."""

    def __init__(self, rows: NDArray[np.float32], first_label: int = 1) -> None:
        self.rows = dict(enumerate(rows, start=first_label))

    def live(self) -> NDArray[np.int64]:
        return np.array(sorted(self.rows), np.int64)

    def __call__(self, labels: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        present = [label for label in labels.tolist() if label in self.rows]
        for start in range(0, len(present), 1000):
            some = present[start : start + 1000]
            yield np.array(some, np.int64), np.stack([self.rows[label] for label in some])


def random_rows(number: int, seed: int = 0, dim: int = DIM) -> NDArray[np.float32]:
    return units(np.random.default_rng(seed).standard_normal((number, dim)))


def series_rows(series: int, slices: int, dim: int = DIM) -> NDArray[np.float32]:
    """Return vectors as an archive has them: kinds of series, patients within them, slices that drift."""
    random = np.random.default_rng(3)
    kinds = random.standard_normal((12, dim))
    rows = []
    for number in range(series):
        patient = kinds[number % 12] + 0.7 * random.standard_normal(dim)
        drift = np.cumsum(0.15 * random.standard_normal((slices, dim)), axis=0)
        rows.append(patient + drift)
    return units(np.concatenate(rows))


KINDS = ("whole", "compressed")
KIND = ["whole"]
"""Of the indexes that are made."""


@pytest.fixture(autouse=True, params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Have every test run with both kinds of index."""
    KIND[0] = request.param
    if KIND[0] == "compressed":
        pytest.importorskip("faiss")
    return KIND[0]


def empty(directory: Path, source: Vectors | None = None, **other: Any) -> SliceIndex:
    options = {"dim": DIM, "model": MODEL, **other}
    if KIND[0] == "whole":
        return SliceIndex(directory, **options)
    from cbmir.compressed import CompressedIndex  # noqa: PLC0415 - needs faiss

    return CompressedIndex(directory, vectors=source or Vectors(np.empty((0, DIM), np.float32)), **options)


def make(directory: Path, source: Vectors | None = None, **other: Any) -> SliceIndex:
    index = empty(directory, source, **other)
    if source is not None:
        index.add(source.live(), np.stack([source.rows[label] for label in source.live().tolist()]))
    return index


def nearest(source: Vectors, vector: NDArray[np.float32], k: int) -> list[int]:
    labels = source.live()
    similarities = np.stack([source.rows[label] for label in labels.tolist()]) @ vector
    found: list[int] = labels[np.argsort(-similarities)][:k].tolist()
    return found


def recall(index: SliceIndex, source: Vectors, queries: NDArray[np.float32], k: int = 10) -> float:
    hits = [len(set(index.search(query, k)[0].tolist()) & set(nearest(source, query, k))) for query in queries]
    return float(np.mean(hits)) / k


def test_the_nearest_come_first_with_their_similarities(tmp_path: Path) -> None:
    source = Vectors(random_rows(300))
    index = make(tmp_path, source)
    labels, similarities = index.search(source.rows[7], 5)
    assert labels.tolist() == nearest(source, source.rows[7], 5)
    assert labels[0] == 7
    np.testing.assert_allclose(similarities, [source.rows[label] @ source.rows[7] for label in labels], atol=1e-5)


def test_an_empty_index_finds_nothing(tmp_path: Path) -> None:
    labels, similarities = make(tmp_path).search(random_rows(1)[0], 10)
    assert (len(labels), len(similarities)) == (0, 0)


@pytest.mark.parametrize("k", [50, 51, 1000, 10**9])
def test_asking_for_more_than_there_are_gives_all(tmp_path: Path, k: int) -> None:
    source = Vectors(random_rows(60))
    index = make(tmp_path, source)
    index.remove(list(range(1, 11)))
    labels, _ = index.search(source.rows[20], k)
    assert sorted(labels.tolist()) == list(range(11, 61))


def test_removed_labels_are_found_no_more_and_not_counted(tmp_path: Path) -> None:
    source = Vectors(random_rows(100))
    index = make(tmp_path, source)
    index.remove([1, 2, 3, 2, 999])
    index.remove([1])
    assert len(index) == 97
    assert not {1, 2, 3} & set(index.search(source.rows[2], 50)[0].tolist())


def test_what_came_and_went_many_times_hides_nothing(tmp_path: Path) -> None:
    """Slices sent and deleted over and over left links to deleted copies only, and some slices could not be reached."""
    index = empty(tmp_path)
    rows = units(np.random.default_rng(0).standard_normal((6, DIM)))
    rows[3:] = rows[:3]
    for turn in range(60):
        labels = np.arange(6) + 6 * turn
        for label, row in zip(labels, rows, strict=True):
            index.add(np.array([label]), row[None])
        for row in rows:
            assert set(index.search(row, 6)[0]) == set(labels)
        index.remove(labels.tolist())


def test_the_index_grows_beyond_its_first_capacity(tmp_path: Path) -> None:
    source = Vectors(random_rows(SMALLEST_CAPACITY + 10, dim=4))
    index = make(tmp_path, source, dim=4)
    assert len(index) == SMALLEST_CAPACITY + 10


def test_neighbours_are_found_among_series_that_came_one_after_the_other(tmp_path: Path) -> None:
    rows = series_rows(100, 50)
    source = Vectors(rows)
    index = empty(tmp_path, source)
    for start in range(0, len(rows), 50):
        index.add(np.arange(start, start + 50) + 1, rows[start : start + 50])
    # whole series go when patients do
    gone = [label for series in range(0, 100, 5) for label in range(series * 50 + 1, series * 50 + 51)]
    index.remove(gone)
    for label in gone:
        del source.rows[label]
    queries = rows[::100]
    assert recall(index, source, queries) >= 0.95
    index.rebuild(source.live, source)
    assert len(index) == len(source.rows)
    assert recall(index, source, queries) >= 0.95


def test_the_index_is_worn_when_much_is_deleted(tmp_path: Path) -> None:
    index = make(tmp_path, Vectors(random_rows(1000)))
    limit = int(MOST_DELETED * SMALLEST_WORTH)
    index.remove(list(range(1, limit + 1)))
    assert not index.worn
    index.remove(list(range(limit + 1, limit + 3)))
    assert index.worn
    source = Vectors(random_rows(1000))
    index.rebuild(source.live, source)
    assert not index.worn


def test_the_index_is_worn_when_much_came_in_the_order_of_arrival(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cbmir.store.linked.FEW_UNSHUFFLED", 100)
    source = Vectors(random_rows(400))
    index = make(tmp_path, source)
    assert index.worn
    index.rebuild(source.live, source)
    assert not index.worn
    share = MOST_UNSHUFFLED / (1 - MOST_UNSHUFFLED)
    later = Vectors(random_rows(int(400 * share) + 2, seed=5), first_label=401)
    index.add(later.live()[:-2], np.stack(list(later.rows.values()))[:-2])
    assert not index.worn
    index.snapshot()
    index.add(later.live()[-2:], np.stack(list(later.rows.values()))[-2:])
    assert index.worn
    source.rows |= later.rows
    assert restored(tmp_path, source)[0].worn, "the snapshot knows how much of it was unshuffled"


def test_what_comes_and_goes_during_a_rebuild_is_made_up_for(tmp_path: Path) -> None:
    source = Vectors(random_rows(300))
    late = Vectors(random_rows(60, seed=5), first_label=301)
    index = make(tmp_path, source)

    def vectors(labels: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        yield from source(labels)
        for label, row in late.rows.items():
            index.add(np.array([label]), row[np.newaxis])
        index.remove([7, 301])

    index.rebuild(source.live, vectors)
    assert len(index) == 358
    assert not {7, 301} & set(index.search(source.rows[7], 358)[0].tolist())
    assert index.search(late.rows[302], 1)[0].tolist() == [302]


def test_a_rebuild_that_fails_leaves_the_old_graph(tmp_path: Path) -> None:
    source = Vectors(random_rows(300))
    index = make(tmp_path, source)

    def vectors(labels: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        yield from source(labels[:10])
        raise MemoryError

    with pytest.raises(MemoryError):
        index.rebuild(source.live, vectors)
    index.remove([1])
    assert len(index) == 299
    assert index._missed is None, "what comes from now on is kept for no rebuild"


def test_an_index_that_is_restored_during_a_rebuild_stays_as_restored(tmp_path: Path) -> None:
    source = Vectors(random_rows(300))
    index = make(tmp_path, source)

    def vectors(labels: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        yield from source(labels[:10])
        index.restore(source.live(), source)

    index.rebuild(source.live, vectors)
    assert len(index) == 300


# ---- snapshots ----


def restored(directory: Path, source: Vectors, **other: Any) -> tuple[SliceIndex, str]:
    index = empty(directory, source, **other)
    return index, index.restore(source.live(), source)


def as_saved(row: NDArray[np.float32]) -> bytes:
    """Return the bytes that a snapshot holds of a vector."""
    if KIND[0] == "whole":
        return row.tobytes()
    # the numbers of a byte each, from 0 on
    return bytes((np.clip(np.rint(row * (127 * math.sqrt(DIM) / 5)), -127, 127) + 128).astype(np.uint8))


def bytes_of(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(directory.iterdir()) if file.is_file())


def test_what_was_deleted_half_a_day_ago_must_go_from_the_snapshot_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_700_000_000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    source = Vectors(random_rows(50))
    index = make(tmp_path, source)
    secret = source.rows.pop(7)
    index.remove([7])
    index.snapshot()
    assert as_saved(secret) in bytes_of(tmp_path), "it is only marked"
    assert not index.worn
    now[0] += LONGEST_DELETED_SECONDS - 60
    index.remove([8])
    assert not index.worn
    now[0] += 120
    assert index.worn
    del source.rows[8]
    index.rebuild(source.live, source)
    assert not index.worn
    index.snapshot()
    assert as_saved(secret) not in bytes_of(tmp_path)
    assert as_saved(source.rows[9]) in bytes_of(tmp_path)


def test_a_restart_does_not_make_the_deleted_stay_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_700_000_000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    source = Vectors(random_rows(50))
    index = make(tmp_path, source)
    del source.rows[7]
    index.remove([7])
    for _ in range(3):
        index.snapshot()
        now[0] += LONGEST_DELETED_SECONDS / 3 - 1
        index = make(tmp_path)
        assert index.restore(source.live(), source) == "snapshot"
    index.snapshot()
    now[0] += 10
    index = make(tmp_path)
    assert index.restore(source.live(), source) == "snapshot"
    assert index.worn


@pytest.mark.parametrize("since", [1e12, -1, "x", [], None])
def test_a_senseless_time_in_the_manifest_keeps_nothing(tmp_path: Path, since: Any) -> None:
    source = Vectors(random_rows(50))
    index = make(tmp_path, source)
    del source.rows[7]
    index.remove([7])
    index.snapshot()
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps({**manifest, "deletedSince": since}))
    again = make(tmp_path)
    how = again.restore(source.live(), source)
    assert how.startswith("rebuilt") or again.worn or since is None
    assert len(again) == 49


def test_a_snapshot_brings_back_equal_answers(tmp_path: Path) -> None:
    source = Vectors(random_rows(500))
    index = make(tmp_path, source)
    for label in (3, 4, 5):
        index.remove([label])
        del source.rows[label]
    index.snapshot()
    again, how = restored(tmp_path, source)
    assert how == "snapshot"
    assert len(again) == len(index) == 497
    assert again.changes_since_snapshot == 0
    for query in random_rows(20, seed=9):
        np.testing.assert_array_equal(again.search(query, 10)[0], index.search(query, 10)[0])
        np.testing.assert_array_equal(again.search(query, 10)[1], index.search(query, 10)[1])


def test_what_came_and_went_since_the_snapshot_is_made_up_for(tmp_path: Path) -> None:
    source = Vectors(random_rows(200))
    make(tmp_path, source).snapshot()
    for label in range(1, 21):
        del source.rows[label]
    source.rows |= dict(enumerate(random_rows(30, seed=5), start=201))
    index, how = restored(tmp_path, source)
    assert how == "snapshot"
    assert len(index) == 210
    assert set(index.search(source.rows[201], 1000)[0].tolist()) == set(source.rows)
    assert index.changes_since_snapshot == 50


def test_an_empty_index_can_be_saved_and_restored(tmp_path: Path) -> None:
    make(tmp_path).snapshot()
    index, how = restored(tmp_path, Vectors(random_rows(0)))
    assert how == "snapshot"
    assert len(index) == 0


def test_of_several_snapshots_the_last_is_kept(tmp_path: Path) -> None:
    source = Vectors(random_rows(50))
    index = make(tmp_path, source)
    index.snapshot()
    index.remove([1])
    del source.rows[1]
    index.snapshot()
    assert len(list(tmp_path.glob("index-*.bin"))) == 1
    assert restored(tmp_path, source)[1] == "snapshot"


def test_nobody_else_may_read_a_snapshot(tmp_path: Path) -> None:
    make(tmp_path, Vectors(random_rows(5))).snapshot()
    (path,) = tmp_path.glob("index-*.bin")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_a_snapshot_the_index_is_rebuilt(tmp_path: Path) -> None:
    source = Vectors(random_rows(50))
    index, how = restored(tmp_path, source)
    assert how == "rebuilt: there is no snapshot"
    assert len(index) == 50


def test_a_snapshot_of_mostly_deleted_vectors_is_worn(tmp_path: Path) -> None:
    source = Vectors(random_rows(1500))
    make(tmp_path, source).snapshot()
    source.rows = {label: row for label, row in source.rows.items() if label % 3 == 0}
    index, how = restored(tmp_path, source)
    assert how == "snapshot"
    assert index.worn
    assert len(index) == 500


def replace_with_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_with_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


DAMAGE = {
    "removed": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-7]),
    "halved": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "max_elements_1": lambda path: path.write_bytes(
        path.read_bytes()[:8] + bytes([1] + [0] * 7) + path.read_bytes()[16:]
    ),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "a directory": replace_with_directory,
    "a link": replace_with_link,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_snapshot_is_never_loaded(tmp_path: Path, damage: str) -> None:
    source = Vectors(random_rows(50))
    make(tmp_path, source).snapshot()
    (path,) = tmp_path.glob("index-*.bin")
    DAMAGE[damage](path)
    index, how = restored(tmp_path, source)
    assert how.startswith("rebuilt: ")
    assert len(index) == 50
    assert index.search(source.rows[9], 1)[0].tolist() == [9]


@pytest.mark.parametrize(
    "facts",
    [
        {"dim": 128},
        {"space": "cosine"},
        {"model": "another"},
        {"format": 99},
        {"M": 16},
        {"count": 49},
        {"count": -1},
        {"count": 10**15},
        {"count": "many"},
        {"count": None},
        {"count": float("inf")},
        {"count": float("nan")},
        {"sha256": "0" * 64},
        {"sha256": None},
        {"file": "../index.bin"},
        {"file": "/etc/passwd"},
        {"file": "missing.bin"},
        {"file": "a\0b"},
        {"file": ".."},
        {"file": ""},
    ],
)
def test_a_manifest_that_does_not_fit_leads_to_a_rebuild(tmp_path: Path, facts: dict[str, Any]) -> None:
    source = Vectors(random_rows(50))
    make(tmp_path, source).snapshot()
    manifest = tmp_path / MANIFEST
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | facts))
    index, how = restored(tmp_path, source)
    assert how.startswith("rebuilt: ")
    assert len(index) == 50


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", "7", "\udcff", "[" * 100_000])
def test_a_manifest_that_is_none_leads_to_a_rebuild(tmp_path: Path, text: str) -> None:
    source = Vectors(random_rows(20))
    make(tmp_path, source).snapshot()
    (tmp_path / MANIFEST).write_text(text, encoding="utf-8", errors="surrogateescape")
    index, how = restored(tmp_path, source)
    assert how.startswith("rebuilt: ")
    assert len(index) == 20


def test_another_model_s_snapshot_is_not_taken(tmp_path: Path) -> None:
    source = Vectors(random_rows(20))
    make(tmp_path, source).snapshot()
    assert restored(tmp_path, source, model="new")[1].startswith("rebuilt: the snapshot is of another model")


def flip_bits(directory: Path, times: int, kind: str) -> None:
    """Restore from copies with one flipped bit each; run in a process of its own, which an abort would end."""
    KIND[0] = kind
    source = Vectors(random_rows(60))
    make(directory, source).snapshot()
    originals = {path: path.read_bytes() for path in directory.iterdir()}
    random = np.random.default_rng(1)
    expected = nearest(source, source.rows[9], 5)
    for turn in range(times):
        path = sorted(originals)[turn % 2]
        content = bytearray(originals[path])
        content[int(random.integers(len(content)))] ^= 1 << int(random.integers(8))
        path.write_bytes(content)
        index, how = restored(directory, source)
        # a flip in the white space of the manifest does no harm
        assert how.startswith("rebuilt") or path.name == MANIFEST, how
        assert index.search(source.rows[9], 5)[0].tolist() == expected
        path.write_bytes(originals[path])


def test_two_hundred_flipped_bits_never_end_the_process_or_change_an_answer(tmp_path: Path, kind: str) -> None:
    root = Path(__file__).parents[2]
    program = (
        "import faulthandler, sys; faulthandler.enable(); sys.path[:0] = sys.argv[1].split(',')\n"
        "import importlib.util as u, pathlib\n"
        "spec = u.spec_from_file_location('t', sys.argv[2]); t = u.module_from_spec(spec); spec.loader.exec_module(t)\n"
        "t.flip_bits(pathlib.Path(sys.argv[3]), 200, sys.argv[4]); print('alive')"
    )
    paths = ",".join(str(root / folder) for folder in ("plugin", "tests/support"))
    done = subprocess.run(
        [sys.executable, "-c", program, paths, __file__, str(tmp_path), kind],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.stdout.strip() == "alive", done.stderr[-2000:]
    assert done.returncode == 0


def save_half(graph: Graph, path: Path) -> None:
    """Write as on a full disk: hnswlib writes what fits and says nothing."""
    save(graph, path)
    written = path.read_bytes()
    path.write_bytes(written[: len(written) // 2])


save = Graph.save


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """Let no file grow beyond 3 kB while the block lasts."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limit[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)


@pytest.mark.parametrize("prepared", ["1", "2"])
def test_a_snapshot_that_does_not_fit_leaves_the_earlier_one(
    tmp_path: Path, prepared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", prepared)
    source = Vectors(random_rows(50))
    index = make(tmp_path, source)
    index.snapshot()
    index.remove([1])
    with full_disk(), pytest.raises(OSError, match=r"full|large"):
        index.snapshot()
    assert index.changes_since_snapshot > 0
    assert restored(tmp_path, source)[1] == "snapshot"


@pytest.mark.parametrize("prepared", ["1", "2"])
def test_a_full_disk_is_noticed_and_the_earlier_snapshot_kept(
    tmp_path: Path, prepared: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind != "whole":
        pytest.skip("only hnswlib says nothing")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", prepared)
    source = Vectors(random_rows(50))
    index = make(tmp_path, source)
    index.snapshot()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    index.remove([1])
    with monkeypatch.context() as full:
        full.setattr(Graph, "save", save_half)
        with pytest.raises(OSError, match="full"):
            index.snapshot()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert index.changes_since_snapshot > 0
    index.snapshot()
    assert index.changes_since_snapshot == 0
    del source.rows[1]
    assert restored(tmp_path, source)[1] == "snapshot"


def test_a_missing_directory_is_an_error_that_can_pass(tmp_path: Path) -> None:
    index = make(tmp_path / "gone", Vectors(random_rows(5)))
    with pytest.raises(OSError, match=r"gone|file"):
        index.snapshot()
    (tmp_path / "gone").mkdir()
    index.snapshot()
    assert index.changes_since_snapshot == 0


def test_at_the_end_nothing_is_prepared_that_only_spares_others_a_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = make(tmp_path, Vectors(random_rows(50)))
    prepared: list[object] = []

    def noted(graph: object) -> None:
        prepared.append(graph)

    monkeypatch.setattr(index.KIND, "prepare_to_save", noted)
    index.snapshot(at_the_end=True)
    assert not prepared
    assert index.changes_since_snapshot == 0
    index.snapshot()
    assert len(prepared) == 1


# ---- threads ----


def test_searches_go_on_while_a_rebuild_waits_for_the_index_to_be_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Vectors(random_rows(50))
    index = make(tmp_path, source)
    begun, go_on, save = threading.Event(), threading.Event(), index.KIND.saving

    def slow(graph: Any, path: Path) -> Any:
        begun.set()
        assert go_on.wait(120)
        return save(graph, path)

    monkeypatch.setattr(index.KIND, "saving", slow)
    with ThreadPoolExecutor(3) as threads:
        saved = threads.submit(index.snapshot)
        assert begun.wait(120)
        rebuilt = threads.submit(index.rebuild, source.live, source)
        time.sleep(0.2)
        try:
            labels, _ = threads.submit(index.search, source.rows[7], 3).result(60)
        finally:
            go_on.set()
        saved.result(30)
        rebuilt.result(30)
    assert labels[0] == 7
    assert len(index) == 50


def test_searches_go_on_while_vectors_come_go_and_are_saved(tmp_path: Path) -> None:
    source = Vectors(random_rows(1200))
    index = make(tmp_path)
    known = set(source.rows)
    done, trouble, asked = threading.Event(), [], threading.Event()

    def search() -> None:
        try:
            while not done.is_set():
                labels, similarities = index.search(source.rows[5], 20)
                asked.set()
                assert set(labels.tolist()) <= known
                assert np.isfinite(similarities).all()
                assert (np.diff(similarities) <= 1e-6).all()
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            trouble.append(error)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert asked.wait(60)
    for start in range(1, 1200, 60):
        labels = np.arange(start, start + 60)
        index.add(labels, np.stack([source.rows[label] for label in labels.tolist()]))
        index.remove(labels[:10].tolist())
        if start % 240 == 1:
            index.snapshot()
    survivors = {label: row for label, row in source.rows.items() if (label - 1) % 60 >= 10}
    kept = Vectors(np.empty((0, DIM), np.float32))
    kept.rows = survivors
    index.rebuild(kept.live, kept)
    done.set()
    for thread in threads:
        thread.join()
    assert not trouble
    assert len(index) == 1000
    assert recall(index, kept, random_rows(20, seed=4)) >= 0.95
