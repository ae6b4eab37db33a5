"""What it takes to decode and prepare a slice, in a process set up as the plugin's: numpy has one thread there."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from measuring.machine import REPOSITORY
from measuring.shipped import MODEL

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = 32
SIDE = 256
ROUNDS = 10


def preparing() -> dict[str, float]:
    """Return the median milliseconds a slice, of 256 x 256 pixels and not compressed, by step and in all."""
    folders = ("plugin", "scripts", "tests/support")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(REPOSITORY / folder) for folder in folders),
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = [sys.executable, "-c", "from measuring.preparing import tell; tell()"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def tell() -> None:
    """Print what `preparing` returns."""
    # here, not above: numpy reads how many threads it may have when it is imported
    from dicom_files import mr_file, picture  # noqa: PLC0415

    from cbmir.instance import Limits, read  # noqa: PLC0415
    from cbmir.pixels import prepare, shown_window, sketch  # noqa: PLC0415

    size = json.loads((MODEL / "card.json").read_text(encoding="utf-8"))["size"]
    files = [mr_file("A", 1, 1, number, pixels=picture(number, kind=number % 3, size=SIDE)) for number in range(FILES)]
    instances = [read(file, Limits()) for file in files]
    slices = [instance.frame(1) for instance in instances]
    squares = [prepare(image, size) for image in slices]
    steps = {
        "header": _median(lambda place: read(files[place], Limits())),
        "pixels": _median(lambda place: instances[place].frame(1)),
        "window and resize": _median(lambda place: prepare(slices[place], size)),
        "sketch and shown window": _median(lambda place: (sketch(squares[place]), shown_window(slices[place]))),
    }
    print(json.dumps({**steps, "all": round(sum(steps.values()), 3)}))


def _median(work: Callable[[int], object]) -> float:
    seconds = []
    for _ in range(ROUNDS):
        for place in range(FILES):
            start = time.perf_counter()
            work(place)
            seconds.append(time.perf_counter() - start)
    return round(1000 * statistics.median(seconds), 3)
