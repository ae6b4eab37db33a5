from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from dicom_files import mr_file, mr_slice, picture
from orthanc_double import OrthancDouble
from orthanc_process import wait_for
from parts import DIM, tiny_embedder, tiny_session

from cbmir.archive import Archive
from cbmir.ingest.pipeline import Gone, Outcome, Pipeline, Postponed
from cbmir.ingest.reader import Reader
from cbmir.instance import Instance
from cbmir.records import Embedded, Settled
from cbmir.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cbmir.embedding import Session
    from cbmir.records import Series


@pytest.fixture
def orthanc() -> OrthancDouble:
    return OrthancDouble()


class Recorder:
    """A network that remembers how many squares it got at a time, and fails where the test says."""

    def __init__(self, *, poison: int | None = None, error: type[BaseException] = MemoryError) -> None:
        self.batches: list[int] = []
        self.poison, self.error = poison, error
        self.seen = 0

    def __call__(self, outputs: Sequence[str], /, *, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        self.batches.append(len(image))
        # a poisoned square is known by its white upper left corner
        if (image[:, 0, 0, 0] > 0.99).any():
            raise self.error
        return tiny_session(outputs, image=image)


def outcomes(
    orthanc: OrthancDouble, stored: list[str], session: Session = tiny_session, **settings: Any
) -> dict[str, Outcome]:
    found: dict[str, Outcome] = {}
    reader = Reader(Archive(orthanc), Settings(**settings))
    for outcome in Pipeline(reader, tiny_embedder(session), settings.get("batch_size", 4)).outcomes(stored):
        if outcome is not None:
            assert outcome.orthanc_id not in found
            found[outcome.orthanc_id] = outcome
    return found


def poisoned(number: int) -> Any:
    pixels = picture(number)
    pixels[:10, :10] = 4095
    return mr_slice(number=number, pixels=pixels)


def plain(number: int, **tags: Any) -> Any:
    pixels = picture(number)
    pixels[:10, :10] = 0
    return mr_slice(number=number, pixels=pixels, **tags)


def test_every_instance_comes_back_embedded(orthanc: OrthancDouble) -> None:
    stored = [orthanc.store(plain(number)) for number in range(10)]
    found = outcomes(orthanc, stored)
    assert set(found) == set(stored)
    for outcome in found.values():
        assert isinstance(outcome, Embedded)
        assert outcome.note is None
        assert outcome.number_of_frames == 1
        assert outcome.vectors[1].shape == (DIM,)
        assert outcome.series.study_orthanc_id == orthanc.above(outcome.orthanc_id)[1]


def test_slices_of_several_instances_share_a_batch(orthanc: OrthancDouble) -> None:
    network = Recorder()
    outcomes(orthanc, [orthanc.store(plain(number)) for number in range(10)], network)
    assert network.batches == [4, 4, 2]


def test_the_vector_does_not_depend_on_the_batch(orthanc: OrthancDouble) -> None:
    stored = [orthanc.store(plain(number)) for number in range(5)]
    together, alone = outcomes(orthanc, stored, batch_size=5), outcomes(orthanc, stored, batch_size=1)
    for name in stored:
        one, other = together[name], alone[name]
        assert isinstance(one, Embedded)
        assert isinstance(other, Embedded)
        np.testing.assert_allclose(one.vectors[1], other.vectors[1], atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 4, 7, 64])
def test_frames_go_to_their_own_instance_however_the_batches_fall(orthanc: OrthancDouble, batch_size: int) -> None:
    counts = [1, 5, 2, 9, 1]
    frames = [np.stack([picture(10 * number + frame) for frame in range(count)]) for number, count in enumerate(counts)]
    stored = [orthanc.store(mr_slice(number=number, pixels=some)) for number, some in enumerate(frames)]
    found = outcomes(orthanc, stored, batch_size=batch_size)
    single = OrthancDouble()
    for number, name in enumerate(stored):
        outcome = found[name]
        assert isinstance(outcome, Embedded)
        assert list(outcome.vectors) == list(range(1, counts[number] + 1))
        last = single.store(mr_slice(number=number, pixels=frames[number][-1]))
        expected = outcomes(single, [last])[last]
        assert isinstance(expected, Embedded)
        np.testing.assert_allclose(outcome.vectors[counts[number]], expected.vectors[1], atol=1e-5)


