"""The model that a configuration of Orthanc names: read, and replaced without touching anything else of the file."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _library  # noqa: F401 - before cbmir
from cbmir.embedding import PRECISIONS
from deploy.service_config import settings_of, where
from promotion.candidates import MODELS, PromotionError

SECTION, KEY = "Cbmir", "Model"
DEFAULT = "figshare-gem"

_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/|[{}\[\]:,]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Configuration:
    """A file that holds the section "Cbmir", and what it says."""

    file: Path
    section: dict[str, Any]

    @property
    def model(self) -> str:
        """The model as it is named there."""
        return str(self.section.get(KEY, DEFAULT))

    @property
    def precision(self) -> str:
        """In which models are run."""
        return str(self.section.get("Precision", PRECISIONS[0]))

    @property
    def model_folder(self) -> Path:
        """The folder of that model."""
        # relative to what the plugin itself is relative to
        return Path(self.section.get("ModelDirectory", MODELS)) / self.model


def find(path: Path) -> Configuration:
    """Return the configuration in a file, or in a folder of such files.

    Raises
    ------
    PromotionError
        It cannot be read, or has no section "Cbmir".

    """
    try:
        files = [(path, settings_of(path).get(SECTION))] if path.is_file() else list(where(path, SECTION))
    except (OSError, ValueError) as error:
        raise PromotionError(f"{path} cannot be read as a configuration of Orthanc: {error}") from None
    found = [(file, section) for file, section in files if isinstance(section, dict)]
    if len(found) != 1:
        raise PromotionError(f'{path} has {len(found)} sections "{SECTION}"; needed is one')
    return Configuration(*found[0])


def name_model(configuration: Configuration, model: str) -> None:
    """Have the file name another model, whole or not at all.

    Raises
    ------
    OSError
        It cannot be written.
    PromotionError
        It is written in a way that is not understood.

    """
    file = configuration.file
    text = with_model(file.read_text(encoding="utf-8"), model)
    part = file.with_name(f".{file.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        before, after = settings_of(file), settings_of(part)
        if after != {**before, SECTION: {**before[SECTION], KEY: model}}:
            raise PromotionError(f"{file} is written in a way that is not understood")
        shutil.copystat(file, part)
        state = file.stat()
        os.chown(part, state.st_uid, state.st_gid)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def with_model(text: str, model: str) -> str:
    """Return the text of a configuration with another model; comments and all else stay as they are."""
    places = _places(text)
    value = json.dumps(model, ensure_ascii=False)
    if span := places.get((SECTION, KEY)):
        return text[: span[0]] + value + text[span[1] :]
    begin = places.get((SECTION,), (len(text), len(text)))[1]
    rest = text[begin:]
    comma = "" if _first_sign(rest) == "}" else ","
    return f'{text[:begin]}\n    "{KEY}": {value}{comma}{rest}'


def _first_sign(text: str) -> str:
    """Return what comes first that is no comment."""
    return next((match[0] for match in _TOKEN.finditer(text) if match[0][:1] != "/"), "")


def _places(text: str) -> dict[tuple[str, ...], tuple[int, int]]:
    """Return where values are that are strings, and where objects begin, by the keys that lead there."""
    found: dict[tuple[str, ...], tuple[int, int]] = {}
    keys: list[str] = []
    awaited = False  # a value, after its key
    name = ""
    for match in _TOKEN.finditer(text):
        sign = match[0][0]
        if sign == '"' and awaited:
            found[(*keys, name)] = match.span()
        elif sign == '"':
            name = json.loads(match[0])
        if sign in "{[":
            if keys or awaited:
                found[(*keys, name)] = match.span()
            keys.append(name)
        elif sign in "}]":
            keys.pop()
        if sign != "/":
            awaited = sign == ":"
    # the outermost braces have no key
    return {path[1:]: span for path, span in found.items()}
