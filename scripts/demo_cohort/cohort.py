"""The invented patients: who they are, what they have, where and when they were scanned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from demo_cohort.fields import Waves
from demo_cohort.head import Head
from demo_cohort.lesions import Lesion, on_dura
from demo_cohort.scanner import Pose, Scanner, Session, Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from demo_cohort.fields import Vector

DEFAULT_PATIENTS = 18

NAMES = (
    ("Anna", "F"), ("Bruno", "M"), ("Clara", "F"), ("David", "M"), ("Elena", "F"), ("Felix", "M"),
    ("Greta", "F"), ("Hugo", "M"), ("Irene", "F"), ("Jonas", "M"), ("Karla", "F"), ("Leon", "M"),
    ("Maria", "F"), ("Nils", "M"), ("Olga", "F"), ("Paul", "M"), ("Rosa", "F"), ("Simon", "M"),
)  # fmt: skip
"""Given names and sexes; the family name of all is Demo."""

DIAGNOSES = (
    "meningioma", "glioma", "pituitary", "meningioma", "glioma", "pituitary", "normal", "meningioma", "glioma",
    "pituitary", "meningioma", "glioma", "pituitary", "meningioma", "glioma", "pituitary", "meningioma", "normal",
)  # fmt: skip
"""Diagnosis of each patient in turn: any dozen of them holds each kind several times."""

SITES: dict[str, tuple[Vector, ...]] = {
    # directions from the middle of the brain: convexity left frontal, right parietal, left parietal, right frontal,
    # and two that are turned to the falx
    "meningioma": ((55, -45, 35), (-60, 25, 38), (9, -28, 50), (58, 22, 42), (-58, -40, 32), (-9, 30, 52)),
    # centres in white matter: right temporo-parietal, left frontal, right frontal, left parietal, left temporal
    "glioma": ((-36, 24, 14), (28, -38, 20), (-25, -32, 34), (30, 30, 32), (42, -2, -14)),
    "pituitary": ((0, -9, -29), (1.5, -9, -28), (-1.5, -9, -29)),
}

SCANNERS = (
    Scanner("SIEMENS", "MAGNETOM Avanto", "MR01", 1.5, 256, 0.80, 0.016, 0.16, 1150),
    Scanner("GE MEDICAL SYSTEMS", "SIGNA HDxt", "MR02", 1.5, 320, 0.72, 0.022, 0.22, 2600),
    Scanner("Philips Medical Systems", "Ingenia", "MR03", 3.0, 256, 0.86, 0.012, 0.30, 1750),
    Scanner("SIEMENS", "MAGNETOM Skyra", "MR04", 3.0, 320, 0.84, 0.014, 0.26, 900),
)

WITH_T2 = (0, 4, 9)
"""Patients who also have a T2-weighted series."""

WITH_PRIOR = (0, 1)
"""Patients who were scanned before, when the tumour was smaller."""

PRIOR_DAYS = 420
"""How long before."""


@dataclass(frozen=True, slots=True)
class Patient:
    """An invented patient, born on a day given as DA."""

    number: int
    name: str
    sex: str
    born: str
    diagnosis: str


@dataclass(frozen=True, slots=True)
class Study:
    """One visit to the scanner.

    Attributes
    ----------
    patient
        Who was scanned.
    order
        0 for the present study, 1 for the prior.
    date, time
        As DA and TM.
    age
        Age in years on that day.
    scanner, stack
        Machine and geometry.
    series
        For each sequence the pictures, feet first: (matrix, matrix) uint16 of 12 bits.

    """

    patient: Patient
    order: int
    date: str
    time: str
    age: int
    scanner: Scanner
    stack: Stack
    series: dict[str, list[NDArray[np.uint16]]]


def patients(count: int, seed: int) -> list[Patient]:
    """Return the first `count` patients of the cohort with this seed."""
    found = []
    for number in range(count):
        name, sex = NAMES[number % len(NAMES)]
        rounds = number // len(NAMES)
        rng = np.random.default_rng((seed, number))
        born = str(np.datetime64("1948-01-01") + int(rng.integers(0, 42 * 365))).replace("-", "")
        diagnosis = DIAGNOSES[number % len(DIAGNOSES)]
        found.append(Patient(number, f"Demo^{name}{rounds + 1 if rounds else ''}", sex, born, diagnosis))
    return found


def studies(patient: Patient, seed: int) -> Iterator[Study]:
    """Yield the studies of a patient, the present one first."""
    yield _study(patient, seed, 0)
    if patient.number in WITH_PRIOR:
        yield _study(patient, seed, 1)


def _study(patient: Patient, seed: int, order: int) -> Study:
    """Scan a patient; in the prior (`order` 1) the tumour is smaller and lies in another scanner."""
    anatomy = np.random.default_rng((seed, patient.number, 1))
    lesion = _lesion(patient, anatomy, 0.78 if order else 1.0)
    visit = np.random.default_rng((seed, patient.number, 2, order))
    scanner = SCANNERS[(patient.number + order) % len(SCANNERS)]
    pose = Pose(
        tuple((visit.normal(size=3) * (0.05, 0.03, 0.06)).tolist()),
        tuple((visit.normal(size=3) * 2 + (0, 5, 0)).tolist()),
    )
    stack = _stack(patient, lesion, pose, visit)
    first = int(np.random.default_rng((seed, patient.number, 3)).integers(0, 700))
    date = str(np.datetime64("2023-01-09") + first - PRIOR_DAYS * order).replace("-", "")
    age = (int(date) - int(patient.born)) // 10000
    # brains of one patient differ by the tumour alone
    head = Head.of(anatomy, 2024 - int(patient.born[:4]), lesion)
    sequences = ("T1C", "T2") if patient.number in WITH_T2 and not order else ("T1C",)
    time = f"{int(visit.integers(8, 18)):02d}{int(visit.integers(0, 60)):02d}00"
    series = Session(scanner, pose, stack).slices(head, sequences, visit)
    return Study(patient, order, date, time, age, scanner, stack, series)


def _stack(patient: Patient, lesion: Lesion | None, pose: Pose, visit: np.random.Generator) -> Stack:
    """Return slices through the lesion, as close as its size asks for."""
    centre = lesion.middle() if lesion else (0.0, 0.0, 12.0)
    thickness, gap = float(visit.choice([4.0, 5.0])), float(visit.choice([0.5, 1.0]))
    if patient.diagnosis == "pituitary":
        thickness, gap = 3.0, 0.6
    height = 2.4 * lesion.radius if lesion else 50
    count = max(7, min(9, round(height / (thickness + gap))))
    tilt = float(visit.choice([0.0, 0.09, -0.07]))
    fov = float(visit.choice([225.0, 235.0, 245.0]))
    return Stack(pose.to_patient(centre), tilt, count, fov, thickness, thickness + gap)


def _lesion(patient: Patient, rng: np.random.Generator, growth: float) -> Lesion | None:
    """Return the tumour of a patient, or None."""
    kind = patient.diagnosis
    if kind not in SITES:
        return None
    same = [n for n in range(len(DIAGNOSES)) if DIAGNOSES[n] == kind]
    turn = patient.number // len(DIAGNOSES) * len(same) + same.index(patient.number % len(DIAGNOSES))
    site = SITES[kind][turn % len(SITES[kind])]
    jitter = rng.normal(size=3)
    swelling, cystic = float(rng.uniform(0.0, 0.7)), float(rng.choice([0.0, 0.0, 0.8]))
    coarse, fine = Waves(rng, 24, 10), Waves(rng, 11, 10)
    on_falx = kind == "meningioma" and abs(site[0]) < 20
    if kind == "pituitary":
        radius = float(rng.uniform(9, 12)) * growth
        return Lesion(kind, site, radius, on_falx, 0, cystic, coarse, fine)
    if kind == "glioma":
        radius = float(rng.uniform(17, 23)) * growth
        centre = tuple((np.array(site) + 2 * jitter).tolist())
        return Lesion(kind, centre, radius, on_falx, 0.5 + swelling, 0, coarse, fine)
    radius = float(rng.uniform(16, 22)) * growth
    direction = tuple((np.array(site) + (0 if on_falx else 3) * jitter).tolist())
    if on_falx:
        return Lesion(
            kind, (0.45 * radius * float(np.sign(site[0])), *direction[1:]), radius, on_falx, swelling, 0, coarse, fine
        )
    return Lesion(kind, on_dura(direction, 0.5 * radius), radius, on_falx, swelling, 0, coarse, fine)