class Frugal(Reader):
    """A reader that counts how many files of others are in memory when it reads the last one."""

    last = ""
    held = 0

    def open(self, orthanc_id: str) -> tuple[Instance, Series]:
        if orthanc_id == self.last:
            gc.collect()
            # some objects of other packages do not bear to be asked by isinstance
            self.held = sum(type(one) is Instance for one in gc.get_objects())
        return super().open(orthanc_id)


@pytest.mark.parametrize("in_turn", [True, False])
@pytest.mark.parametrize("empty", [True, False])
def test_a_file_is_let_go_of_once_its_frames_are_read(orthanc: OrthancDouble, *, empty: bool, in_turn: bool) -> None:
    # a file may have half a gigabyte, and the black ones of a batch were all kept until its end
    every = [np.zeros((64, 64), np.uint16) if empty else picture(number) for number in range(16)]
    stored = [orthanc.store(mr_slice(number=number, pixels=pixels)) for number, pixels in enumerate(every)]
    reader = Frugal(Archive(orthanc), Settings())
    reader.last = stored[-1]
    found = [one for one in Pipeline(reader, tiny_embedder(), 4).outcomes(stored, in_turn=in_turn) if one is not None]
    assert {type(one) for one in found} == {Settled if empty else Embedded}
    assert reader.held <= 1


def test_an_instance_of_many_frames_gives_signs_of_life(orthanc: OrthancDouble) -> None:
    stored = orthanc.store(mr_slice(pixels=np.stack([picture(frame) for frame in range(20)])))
    reader = Reader(Archive(orthanc), Settings())
    given = list(Pipeline(reader, tiny_embedder(), 4).outcomes([stored]))
    assert given[:-1] == [None] * 5
    assert isinstance(given[-1], Embedded)


@pytest.mark.parametrize("error", [MemoryError, RuntimeError, ValueError])
def test_one_poisoned_slice_among_a_hundred_fails_alone(orthanc: OrthancDouble, error: type[Exception]) -> None:
    stored = [orthanc.store(poisoned(number) if number == 50 else plain(number)) for number in range(100)]
    found = outcomes(orthanc, stored, Recorder(error=error), batch_size=8)
    failed = found.pop(stored[50])
    assert isinstance(failed, Settled)
    assert failed.state == "failed"
    assert error.__name__ in failed.reason
    assert len(found) == 99
    assert all(isinstance(outcome, Embedded) for outcome in found.values())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, 2.0])
