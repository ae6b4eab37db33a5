"""Writes the tables of docs/performance.md between its two marks, from the JSON beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

BEGIN, END = "<!-- tables: written by scripts/bench.py -->", "<!-- end of tables -->"


def write(folder: Path, page: Path) -> None:
    """Put the tables of all measurements that there are into the page."""
    lines: list[str] = []
    for name in _TABLES:
        file = folder / f"{name}.json"
        if not file.exists():
            continue
        try:
            lines += section(name, json.loads(file.read_text(encoding="utf-8")))
        except (KeyError, TypeError):
            lines += [f"### {name}", "", "Measured by an earlier version of the scripts: to be measured again.", ""]
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text("\n".join([before + BEGIN, "", *lines, END]) + after, encoding="utf-8")


def section(name: str, found: dict[str, Any]) -> list[str]:
    """Return the lines of a measurement: its name, where it was made, its table."""
    here = found["circumstances"]
    where = f"{here['date'][:10]}, {here['processor']}, {here['cores']} cores, load {here['load'][0]} before"
    if "loadAfter" in found:
        after = found["loadAfter"]
        where += f" and {after[0] if isinstance(after, list) else after} after"
    if "tookSeconds" in found:
        where += f", {found['tookSeconds']} s in all"
    table = _TABLES.get(name)
    return [f"### {name}", "", f"{where}.", "", *(table(found) if table else [json.dumps(found, indent=1)]), ""]


def _table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> list[str]:
    head = list(head)
    lines = [head, ["---"] * len(head), *([str(cell) for cell in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def _embed(found: dict[str, Any]) -> list[str]:
    rows = [
        (
            name,
            *(f"{one[size]['milliseconds']} ({one[size]['againstEager']} x)" for size in ("batch1", "batch8")),
            f"{one['batch8']['processorMilliseconds']} ({one['batch8']['processorAgainstEager']} x)",
            _told(one["batch8"]["ofPeak"]),
            one["likeness"],
            _told(one["mAP"]),
        )
        for name, one in found["runtimes"].items()
    ]
    head = (
        "runtime",
        "ms a slice, batch 1",
        "batch 8",
        "its ms of processor",
        "of the FMA peak",
        "least cosine to fp32",
        "mAP",
    )
    peaks = f"FMA in registers {_told(found['fmaGigaflops'])} GFLOP/s, a product of large matrices"
    notes = [
        f"{found['gigaflopsASlice']} GFLOP a slice; {peaks} {found['gemmGigaflops']}.",
        f"To decode and prepare a slice takes {found['prepareMilliseconds']['all']} ms: {_parts(found)}.",
        f"A process that embeds holds {found['residentMegabytes']} MB at most.",
    ]
    if found["labelledPictures"]:
        notes.append(
            f"mAP: {found['labelledPictures']:,} pictures of brain15 find others, not those of their own case."
        )
    profiled = [
        (name, kind, f"{100 * one['share']:.1f} %", _told(one["gigaflopsASecond"]))
        for name, kinds in found["profile"].items()
        for kind, one in list(kinds.items())[:6]
    ]
    where = _table(("in batches of 8", "operation", "of the time", "GFLOP/s"), profiled)
    return [*_table(head, rows), "", *notes, "", *where]


def _parts(found: dict[str, Any]) -> str:
    return ", ".join(f"{step} {took}" for step, took in found["prepareMilliseconds"].items() if step != "all")


def _told(value: float | None) -> str:
    return "-" if value is None else str(value)


def _ingest(found: dict[str, Any]) -> list[str]:
    columns = {
        "storedPerSecond": "stored a second",
        "searchablePerSecond": "searchable",
        "searchableOverStored": "of those stored",
        "storedAtOncePerSecond": "stored at once",
        "afterwardsPerSecond": "searchable after that",
        "embeddedPerSecond": "embedded alone",
        "afterwardsOverEmbedded": "searchable over that",
    }
    rows = [(threads, *(one[key] for key in columns)) for threads, one in found["threads"].items()]
    note = f"{found['images']:,} images over {found['associations']} associations."
    return [note, "", *_table(("threads", *columns.values()), rows)]


def _cstore(found: dict[str, Any]) -> list[str]:
    rows = [(key, value["without"], value["with"]) for key, value in found["medians"].items()]
    table = _table(("median", "without the plugin", "with it"), rows)
    return [*table, "", f"Rate with over without: {found['rateWithOverWithout']}."]


def _latency(found: dict[str, Any]) -> list[str]:
    rows = [
        (state, *(f"{one[word]['p50']} / {one[word]['p99']}" for word in ("without", "with")), one["withOverWithout"])
        for state, one in found["states"].items()
    ]
    return _table(("the worker is", "without the plugin, ms p50 / p99", "with it", "with over without, p50"), rows)


def _backfill(found: dict[str, Any]) -> list[str]:
    keys = ("slices", "perSecond", "megabytesWarm", "megabytesAtTheEnd", "bytesGrownPerSlice")
    return _table(keys, [[found[key] for key in keys]])


def _steps(steps: dict[str, Any]) -> list[str]:
    keys = ("seconds", "processorSeconds", "longestStallMilliseconds", "megabytes")
    return _table(("step", *keys), [(name, *(step[key] for key in keys)) for name, step in steps.items()])


def _index(found: dict[str, Any]) -> list[str]:
    asked = {name: step for name, step in found["steps"].items() if "recallAt10" in step}
    head = ("index", "recall@10", "of stored", "of unseen", "ms p50", "p99", "exact p50")
    rows = [
        (
            *(name, step["recallAt10"], step["recallAt10OfStored"], step["recallAt10OfUnseen"]),
            *(step["milliseconds"]["p50"], step["milliseconds"]["p99"], step["exactMilliseconds"]["p50"]),
        )
        for name, step in asked.items()
    ]
    steps, arriving = found["steps"], found["arriving"]
    each = round(1000 * steps["more arrive"]["processorSeconds"] / arriving, 2)
    note = (
        f"{found['slices']:,} slices; read back they take {steps['read']['bytesPerSlice']} bytes each. Then"
        f" {arriving:,} more arrive in series, {steps['more arrive']['addedMilliseconds']} ms each,"
        f" {each} ms of processor."
    )
    return [*_steps(found["steps"]), "", *_table(head, rows), "", note]


def _filters(filters: dict[str, Any]) -> list[str]:
    rows = [
        (name, *one["milliseconds"].values(), *one["processorMilliseconds"].values(), one["fewestCases"])
        for name, one in filters.items()
    ]
    return _table(("filter", "ms p50", "p99", "ms of processor p50", "p99", "fewest cases"), rows)


def _answer(found: dict[str, Any]) -> list[str]:
    rows = [
        (name, *(one[key] for key in ("p50", "p99")), "" if one["fewestCases"] is None else one["fewestCases"])
        for name, one in found["requests"].items()
    ]
    table = _table(("request, over one connection", "ms p50", "p99", "fewest cases"), rows)
    lines = [f"{found['slices']:,} slices, {found['queries']} requests of each kind.", "", *table]
    if saved := found.get("whileItSaves"):
        longest = saved["longestMilliseconds"]
        told = (
            f"The longest of {saved['requests']} requests while the index was saved took {longest['whileItSaves']} ms"
        )
        lines += ["", f"{told}, of as many just before {longest['before']} ms."]
    if indexing := found.get("whileItIndexes"):
        told = f"{indexing['requests']} requests by modality while images were embedded took {indexing['p50']} ms"
        lines += ["", f"{told} (p50) and {indexing['p99']} (p99)."]
    if steps := found.get("steps"):
        rows = [(step, one["perAnswer"], one["p50"], one["p99"]) for step, one in steps.items()]
        lines += ["", *_table(("step of an answer, filter: modality", "times", "ms p50", "p99"), rows)]
    return lines


def _scale(found: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for one in found["sizes"]:
        lines += [f"**{one['slices']:,} slices**", "", *_steps(one["steps"]), "", *_filters(one["filters"]), ""]
    rows = [(name, one["exponent"], f"{one['atFar']:,}") for name, one in found["growth"].items()]
    return [*lines, *_table(("cost", "exponent", "carried on to 100 million slices"), rows)]


_TABLES: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "embed": _embed,
    "ingest": _ingest,
    "cstore": _cstore,
    "burst": _cstore,
    "latency": _latency,
    "backfill": _backfill,
    "index": _index,
    "compressed": _index,
    "query": lambda found: _filters(found["filters"]),
    "answer": _answer,
    "startup": lambda found: _steps(found["steps"]),
    "scale": _scale,
}
