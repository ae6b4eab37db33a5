"""The folder that holds a made cohort: DICOM files, and the diagnoses of their studies in labels.csv."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from demo_cohort.errors import DemoError
from demo_cohort.files import encoded

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pydicom.dataset import Dataset

LABELS = "labels.csv"
"""One line per diagnosis of a study: StudyInstanceUID,label,provenance."""


class Made(NamedTuple):
    """A DICOM object with the name of its file and the diagnosis of its study."""

    name: str
    one: Dataset
    label: str
    provenance: str


class StudyLabel(NamedTuple):
    """A line of labels.csv."""

    study_instance_uid: str
    label: str
    provenance: str


@dataclass(slots=True)
class Folder:
    """What was written into a folder."""

    root: Path
    files: list[Path] = field(default_factory=list)

    def write(self, objects: Iterable[Made]) -> None:
        """Write all objects, then the labels of their studies in the order in which they came."""
        labels: dict[StudyLabel, None] = {}
        for made in objects:
            path = self.root / made.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(made.one))
            self.files.append(path)
            labels[StudyLabel(made.one.StudyInstanceUID, made.label, made.provenance)] = None
        if not self.files:
            raise DemoError("there is not one picture to write")
        with (self.root / LABELS).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("StudyInstanceUID", "label", "provenance"))
            writer.writerows(labels)


def read_labels(path: Path) -> list[StudyLabel]:
    """Return the lines of a labels.csv.

    Raises
    ------
    DemoError
        The file lacks a column.

    """
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.DictReader(file)
        missing = {"StudyInstanceUID", "label", "provenance"} - set(lines.fieldnames or ())
        if missing:
            raise DemoError(f"{path} lacks the column {', '.join(sorted(missing))}")
        return [StudyLabel(one["StudyInstanceUID"], one["label"], one["provenance"]) for one in lines]
