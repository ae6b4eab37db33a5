"""Importing this first lets a script find the library: it runs from its folder and is never installed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "plugin"))

import cbmir  # noqa: F401 - keeps ONNX Runtime silent, which must be so before it is imported
