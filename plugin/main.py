"""Find similar cases inside Orthanc: what "PythonScript" runs, and the only file that imports the `orthanc` module.

A script of your own can do the same, and hand in the callbacks that it has itself: see `cbmir.plugin.register`.
"""

import sys
from pathlib import Path

import orthanc

sys.path.insert(0, str(Path(__file__).resolve().parent))

from cbmir.plugin import register  # found through the path above

register(orthanc)
