"""The brain tumour dataset of J. Cheng (figshare article 1512427, CC BY 4.0), wrapped as DICOM.

The article is a zip of four zips of MATLAB 7.3 files, which are HDF5: cjdata/{label, PID, image, tumorBorder,
tumorMask}. Slices are axial, coronal and sagittal without geometry, hence Secondary Capture objects.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

import h5py
import numpy as np

from demo_cohort.errors import DemoError
from demo_cohort.files import capture, uid
from demo_cohort.folder import Made

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

ATTRIBUTION = "J. Cheng, brain tumor dataset, figshare 1512427, CC BY 4.0"
PROVENANCE = "figshare 1512427"
LABELS = {1: "meningioma", 2: "glioma", 3: "pituitary"}


class Case(NamedTuple):
    """One file of the dataset: diagnosis, patient, and the (rows, columns) picture as stored, mostly int16."""

    label: str
    patient: str
    picture: NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Member:
    """A .mat file somewhere: its number in the dataset, and how to read its bytes."""

    number: int
    read: Callable[[], bytes]


@contextmanager
def opened(source: Path, limit: int | None) -> Iterator[list[Member]]:
    """Give the .mat files in a directory, a zip or a zip of zips, by number; at most `limit`, spread evenly.

    Raises
    ------
    DemoError
        There are none, or the zip is damaged.

    """
    with ExitStack() as stack:
        try:
            found = sorted(_found(source, stack), key=lambda member: member.number)
        except (OSError, zipfile.BadZipFile) as error:
            raise DemoError(f"{source} cannot be read: {error}") from error
        if not found:
            raise DemoError(f"{source} holds no numbered .mat file of figshare article 1512427")
        count = min(limit or len(found), len(found))
        # the dataset is sorted by diagnosis: its first files would be of one kind only
        yield [found[i * len(found) // count] for i in range(count)]


def objects(chosen: list[Member]) -> Iterator[Made]:
    """Yield each file as a Secondary Capture object: one study per patient, instances numbered."""
    numbers: Counter[str] = Counter()
    for member in chosen:
        case = read(member)
        numbers[case.patient] += 1
        about = {
            "PatientID": f"FIGSHARE-{case.patient}",
            "PatientName": f"Figshare^{case.patient}",
            "PatientIdentityRemoved": "YES",
            "DeidentificationMethod": "By the authors of the dataset",
            "StudyInstanceUID": uid("figshare", case.patient),
            "SeriesInstanceUID": uid("figshare", case.patient, "series"),
            "StudyDescription": "Brain tumor dataset, figshare 1512427",
            "SeriesDescription": "T1 +C",
            "BodyPartExamined": "BRAIN",
            "SeriesNumber": 1,
            "InstanceNumber": numbers[case.patient],
            "ImageComments": f"{ATTRIBUTION}; file {member.number}.mat",
        }
        one = capture(("figshare", case.patient, member.number), case.picture, about)
        yield Made(f"FIGSHARE-{case.patient}/{member.number:04d}.dcm", one, case.label, PROVENANCE)


def read(member: Member) -> Case:
    """Return what a .mat file holds.

    Raises
    ------
    DemoError
        It is no MATLAB 7.3 file of this dataset.

    """
    try:
        with h5py.File(io.BytesIO(member.read()), "r") as file:
            label = LABELS[int(np.ravel(file["cjdata/label"])[0])]
            patient = "".join(map(chr, np.ravel(file["cjdata/PID"])))
            # MATLAB stores columns first, HDF5 rows first
            picture = np.asarray(file["cjdata/image"]).T
    except (OSError, KeyError, IndexError) as error:
        raise DemoError(f"{member.number}.mat is not a file of figshare article 1512427: {error}") from error
    if not re.fullmatch(r"[\w.-]{1,40}", patient):
        raise DemoError(f"{member.number}.mat names no usable PID")
    if picture.dtype not in (np.int16, np.uint16, np.uint8):
        whole = picture.astype(np.int16)
        if not np.array_equal(whole, picture):
            raise DemoError(f"{member.number}.mat: pixels of type {picture.dtype} do not fit 16 bits")
        picture = whole
    return Case(label, patient, np.ascontiguousarray(picture))


def _found(source: Path, stack: ExitStack) -> Iterator[Member]:
    """Yield all .mat files with a number for a name: cvind.mat and the like are no pictures."""
    if not source.is_dir():
        yield from _zipped(stack.enter_context(zipfile.ZipFile(source)), stack)
        return
    for path in sorted(source.rglob("*")):
        if path.suffix == ".mat" and path.stem.isdigit():
            yield Member(int(path.stem), path.read_bytes)
        elif path.suffix == ".zip":
            yield from _zipped(stack.enter_context(zipfile.ZipFile(path)), stack)


def _zipped(archive: zipfile.ZipFile, stack: ExitStack) -> Iterator[Member]:
    for name in archive.namelist():
        path = PurePosixPath(name)
        if path.suffix == ".mat" and path.stem.isdigit():
            yield Member(int(path.stem), partial(archive.read, name))
        elif path.suffix == ".zip":
            # not unpacked: four times 200 MB would be a lot of memory
            inner = stack.enter_context(archive.open(name))
            yield from _zipped(stack.enter_context(zipfile.ZipFile(inner)), stack)
