"""A running Orthanc as labelled pictures: its slices prepared as the plugin prepares them, and a table that lists them.

Slices are kept in a folder, without what their headers say of a patient, so that only new ones are fetched.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

import _library  # noqa: F401 - before cbmir
from cbmir.errors import CbmirError
from cbmir.instance import Limits, read
from cbmir.pixels import prepare
from cbmir.records import FACTS
from sources import slice_files
from sources.csv_table import TableError, listed
from sources.label_table import UIDS
from sources.labelling import by_resource
from sources.orthanc_client import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from sources.label_table import Labelled
    from sources.orthanc_client import Orthanc

SCANNER = tuple(keyword for keyword in FACTS if not keyword.startswith(("Patient", "Study")))
"""What is kept of a header: how the picture was made, to look for confounds; not of whom nor when."""

COLUMNS = ("file", "label", "group", "held_out", *UIDS.values(), *SCANNER)
"""Of the table: group is Orthanc's hash of the PatientID, or the study where that is empty."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is taken from an archive: series of these modalities; of all patients, this share is held out."""

    modalities: tuple[str, ...] = ("MR",)
    held_out: float = 0.0


def labelled_series(orthanc: Orthanc, lines: Iterable[Labelled], modalities: Sequence[str]) -> dict[str, str]:
    """Return the label of each series (Orthanc id → label) of these modalities; what its series says goes first.

    Lines about studies and series that are not there are named on the terminal and passed over.

    Raises
    ------
    TableError
        Two labels for one study or series, a label of an instance, or nothing of all this is in the archive.

    """
    of_series: dict[str, str] = {}
    of_studies: dict[str, str] = {}
    unknown: list[str] = []
    for (level, uid), said in tqdm(by_resource(lines).items(), desc="find", unit="UID", leave=False, disable=None):
        if level == "instances":
            raise TableError(
                f"{said[0].where} is about an instance: a network learns from labels of studies and series"
            )
        if len({one.label for one in said}) > 1:
            wheres = listed(one.where for one in said)
            raise TableError(f"{UIDS[level]} {uid} has several labels ({wheres}): a picture can be of one class only")
        found = [resource for resource in orthanc.find(uid) if resource.level == level]
        if not found:
            unknown.append(f"{UIDS[level]} {uid} ({said[0].where})")
        for resource in found:
            path = f"/series/{resource.orthanc_id}" if level == "series" else f"/studies/{resource.orthanc_id}/series"
            one_or_many = orthanc.get(path)
            for series in [one_or_many] if level == "series" else one_or_many:
                if series["MainDicomTags"].get("Modality") in modalities:
                    (of_series if level == "series" else of_studies)[series["ID"]] = said[0].label
    if unknown:
        print(f"not in {orthanc.url}: {listed(unknown)}")
    if not of_series and not of_studies:
        raise TableError(f"none of what is labelled is a series of {', '.join(modalities)} in {orthanc.url}")
    return of_studies | of_series


def fetch(orthanc: Orthanc, lines: Iterable[Labelled], folder: Path, table: Path, wanted: Wanted) -> None:
    """Fetch what is labelled into a folder and write the table of it.

    Raises
    ------
    TableError
        Nothing labelled is there, or none of it can be used.
    OrthancError
        Orthanc does not answer any more; what was fetched stays for the next time.

    """
    folder.mkdir(parents=True, exist_ok=True)
    labels = labelled_series(orthanc, lines, wanted.modalities)
    rows: list[dict[str, str]] = []
    skipped: Counter[str] = Counter()
    for series, label in tqdm(labels.items(), desc="fetch", unit="series", disable=None):
        patient, study = above(orthanc, series)
        for found in _instances(orthanc, series, folder):
            skipped.update(found["skipped"])
            group = patient if found["names_patient"] else study
            rows += [
                {**found["facts"], "file": str(folder / name), "label": label, "group": group}
                for name in found["files"]
            ]
    for reason, count in skipped.most_common():
        print(f"{count} left out: {reason}")
    if not rows:
        raise TableError(f"no slice of what is labelled in {orthanc.url} can be used")
    chosen = held_out(rows, wanted.held_out)
    part = table.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "held_out": "yes" if row["group"] in chosen else "no"} for row in rows)
    part.replace(table)


def above(orthanc: Orthanc, series: str) -> tuple[str, str]:
    """Return patient and study of a series, by their Orthanc ids."""
    study = orthanc.get(f"/series/{series}")["ParentStudy"]
    return orthanc.get(f"/studies/{study}")["ParentPatient"], study


def _instances(orthanc: Orthanc, series: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield what is kept of each instance of a series."""
    for one in orthanc.get(f"/series/{series}/instances"):
        yield instance_of(orthanc, one, folder)


def instance_of(orthanc: Orthanc, one: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return what is kept of an instance, as Orthanc describes it, fetching it if it is new or has changed."""
    # the name of the stored file changes with its bytes
    notes = folder / f"{one['FileUuid']}.json"
    if not notes.exists():
        try:
            dicom = orthanc.file(one["ID"])
        except RefusedError:
            return {"files": [], "skipped": {"deleted meanwhile": 1}, "facts": {}, "names_patient": False}
        part = notes.with_suffix(".part")
        part.write_text(json.dumps(kept(dicom, notes)), encoding="utf-8")
        part.replace(notes)
    found: dict[str, Any] = json.loads(notes.read_text(encoding="utf-8"))
    return found


def kept(dicom: bytes, notes: Path) -> dict[str, Any]:
    """Keep the slices of an instance beside its notes and return these; what the plugin would refuse is left out."""
    skipped: Counter[str] = Counter()
    try:
        instance = read(dicom, Limits(modalities=None))
    except CbmirError as error:
        return {"files": [], "skipped": {str(error): 1}, "facts": {}, "names_patient": False}
    files = []
    for number in range(1, instance.number_of_frames + 1):
        file = notes.with_name(f"{notes.stem}-{number}{slice_files.KEPT}")
        try:
            image = instance.frame(number)
            prepare(image)
        except CbmirError as error:
            skipped[str(error)] += 1
            continue
        slice_files.keep(image, file)
        files.append(file.name)
    uids = {UIDS["studies"]: instance.study_instance_uid, UIDS["series"]: instance.series_instance_uid}
    facts = {keyword: text for keyword, text in instance.facts.items() if keyword in SCANNER} | uids
    return {"files": files, "skipped": skipped, "facts": facts, "names_patient": instance.names_patient}


def held_out(rows: Sequence[dict[str, str]], share: float) -> set[str]:
    """Return the groups to measure on: about this share of all, always the same ones, whoever else is in the archive.

    Of a class that would have nobody left to learn from, nobody is held out.

    Raises
    ------
    TableError
        A share was asked for and nobody is held out.

    """
    chosen = {row["group"] for row in rows if place(row["group"]) < share}
    # in order: who is let go for one class counts for the next
    for label in sorted({row["label"] for row in rows}):
        having = {row["group"] for row in rows if row["label"] == label}
        if having <= chosen:
            chosen -= having
    if share and not chosen:
        groups = len({row["group"] for row in rows})
        raise TableError(f"a share of {share:g} holds out none of {groups} patients: choose a larger one, or 0")
    return chosen


def place(group: str) -> float:
    """Return a number in 0..1 that depends on the name alone: below the share that is held out, it is held out."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big") / 2**64
