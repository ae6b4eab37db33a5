"""The folder that holds a made cohort: DICOM files, and the diagnoses of their studies in labels.csv."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from demo_cohort.errors import DemoError
from demo_cohort.files import encoded
from sources.label_table import Labelled, write

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pydicom.dataset import Dataset

LABELS = "labels.csv"
"""One line per diagnosis of a study; see sources.label_table."""


class Made(NamedTuple):
    """A DICOM object with the name of its file and the diagnosis of its study."""

    name: str
    one: Dataset
    label: str
    provenance: str


@dataclass(slots=True)
class Folder:
    """What was written into a folder."""

    root: Path
    files: list[Path] = field(default_factory=list)

    def write(self, objects: Iterable[Made]) -> None:
        """Write all objects, then the labels of their studies in the order in which they came."""
        labels: dict[Labelled, None] = {}
        for made in objects:
            path = self.root / made.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(made.one))
            self.files.append(path)
            labels[Labelled("studies", made.one.StudyInstanceUID, made.label, made.provenance)] = None
        if not self.files:
            raise DemoError("there is not one picture to write")
        with (self.root / LABELS).open("w", newline="", encoding="utf-8") as file:
            write(labels, file)
