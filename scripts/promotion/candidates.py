"""Where models of this site lie, as candidates and after: folders, each with a note of whom it was trained on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MODELS = Path(__file__).parents[2] / "plugin" / "cbmir" / "models"
"""Where the shipped model is, and those of a site unless it says otherwise."""

CANDIDATES = "candidates"
"""Folder, below that of the models, where the plugin looks for none."""

NOTE = "site.json"
"""File of a model folder; it names patients by Orthanc's hashes, so that only its owner may read it."""


class PromotionError(Exception):
    """A model cannot be compared, promoted or taken back; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Note:
    """What a model of this site was trained on.

    Attributes
    ----------
    table
        The table of what was fetched (orthanc.csv of its run), with those held out.
    trained_on
        The groups that it learnt from: patients, by Orthanc's hash of the PatientID.

    """

    table: str
    trained_on: tuple[str, ...]


def write_note(folder: Path, table: Path, trained_on: Iterable[str]) -> None:
    """Write a model folder's note."""
    file = folder / NOTE
    file.touch(mode=0o600)
    note = Note(str(table.resolve()), tuple(sorted(set(trained_on))))
    file.write_text(json.dumps(asdict(note), indent=1) + "\n", encoding="utf-8")


def note_of(folder: Path) -> Note | None:
    """Return a model folder's note; None for a model that was not trained on site. Raises PromotionError."""
    file = folder / NOTE
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return Note(str(found["table"]), tuple(map(str, found["trained_on"])))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise PromotionError(f"{file} cannot be read ({type(error).__name__}): train the model again") from None


def candidate_folder(models: Path, name: str) -> Path:
    """Return where a new candidate is to lie.

    Raises
    ------
    PromotionError
        The name is no plain one, or a model is called so already.

    """
    if not name or Path(name).name != name or name.startswith(".") or name == CANDIDATES:
        raise PromotionError(f"{name!r} is no name for a model: letters, digits, - and _")
    if (models / name).exists():
        raise PromotionError(f"{models} has a model {name!r} already: choose another name")
    return models / CANDIDATES / name


def promoted(models: Path, name: str) -> Path:
    """Move a candidate beside the other models; return its folder."""
    models.joinpath(CANDIDATES, name).rename(models / name)
    return models / name
