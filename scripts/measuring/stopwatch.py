"""The plugin with a stopwatch: what `bench.py answer` has Orthanc run to tell where the time of an answer goes.

Run by Orthanc as its PythonScript, not by hand. Writes what it found when Orthanc stops.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[2] / "plugin"))

import orthanc
from cbmir import api, plugin, similar
from cbmir.answering.answers import Answers
from cbmir.answering.around import Around
from cbmir.archive import Archive
from cbmir.audit import Audit
from cbmir.catalogue import Catalogue
from cbmir.index import SliceIndex
from cbmir.search import Search
from cbmir.store.sqlite import SqliteCatalogue

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS: tuple[tuple[str, Any, str], ...] = (
    ("the answer", api, "similar"),
    ("the slice asked about", similar, "_embedded"),
    ("search", Search, "cases"),
    ("search: neighbours from the graph", SliceIndex, "search"),
    ("search: whose they are", SqliteCatalogue, "owners"),
    ("search: whole vectors", Search, "vectors"),
    ("search: what is known of those shown", Search, "_hits"),
    ("cases as JSON", Answers, "cases"),
    ("cases as JSON: Orthanc asked", Archive, "_post"),
    ("cases as JSON: labels", Catalogue, "labels_of_each"),
    ("labels of the nearest", Around, "statistics"),
    ("JSON as text", api, "answer"),
    ("line of the audit", Audit, "_write"),
    ("text handed to Orthanc", plugin, "_send"),
)
_milliseconds: dict[str, list[float]] = {step: [] for step, _, _ in STEPS}


def _timing(step: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def timed(*arguments: Any, **named: Any) -> Any:
        start = time.perf_counter()
        try:
            return original(*arguments, **named)
        finally:
            # not what is asked before the first answer
            if step == STEPS[0][0] or _milliseconds[STEPS[0][0]]:
                _milliseconds[step].append(1000 * (time.perf_counter() - start))

    return timed


def _write(change: int, _level: int, _orthanc_id: str) -> None:
    if change == orthanc.ChangeType.ORTHANC_STOPPED:
        Path(os.environ["CBMIR_STOPWATCH"]).write_text(json.dumps(_milliseconds), encoding="utf-8")


for _step, _owner, _name in STEPS:
    setattr(_owner, _name, _timing(_step, getattr(_owner, _name)))
plugin.register(orthanc, on_change=_write)
