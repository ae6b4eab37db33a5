"""What the stages hand to each other: labels, series, catalogued slices. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


SYSTEM = "orthanc-cbmir"
"""What documents name as their maker."""

FACTS = (
    "Modality",
    "BodyPartExamined",
    "StudyDate",
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "SequenceName",
    "ContrastBolusAgent",
    "PatientSex",
    "PatientAge",
    "Manufacturer",
    "ManufacturerModelName",
    "MagneticFieldStrength",
)
"""DICOM keywords that are kept of a header, to filter and to show. None names the patient."""


SCANNER = ("Manufacturer", "ManufacturerModelName", "MagneticFieldStrength")
"""Those that tell one scanner from another of another kind."""

ORTHANC_LABEL = "Orthanc label"
"""Provenance of what Orthanc itself calls a label (from its version 1.12.0), which says nothing of the ground."""


def one_line(text: str, longest: int) -> str:
    """Return text without control characters, lone surrogates and double spaces, cut to a length."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * longest])
    return " ".join(printable.split())[:longest]


@dataclass(frozen=True, slots=True)
class Label:
    """What somebody said that a study, series or instance shows, and on what ground: histology, report, …."""

    label: str
    provenance: str


@dataclass(frozen=True, slots=True)
class Series:
    """A series and where it belongs. `patient` tells patients apart also where PatientID is empty.

    `plane` is axial, coronal or sagittal; None where it is unknown, oblique or not the same throughout.
    """

    orthanc_id: str
    study_orthanc_id: str
    patient_orthanc_id: str
    patient: str
    study_instance_uid: str
    series_instance_uid: str
    facts: dict[str, str]
    plane: str | None = None

    @property
    def scanner(self) -> str:
        """Maker, model and field strength of the device, as far as known; "" where nothing is."""
        return " ".join(self.facts[keyword] for keyword in SCANNER if self.facts.get(keyword))


@dataclass(frozen=True, slots=True)
class Members:
    """A series with the labels of its slices, (n,) int64, in the order in which they were indexed."""

    series: Series
    labels: NDArray[np.int64]


class Window(NamedTuple):
    """The middle and the width of the grey values that are shown, after the modality LUT (PS3.3 C.11.2.1.2)."""

    center: float
    width: float


@dataclass(frozen=True, slots=True)
class CataloguedSlice:
    """One frame of an instance, as the index knows it by its label; `window` is None for colour."""

    label: int
    orthanc_id: str
    frame: int
    number_of_frames: int
    sop_instance_uid: str
    series: Series
    window: Window | None = None

    @property
    def labelled(self) -> tuple[str, str, str]:
        """The Orthanc ids of what a label of this slice can be of: its study, its series and itself."""
        return self.series.study_orthanc_id, self.series.orthanc_id, self.orthanc_id


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of an instance, whatever became of it."""

    orthanc_id: str
    state: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Settled:
    """An instance that will never be indexed as it is: `state` is "skipped" or "failed"."""

    orthanc_id: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class Answering:
    """The model whose vectors answer, and the folder that its network was in when it began to."""

    model: str
    folder: str


@dataclass(frozen=True, slots=True)
class ChangeOfModel:
    """How far the model `to` is that is to take over: slices that it has embedded, of those that answer now.

    `refused` is the number of instances that its network could not take.
    """

    to: str
    slices: int
    of: int
    refused: int


@dataclass(frozen=True, slots=True)
class Feedback:
    """A reader's word on a hit. Says nothing of who the reader is.

    Attributes
    ----------
    verdict
        "similar" or "different"; None where an earlier word is taken back, which is never kept.

    """

    query: str
    query_frame: int
    hit: str
    hit_frame: int
    verdict: str | None
    model: str
    time: str


@dataclass(frozen=True, slots=True)
class IndexHealth:
    """What the index finds of what it should: `recall` is the share, 0..1, mean over `sample` queries."""

    recall: float
    sample: int
    time: str


@dataclass(frozen=True, slots=True)
class Quality:
    """How often similar cases of this archive share a diagnosis, on a day (YYYY-MM-DD, UTC).

    Attributes
    ----------
    slices, diagnoses
        What the archive held: indexed slices, and diagnoses of studies and series.
    patients
        Patients with a diagnosis, among the slices that were looked at.
    sample
        Slices that were searched with.
    p1, p5, p10
        Share, 0..1, of the first 1, 5 and 10 cases that have a diagnosis of the query.
    chance
        What a blind choice of cases would give.

    """

    date: str
    slices: int
    diagnoses: int
    patients: int
    sample: int
    p1: float
    p5: float
    p10: float
    chance: float


@dataclass(frozen=True, slots=True, eq=False)
class Atlas:
    """A part of the archive on a plane: slices that look alike to the model lie close together.

    Attributes
    ----------
    labels
        (n,) int64, by which the catalogue knows the slices.
    places
        (n, 2) float32 in 0..1.
    slices
        What the archive held when it was drawn, at `time` (ISO 8601, UTC).

    """

    model: str
    labels: NDArray[np.int64]
    places: NDArray[np.float32]
    slices: int
    time: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """How alike the nearest slices are in this archive: of each of some slices, the nearest of another patient.

    Attributes
    ----------
    patients
        Whose slices were looked at.
    sample
        Slices that were looked at.
    quantiles
        101 cosine similarities, ascending: so many percent of the sample have a nearest slice that is less similar.

    """

    patients: int
    sample: int
    quantiles: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Gallery:
    """What some slices of a model look like from afar, to compare a picture with.

    Attributes
    ----------
    pictures
        (n, 64) float32, sketches scaled to unit length.
    patients, studies
        Whose they are, and the Orthanc ids of their studies; n each.
    usual_from
        Similarity to the nearest picture of another patient that 99 in 100 of them reach.

    """

    model: str
    pictures: NDArray[np.float32]
    patients: NDArray[np.str_]
    studies: NDArray[np.str_]
    usual_from: float


@dataclass(frozen=True, slots=True)
class Embedded:
    """An instance after the network: what the catalogue is to keep of it.

    Attributes
    ----------
    vectors
        Frame, counted from 1 → (dim,) float32 of unit length.
    note
        Which frames were left out and why, or None.
    windows
        Frame → the window that a viewer first shows it with; none for colour.
    sketches
        Frame → (64,) greys, as `pixels.sketch`.

    """

    orthanc_id: str
    sop_instance_uid: str
    series: Series
    number_of_frames: int
    vectors: dict[int, NDArray[np.float32]]
    note: str | None = None
    windows: dict[int, Window] = field(default_factory=dict)
    sketches: dict[int, NDArray[np.uint8]] = field(default_factory=dict)
