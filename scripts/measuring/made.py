"""Made slices for an archive of any size, in the order in which a PACS receives them: series by series."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from cbmir.records import Series
from cbmir.store.sqlite import SqliteCatalogue

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

DIM = 256
LENGTHS = (20, 24, 30, 40, 60, 100, 200)
"""Slices of the series, in turn."""
_ENDS = np.cumsum(LENGTHS)
SERIES_OF_A_PATIENT = 5
PROTOCOLS = 300
"""Kinds of series; how frequent they are falls as 1/rank (Zipf)."""
SUBSPACE = 32
"""Dimensions in which series of one protocol differ."""
NOISE = 0.15
PARTS = 100
"""Body parts, so that a filter by one leaves a hundredth."""
MR_BUT_ONE = 10
"""Of so many series one is not MR."""
MODEL = "made-000000000000"


def slices(number: int) -> NDArray[np.float32]:
    """Return (number, DIM) float32 unit rows: neighbours in a series alike, series of a protocol at equal heights too.

    x = base + 0.7 t u + 0.5 (t² - 1/3) v + deviation of the series + noise, with t from -1 to 1 along the series.
    """
    random = np.random.default_rng(0)
    base, first, second = random.standard_normal((3, PROTOCOLS, DIM)).astype(np.float32)
    inside = np.linalg.qr(random.standard_normal((DIM, SUBSPACE)))[0].T.astype(np.float32)
    share = 1 / np.arange(1, PROTOCOLS + 1)
    rows = np.empty((number, DIM), np.float32)
    for span in spans(number):
        kind = random.choice(PROTOCOLS, p=share / share.sum())
        along = np.linspace(-1, 1, len(span), dtype=np.float32)[: number - span.start, None]
        along += np.float32(0.05 * random.standard_normal())
        offset, drift = random.standard_normal((2, SUBSPACE)).astype(np.float32) @ inside
        curve = base[kind] + 0.7 * along * first[kind] + 0.5 * (along**2 - 1 / 3) * second[kind]
        noise = NOISE * random.standard_normal((len(along), DIM)).astype(np.float32)
        rows[span.start : span.stop] = curve + offset + 0.5 * along * drift + noise
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def spans(number: int) -> list[range]:
    """Return the places of the slices of each series in an archive of so many; the last may go beyond it."""
    found: list[range] = []
    start = 0
    while start < number:
        found.append(range(start, start + LENGTHS[len(found) % len(LENGTHS)]))
        start = found[-1].stop
    return found


def series_of(place: int) -> Series:
    """Return the series that the slice at a place belongs to."""
    turn, rest = divmod(place, int(_ENDS[-1]))
    number = turn * len(LENGTHS) + int(np.searchsorted(_ENDS, rest, side="right"))
    patient = number // SERIES_OF_A_PATIENT
    study = patient * 2 + (number % SERIES_OF_A_PATIENT) // 3
    facts = {
        "Modality": "MR" if number % MR_BUT_ONE else "CT",
        "BodyPartExamined": f"PART{patient % PARTS}",
        "SeriesDescription": f"kind {number}",
    }
    who = _name("patient", patient)
    return Series(
        _name("series", number), _name("study", study), who, who, f"1.2.{study}", f"1.2.{study}.{number}", facts
    )


def catalogue_of(folder: Path, rows: NDArray[np.float32]) -> tuple[SqliteCatalogue, NDArray[np.int64]]:
    """Return a catalogue with these slices, each of an instance of its own, and their labels.

    Written a series at a time, which is quicker than as the worker does it; what is in the file then is the same.
    """
    catalogue = SqliteCatalogue(folder / "catalogue.sqlite")
    labels = np.empty(len(rows), np.int64)
    for span in spans(len(rows)):
        series, some = series_of(span.start), span[: len(rows) - span.start]
        with catalogue._transaction() as database:  # noqa: SLF001 - see above
            row = catalogue._series_id(database, series)  # noqa: SLF001
            database.executemany(
                "INSERT INTO instance (id, orthanc_id, state, series, SOPInstanceUID, number_of_frames)"
                " VALUES (?, ?, 'indexed', ?, ?, 1)",
                [(n + 1, _name("instance", n), row, f"{series.series_instance_uid}.{n}") for n in some],
            )
            database.executemany(
                "INSERT INTO slice (instance, frame, model, vector) VALUES (?, 1, ?, ?)",
                [(n + 1, MODEL, rows[n].tobytes()) for n in some],
            )
    catalogue.answer_with(MODEL, "")
    labels[:] = catalogue.live_labels(MODEL)
    return catalogue, labels


def _name(kind: str, number: int) -> str:
    """Return an id as Orthanc's are."""
    digits = hashlib.sha256(f"{kind} {number}".encode()).hexdigest()
    return "-".join(digits[start : start + 8] for start in range(0, 40, 8))
