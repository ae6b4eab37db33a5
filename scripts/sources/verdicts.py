"""What readers said of hits (scripts/feedback.py) as pairs of pictures, fetched from the archive that they are in."""

from __future__ import annotations

import csv
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from tqdm import tqdm

from sources.archive import above, instance_of, place
from sources.csv_table import TableError, listed, records
from sources.orthanc_client import RefusedError
from sources.tables import Row

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from sources.orthanc_client import Orthanc

VERDICTS = {"similar": True, "different": False}
COLUMNS = ("file", "other", "verdict", "group", "other_group")
"""Of the table of pairs: two pictures, what was said of them, and whose they are."""


class Pair(NamedTuple):
    """Two pictures that a reader called similar or different."""

    one: Row
    other: Row
    similar: bool


class _Slice(NamedTuple):
    instance: str
    frame: int


class _Found(NamedTuple):
    file: Path
    group: str


class HeldOut(NamedTuple):
    """Who is held out: groups that certainly are, those that certainly are not, and the share of all others."""

    groups: Collection[str]
    others: Collection[str]
    share: float

    def has(self, group: str) -> bool:
        """Return whether nothing may be learnt from a group."""
        return group in self.groups or (group not in self.others and place(group) < self.share)


def fetch_pairs(orthanc: Orthanc, table: Path, folder: Path, pairs: Path, held_out: HeldOut) -> None:
    """Fetch the slices that a table of verdicts names, and write the table of pairs.

    Pairs of whom one is held out are left out: nothing may be learnt from those whom a model is measured on.

    Raises
    ------
    TableError
        The table cannot be used, or no pair is left.
    OrthancError
        Orthanc does not answer any more.

    """
    folder.mkdir(parents=True, exist_ok=True)
    known: dict[_Slice, _Found | None] = {}
    rows, fates = [], Counter[str]()
    for one, other, verdict in tqdm(_said(table), desc="pairs", unit="pair", disable=None):
        for some in (one, other):
            if some not in known:
                known[some] = _fetched(orthanc, some, folder)
        first, second = known[one], known[other]
        if first is None or second is None:
            fates["a slice is no longer in the archive, or cannot be used"] += 1
        elif held_out.has(first.group) or held_out.has(second.group):
            fates["a patient is held out"] += 1
        else:
            rows.append((str(first.file), str(second.file), verdict, first.group, second.group))
    for fate, count in fates.items():
        print(f"{count} pairs left out: {fate}")
    if not rows:
        raise TableError(f"{table} names no pair of {orthanc.url} that may be learnt from")
    part = pairs.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([COLUMNS, *rows])
    part.replace(pairs)


def read_pairs(table: Path) -> list[Pair]:
    """Return the pairs of a table that `fetch_pairs` wrote. Raises TableError."""
    _, lines = records(table, COLUMNS)
    folder = table.parent.resolve()
    found = [
        Pair(
            Row(folder / values["file"], "", values["group"]),
            Row(folder / values["other"], "", values["other_group"]),
            VERDICTS[values["verdict"]],
        )
        for _, values in lines
    ]
    if missing := [row.file for pair in found for row in pair[:2] if not row.file.is_file()]:
        raise TableError(f"{table}: {len(missing)} files are not there: {listed(missing, 3)}")
    return found


def _said(table: Path) -> Sequence[tuple[_Slice, _Slice, str]]:
    """Return query, hit and verdict of each line. Raises TableError."""
    _, lines = records(table, ["query", "queryFrame", "hit", "hitFrame", "verdict"])
    found, wrong = [], []
    for line, values in lines:
        frames = [values["queryFrame"], values["hitFrame"]]
        if values["verdict"] not in VERDICTS or not all(frame.isdecimal() and int(frame) > 0 for frame in frames):
            wrong.append(line)
            continue
        query, hit = (_Slice(values[name], int(values[f"{name}Frame"])) for name in ("query", "hit"))
        found.append((query, hit, values["verdict"]))
    if wrong:
        raise TableError(
            f"{table}, line {listed(wrong)}: needed are frames from 1, and similar or different as verdict"
        )
    return found


def _fetched(orthanc: Orthanc, wanted: _Slice, folder: Path) -> _Found | None:
    """Return a slice's file and whose it is; None where it is gone or cannot be used."""
    try:
        described = orthanc.get(f"/instances/{wanted.instance}")
        patient, study = above(orthanc, described["ParentSeries"])
    except RefusedError:
        return None
    found = instance_of(orthanc, described, folder)
    # as instance_of names the files of frames
    name = next((name for name in found["files"] if name.rpartition("-")[2].startswith(f"{wanted.frame}.")), None)
    return _Found(folder / name, patient if found["names_patient"] else study) if name else None
