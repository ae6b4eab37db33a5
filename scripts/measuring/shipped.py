"""The folder of the model that ships."""

from __future__ import annotations

import _library  # noqa: F401 - before cbmir
from cbmir.settings import HERE, Settings

MODEL = HERE / "models" / Settings().model
