"""The section "Cbmir" of orthanc.json, checked once and frozen."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from pathlib import Path

from cbmir.errors import SettingsError

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Settings:
    """What an administrator can choose; orthanc.json explains each. Names there are the same in CamelCase."""

    enabled: bool = True
    data_directory: str = ""
    database: str = ""
    compressed_index: bool = False
    model: str = "figshare-gem"
    model_directory: str = str(HERE / "models")
    runtime: str = "onnx"
    precision: str = "int8"
    threads: int = 0
    batch_size: int = 8
    modalities: tuple[str, ...] = ("MR",)
    max_instance_megabytes: int = 512
    max_pixels_per_frame: int = 4096 * 4096
    max_frames: int = 2000
    min_similarity: float = 0.0
    query_expansion: int = 10
    verified_provenances: tuple[str, ...] = ("histology", "follow-up")
    anonymize: bool = False
    access_control: str = "auto"
    credential_headers: tuple[str, ...] = ("Authorization",)
    audit: str = "file"
    max_parallel_queries: int = 8
    snapshot_minutes: int = 10
    viewer_directory: str = str(HERE.parents[1] / "ohif-extension" / "viewer")


_RANGES: dict[str, tuple[float, float]] = {
    "threads": (0, 256),
    "batch_size": (1, 256),
    "max_instance_megabytes": (1, 4096),
    "max_pixels_per_frame": (1, 2**28),
    "max_frames": (1, 100_000),
    "min_similarity": (-1, 1),
    "query_expansion": (0, 100),
    "max_parallel_queries": (1, 64),
    "snapshot_minutes": (1, 1440),
}
_CHOICES = {
    "runtime": ("onnx", "torch"),
    "precision": ("int8", "fp32"),
    "access_control": ("auto", "on", "off"),
    "audit": ("file", "syslog", "off"),
}


def parse(section: object) -> Settings:
    """Return the settings of the section "Cbmir".

    Raises
    ------
    SettingsError
        It is no object, or has an unknown key (the message names the nearest), a wrong type or a value out of range.

    """
    if not isinstance(section, dict):
        raise SettingsError('"Cbmir" in the configuration must be an object: {"Cbmir": {}}')
    names = {_camel(field.name): field for field in fields(Settings)}
    chosen: dict[str, object] = {}
    for key, value in section.items():
        if key not in names:
            near = difflib.get_close_matches(str(key), names, n=1, cutoff=0)
            raise SettingsError(f'unknown setting "Cbmir.{key}": did you mean "{near[0]}"?')
        chosen[names[key].name] = _checked(key, names[key].name, value, names[key].default)
    return Settings(**chosen)  # type: ignore[arg-type]


def _camel(name: str) -> str:
    return "".join(map(str.capitalize, name.split("_")))


def _checked(key: str, name: str, value: object, default: object) -> object:
    """Return the value in the type of the default, or say what is wrong with it."""
    if isinstance(default, tuple):
        if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
            raise SettingsError(f'"Cbmir.{key}" must be a list of strings, such as ["MR"]')
        return tuple(value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not type(default):
        raise SettingsError(f'"Cbmir.{key}" must be a {type(default).__name__}, not a {type(value).__name__}')
    if name in _RANGES and isinstance(value, (int, float)):
        low, high = _RANGES[name]
        if not low <= value <= high:
            raise SettingsError(f'"Cbmir.{key}" must be between {low} and {high}, not {value}')
    if name in _CHOICES and value not in _CHOICES[name]:
        raise SettingsError(f'"Cbmir.{key}" must be one of {", ".join(_CHOICES[name])}')
    return value
