"""Pictures listed in a table (CSV with the columns file and label), wrapped as DICOM with their exact pixels."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from demo_cohort.errors import DemoError
from demo_cohort.files import capture, uid
from demo_cohort.folder import Made
from sources.csv_table import records

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray


class Row(NamedTuple):
    """A line of the table: picture, diagnosis, and the patient it is filed under."""

    path: Path
    file: str
    label: str
    patient: str


def rows(table: Path, group: str | None, limit: int | None) -> list[Row]:
    """Return the lines of a table; `group` is the column that names the patient, None makes each picture a patient.

    Raises
    ------
    TableError
        The table cannot be read or lacks a column.

    """
    _, lines = records(table, ["file", "label", *([group] if group else [])])
    found = [
        Row(table.parent / values["file"], values["file"], values["label"], _id(values[group or "file"]))
        for _, values in lines
    ]
    count = min(limit or len(found), len(found))
    # tables are often sorted by diagnosis: its first lines would be of one kind only
    return [found[i * len(found) // count] for i in range(count)]


def objects(lines: list[Row], source: str, group: str | None) -> Iterator[Made]:
    """Yield each picture as a Secondary Capture object: one study per patient and diagnosis, instances numbered.

    Diagnoses belong to studies, so that a group of many diagnoses becomes one patient with several studies.
    """
    numbers: Counter[tuple[str, str]] = Counter()
    for row in lines:
        study = (row.patient, row.label)
        numbers[study] += 1
        names = ("table", source, group, *study)
        about = {
            "PatientID": row.patient,
            "PatientName": row.patient,
            "StudyInstanceUID": uid(*names),
            "SeriesInstanceUID": uid(*names, "series"),
            "StudyDescription": source[:64],
            "SeriesNumber": 1,
            "InstanceNumber": numbers[study],
            "ImageComments": f"{source}; file {row.file}",
        }
        one = capture((*names, row.file), picture(row.path), about)
        name = f"{row.patient}/{_id(row.label)}/{numbers[study]:05d}.dcm"
        yield Made(name, one, row.label, source[:64])


def picture(path: Path) -> NDArray[np.generic]:
    """Return the pixels of a picture as stored: (rows, columns) uint8 or uint16, or (rows, columns, 3) uint8.

    Raises
    ------
    DemoError
        It cannot be read, or has a palette, transparency or floating point.

    """
    try:
        with Image.open(path) as image:
            if image.mode not in ("L", "I;16", "RGB"):
                raise DemoError(f"{path}: pictures of mode {image.mode} cannot be wrapped without loss")
            return np.asarray(image)
    except (OSError, UnidentifiedImageError) as error:
        raise DemoError(f"{path} cannot be read: {error}") from error


def _id(text: str) -> str:
    """Return a text as it can stand in a PatientID (LO, 64 characters) and in the name of a folder."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.")[-64:] or "unnamed"
