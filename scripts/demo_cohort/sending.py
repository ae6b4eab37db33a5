"""Send files to an Orthanc, say what became of each, and set the diagnoses of their studies."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tqdm import tqdm

from sources.labelling import Import, by_resource, put
from sources.orthanc_client import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sources.label_table import Labelled
    from sources.orthanc_client import Orthanc

NOT_DICOM = "not DICOM"


def looks_like_dicom(head: bytes) -> bool:
    """Return whether a file beginning with these 132 bytes may be DICOM (PS3.10 7.1).

    Files of old software lack the preamble and begin with group 0008.
    """
    return head[128:132] == b"DICM" or head[:2] == b"\x08\x00"


def files_under(root: Path) -> list[Path]:
    """Return all files in a folder and below, in order; hidden ones are left out."""
    found = (path for path in root.rglob("*") if path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(root).parts))


def send_files(orthanc: Orthanc, files: list[Path]) -> Counter[str]:
    """Upload files with a progress bar and return how many met with which fate: "stored", "already there", or a reason.

    Raises
    ------
    OrthancError
        Orthanc cannot be reached or fails; a mere refusal of one file does not end it.

    """
    fates: Counter[str] = Counter()
    for path in tqdm(files, desc="send", unit="file"):
        fates[_fate(orthanc, path)] += 1
    return fates


def _fate(orthanc: Orthanc, path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        return f"unreadable: {error.strerror}"
    # a DICOMDIR lists files, it holds no picture
    if not looks_like_dicom(data[:132]) or path.name.upper() == "DICOMDIR":
        return NOT_DICOM
    try:
        return "already there" if orthanc.upload(data).already_there else "stored"
    except RefusedError as error:
        return f"refused: {error}"


def send_labels(orthanc: Orthanc, lines: Iterable[Labelled]) -> int:
    """Set the diagnoses of all listed studies that Orthanc holds, and return how many studies that were."""
    outcome = Import()
    studies = by_resource(lines).values()
    for some in tqdm(studies, desc="label", unit="study"):
        put(orthanc, some, outcome, replace=False, dry=False)
    return len(studies) - len(outcome.problems)


def summary(fates: Counter[str]) -> str:
    """Return one line per fate, the good ones first."""
    order = {"stored": 0, "already there": 1, NOT_DICOM: 2}
    names = sorted(fates, key=lambda fate: (order.get(fate, 3), fate))
    return "\n".join(f"{fates[name]:7d}  {name}" for name in names) or "      0  files"
