from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest

from cbmir.errors import SettingsError
from cbmir.settings import Settings, parse


def test_an_empty_section_gives_the_defaults() -> None:
    assert parse({}) == Settings()


def test_the_defaults_pass_their_own_checks() -> None:
    names = {"".join(map(str.capitalize, field.name.split("_"))): field.default for field in fields(Settings)}
    section = {name: list(value) if isinstance(value, tuple) else value for name, value in names.items()}
    assert parse(section) == Settings()


def test_every_kind_of_setting_can_be_chosen() -> None:
    chosen = parse({"Enabled": False, "Modalities": ["MR", "CT"], "MinSimilarity": 0.5, "BatchSize": 4, "Model": "x"})
    assert chosen == Settings(enabled=False, modalities=("MR", "CT"), min_similarity=0.5, batch_size=4, model="x")


def test_a_whole_number_will_do_for_a_fraction() -> None:
    similarity = parse({"MinSimilarity": 1}).min_similarity
    assert similarity == 1
    assert isinstance(similarity, float)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("Treshold", "Threads"), ("minSimilarity", "MinSimilarity"), ("Modality", "Modalities"), ("", "")],
)
def test_an_unknown_setting_is_refused_with_the_nearest_name(wrong: str, right: str) -> None:
    with pytest.raises(SettingsError, match=f'unknown setting "Cbmir.{wrong}": did you mean "{right}'):
        parse({wrong: 1})


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"Enabled": 1}, '"Cbmir.Enabled" must be a bool'),
        ({"Enabled": "true"}, '"Cbmir.Enabled" must be a bool'),
        ({"Threads": True}, '"Cbmir.Threads" must be a int'),
        ({"Threads": "4"}, '"Cbmir.Threads" must be a int'),
        ({"Threads": 1.5}, '"Cbmir.Threads" must be a int'),
        ({"Threads": -1}, '"Cbmir.Threads" must be between 0 and 256'),
        ({"BatchSize": 0}, '"Cbmir.BatchSize" must be between 1 and 256'),
        ({"MaxFrames": 10**9}, '"Cbmir.MaxFrames" must be between'),
        ({"MinSimilarity": 1.01}, '"Cbmir.MinSimilarity" must be between -1 and 1'),
        ({"MinSimilarity": float("nan")}, '"Cbmir.MinSimilarity" must be between -1 and 1'),
        ({"MinSimilarity": True}, '"Cbmir.MinSimilarity" must be a float'),
        ({"Runtime": "tensorflow"}, '"Cbmir.Runtime" must be one of onnx, torch'),
        ({"Model": None}, '"Cbmir.Model" must be a str'),
        ({"Modalities": "MR"}, '"Cbmir.Modalities" must be a list'),
        ({"Modalities": []}, '"Cbmir.Modalities" must be a list'),
        ({"Modalities": [1]}, '"Cbmir.Modalities" must be a list'),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(section: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse(section)


@pytest.mark.parametrize("section", [None, [], "on", 1, True])
def test_a_section_that_is_no_object_is_refused(section: object) -> None:
    with pytest.raises(SettingsError, match="must be an object"):
        parse(section)


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().threads = 3  # type: ignore[misc]


def test_the_model_directory_lies_beside_the_library() -> None:
    assert Path(Settings().model_directory) == Path(__file__).parents[2] / "plugin" / "cbmir" / "models"