def test_a_vector_that_is_not_of_unit_length_is_never_kept(orthanc: OrthancDouble, value: float) -> None:
    def network(_outputs: Sequence[str], /, *, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        vectors = np.zeros((len(image), DIM), np.float32)
        vectors[:, 0] = value
        return [vectors]

    stored = orthanc.store(plain(1))
    assert outcomes(orthanc, [stored], network) == {
        stored: Settled(stored, "failed", "the network refused it (ModelError)")
    }


def test_what_cannot_be_read_is_told_apart(orthanc: OrthancDouble) -> None:
    good = orthanc.store(plain(1))
    other = orthanc.store(plain(2, Modality="CT"))
    empty = orthanc.store(mr_slice(number=3, pixels=np.zeros((8, 8), np.uint16)))
    damaged = orthanc.store(mr_file(number=4)[:-100])
    gone = orthanc.store(plain(5))
    busy = orthanc.store(plain(6))
    orthanc.delete(gone)
    orthanc.failing = {busy: 1}
    found = outcomes(orthanc, [good, other, empty, damaged, gone, busy])
    assert isinstance(found[good], Embedded)
    assert found[other] == Settled(other, "skipped", "modality CT is not indexed (setting Modalities)")
    assert found[empty] == Settled(empty, "skipped", "the slice is empty: it holds one grey only")
    assert isinstance(found[damaged], Settled)
    assert found[damaged].state == "failed"
    assert found[gone] == Gone(gone)
    assert isinstance(found[busy], Postponed)


def test_an_error_that_nobody_thought_of_postpones_the_instance_and_spares_the_others(orthanc: OrthancDouble) -> None:
    stored = [orthanc.store(plain(number)) for number in range(3)]
    orthanc.files[stored[1]] = None  # type: ignore[assignment]
    found = outcomes(orthanc, stored)
    assert isinstance(found[stored[1]], Postponed)
    assert "TypeError" in found[stored[1]].reason
    assert sum(isinstance(outcome, Embedded) for outcome in found.values()) == 2


def test_frames_without_content_are_left_out_with_a_note(orthanc: OrthancDouble) -> None:
    frames = np.stack([picture(1), np.zeros((64, 64), np.uint16), picture(2)])
    stored = orthanc.store(mr_slice(pixels=frames))
    outcome = outcomes(orthanc, [stored])[stored]
    assert isinstance(outcome, Embedded)
    assert list(outcome.vectors) == [1, 3]
    assert outcome.note == "1 frames left out: the slice is empty: it holds one grey only"


def test_an_instance_of_empty_frames_only_is_skipped(orthanc: OrthancDouble) -> None:
    stored = orthanc.store(mr_slice(pixels=np.zeros((9, 8, 8), np.uint16)))
    outcome = outcomes(orthanc, [stored])[stored]
    assert isinstance(outcome, Settled)
    assert outcome.state == "skipped"


def test_the_next_batches_are_read_and_embedded_while_one_is_recorded_and_no_more(orthanc: OrthancDouble) -> None:
    stored = [orthanc.store(plain(number)) for number in range(24)]
    read: list[str] = []
    network = Recorder()

    def ids() -> Iterator[str]:
        for orthanc_id in stored:
            read.append(orthanc_id)
            yield orthanc_id

    pipeline = Pipeline(Reader(Archive(orthanc), Settings()), tiny_embedder(network), 4)
    done = 0
    for outcome in pipeline.outcomes(ids()):
        done += outcome is not None
        embedded_, read_ = min(6, done // 4 + 2), min(24, 4 * (done // 4 + 3))
        wait_for(lambda: len(network.batches) >= embedded_, "the network has the next")  # noqa: B023 - called at once
        wait_for(lambda: len(read) >= read_, "the one after is read")  # noqa: B023
        assert len(network.batches) <= embedded_
        assert len(read) <= read_
    assert done == 24


def test_in_turn_nothing_is_read_ahead(orthanc: OrthancDouble) -> None:
    stored = [orthanc.store(plain(number)) for number in range(10)]
    network = Recorder()
    given = Pipeline(Reader(Archive(orthanc), Settings()), tiny_embedder(network), 4).outcomes(stored, in_turn=True)
    done, batches = 0, 0
    for outcome in given:
        done, batches = done + (outcome is not None), batches + (outcome is None)
        assert len(network.batches) == batches
        assert sum(call.startswith("file of") for call in orthanc.calls) == min(10, 4 * batches)
    assert done == 10


def test_who_closes_early_reads_no_further_and_leaves_no_thread(orthanc: OrthancDouble) -> None:
    stored = [
        orthanc.store(mr_slice(number=number, pixels=np.stack([picture(n) for n in range(9)]))) for number in range(3)
    ]
    before = threading.active_count()
    outcomes_ = Pipeline(Reader(Archive(orthanc), Settings()), tiny_embedder(), 2).outcomes(stored)
    assert next(outcomes_) is None
    outcomes_.close()
    assert threading.active_count() == before


def test_ids_that_cannot_be_had_interrupt_the_work_and_leave_no_thread(orthanc: OrthancDouble) -> None:
    def ids() -> Iterator[str]:
        yield orthanc.store(plain(1))
        raise OSError("the catalogue is locked")

    before = threading.active_count()
    with pytest.raises(OSError, match="locked"):
        list(Pipeline(Reader(Archive(orthanc), Settings()), tiny_embedder(), 4).outcomes(ids()))
    assert threading.active_count() == before
