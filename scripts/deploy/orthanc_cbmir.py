"""The script that an Orthanc service runs, put by scripts/install beside the plugin and its Python packages.

It finds both by itself, so that no environment is needed and it does not matter how the service is started. A script
that a hospital has already takes the plugin in by importing this one.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
sys.path[:0] = [str(HERE / "plugin"), str(HERE / "venv" / "lib" / PYTHON / "site-packages")]

import main  # noqa: E402, F401 - only now can it be found; being imported is all it needs
