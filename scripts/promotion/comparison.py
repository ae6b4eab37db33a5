"""Two models on the same patients: by how much the one is better, and how sure that is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation import metrics
from promotion.candidates import PromotionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from evaluation.ranked import Evaluation

MEASURES = ("mAP", "P@10")
FEWEST_PATIENTS = 10
"""Of fewer, the bootstrap says nothing."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A measure of the model that answers and of the candidate, means over patients, each with the same weight.

    `low` and `high` are the ends of the 95 % interval of the difference: patients resampled, both models on each.
    """

    current: float
    candidate: float
    low: float
    high: float

    @property
    def mean(self) -> float:
        """By how much the candidate is better."""
        return self.candidate - self.current


@dataclass(frozen=True, slots=True)
class Comparison:
    """Differences by measure, and of how many patients and slices that asked."""

    differences: Mapping[str, Difference]
    patients: int
    queries: int

    def reason_against(self, margin: float) -> str | None:
        """Return why the candidate must not take over, or None if it may.

        It may where it is no worse on average, and surely (97.5 %) not worse by more than the margin, in each measure.
        """
        worse = [name for name, one in self.differences.items() if one.mean < 0]
        if worse:
            return f"it is worse in {' and '.join(worse)}"
        unsure = [name for name, one in self.differences.items() if one.low < -margin]
        if unsure:
            least = f"worse by more than {margin:g}" if margin >= 0 else f"better by less than {-margin:g}"
            return f"it may be {least} in {' and '.join(unsure)}: {self.patients} patients are too few to tell"
        return None

    def as_json(self) -> dict[str, Any]:
        """Return what the history keeps."""
        rounded = {
            name: {key: round(value, 4) for key, value in asdict(one).items()} for name, one in self.differences.items()
        }
        return {"measures": rounded, "patients": self.patients, "queries": self.queries}


def compare(current: Evaluation, candidate: Evaluation) -> Comparison:
    """Return how two models fare with the same queries in the same gallery.

    Raises
    ------
    PromotionError
        Too few patients can be judged.

    """
    groups = np.array([row.group for row in current.queries.rows])
    judged = ~np.isnan(current.values["mAP"]) & ~np.isnan(candidate.values["mAP"])
    names, member = np.unique(groups[judged], return_inverse=True)
    if len(names) < FEWEST_PATIENTS:
        raise PromotionError(
            f"only {len(names)} patients held out have somebody of their class to find: {FEWEST_PATIENTS} are needed;"
            " label more, or hold out a larger share (train.py --hold-out-share)"
        )

    def of_patients(found: Evaluation, measure: str) -> NDArray[np.float64]:
        return np.bincount(member, found.values[measure][judged]) / np.bincount(member)

    differences = {}
    for measure in MEASURES:
        before, after = (of_patients(found, measure) for found in (current, candidate))
        low, high = metrics.interval(after - before, names)
        differences[measure] = Difference(float(before.mean()), float(after.mean()), low, high)
    return Comparison(differences, len(names), int(judged.sum()))


def table(found: Comparison, names: Sequence[str]) -> str:
    """Return the comparison as text for the terminal; `names` are of the one that answers, and of the candidate."""
    current, candidate = names
    lines = [
        f"{candidate} against {current}",
        f"{found.queries} slices of {found.patients} patients whom neither was trained on",
        "",
        f"{'':8}{'current':>10}{'candidate':>12}{'difference':>12}   95 % interval (paired, over patients)",
    ]
    for name, one in found.differences.items():
        numbers = f"{one.current:10.4f}{one.candidate:12.4f}{one.mean:+12.4f}"
        lines.append(f"{name:8}{numbers}   {one.low:+.4f} to {one.high:+.4f}")
    return "\n".join(lines)
