"""What scripts/bench.py measures on a real Orthanc, which it starts as the tests do."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "support"))
