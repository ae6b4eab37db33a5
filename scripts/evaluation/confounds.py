"""Whether likeness of scanners, sequences or sites is found instead of likeness of what they show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import _library  # noqa: F401 - before cbmir
from cbmir.records import FACTS
from evaluation.ranked import excluded, portions
from sources.slice_files import facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from evaluation.ranked import Evaluation
    from sources.tables import Row

USUAL = (
    "Manufacturer", "ManufacturerModelName", "MagneticFieldStrength", "SeriesDescription", "ProtocolName",
    "SequenceName", "manufacturer", "scanner", "sequence", "modality", "series", "site",
)  # fmt: skip
"""Columns that are looked at where tables have them: DICOM keywords, and what people call them."""


def columns(found: Evaluation, wanted: Sequence[str]) -> list[str]:
    """Return the columns to look at: those asked for, or the usual ones that differ within the gallery."""
    if wanted:
        return list(wanted)
    return [name for name in USUAL if len({value(row, name) for row in found.gallery.rows} - {""}) > 1]


def value(row: Row, column: str) -> str:
    """Return what a table says of a picture, or else its DICOM header; "" where nothing."""
    return row.columns.get(column) or (facts(row.file).get(column, "") if column in FACTS else "")


def confound(found: Evaluation, column: str) -> dict[str, float | int | None]:
    """Return how often the first ten hits share the query's value of a column, and how often a random order would.

    Keys: share, chance; and within_class, chance_within_class, which look only at hits of the query's own class: where
    a scanner saw more of one disease, finding the disease finds the scanner too, and that is no fault. Pictures
    without a value are left out; None where nothing is left. n_queries have a value, n_values are in the gallery.
    """
    shares: dict[str, list[NDArray[np.float64]]] = {
        name: [] for name in ("share", "chance", "within_class", "chance_within_class")
    }
    queries, gallery = found.queries, found.gallery
    of_gallery = np.array([value(row, column) for row in gallery.rows])
    of_queries = np.array([value(row, column) for row in queries.rows])
    for part in portions(queries, gallery):
        known = ~excluded(queries.rows[part], gallery.rows, same_group=found.same_group) & (of_gallery != "")
        same = of_queries[part, np.newaxis] == of_gallery
        own = queries.labels[part, np.newaxis] == gallery.labels
        top = found.top[part]
        shown = np.arange(top.shape[1]) < found.shown[part, np.newaxis]
        first = [np.take_along_axis(pairs, top, axis=1) for pairs in (known, same, own)]
        shares["share"].append(_share(first[1], first[0] & shown))
        shares["chance"].append(_share(same, known))
        shares["within_class"].append(_share(first[1], first[0] & first[2] & shown))
        shares["chance_within_class"].append(_share(same, known & own))
    means = {name: _mean(np.concatenate(parts)[of_queries != ""]) for name, parts in shares.items()}
    return {**means, "n_queries": int((of_queries != "").sum()), "n_values": len(set(of_gallery.tolist()) - {""})}


def _share(pairs: NDArray[np.bool_], among: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return, for each query, the share of true pairs among some; nan where there are none."""
    with np.errstate(invalid="ignore"):
        return np.asarray((pairs & among).sum(axis=1) / among.sum(axis=1))


def _mean(values: NDArray[np.float64]) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
