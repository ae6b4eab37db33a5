"""What is said of the nearest patients, against what is said of all: with intervals, and worded as no diagnosis. Pure.

The unit is the patient, never the slice: twenty slices of one tumour are one observation.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cbmir.records import ORTHANC_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cbmir.records import Label

Z = 1.959964
"""Of the normal distribution, for 95 %."""

FEW = 5
"""With fewer labelled patients than that, an interval says hardly anything."""

NOTE = (
    "What was said of other patients whose pictures look alike to a network."
    " It is no probability that this patient has the same."
)


@dataclass(frozen=True, slots=True)
class Grounds:
    """On what ground a label counts: all but Orthanc's own labels do, and some are verified."""

    verified: frozenset[str]

    @classmethod
    def of(cls, provenances: Iterable[str]) -> Grounds:
        """Return grounds of which these are verified, without regard to case."""
        return cls(frozenset(map(_plain, provenances)))

    def is_verified(self, label: Label) -> bool:
        """Return whether a label is said on verified ground."""
        return _plain(label.provenance) in self.verified

    def counting(self, labels: Iterable[Label], *, verified: bool) -> frozenset[str]:
        """Return the texts, in small letters, of those labels that count, or only of verified ones.

        Orthanc's own labels are used for much else, such as who may see a study: they count where they are verified.
        """
        return frozenset(
            _plain(one.label)
            for one in labels
            if self.is_verified(one) or not (verified or one.provenance == ORTHANC_LABEL)
        )


def _plain(text: str) -> str:
    return text.strip().casefold()


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One of the nearest patients: what is said of the slice that is near, its series and its study."""

    labels: Sequence[Label]


@dataclass(frozen=True, slots=True)
class Share:
    """How many of the nearest patients that have a label have this one.

    Attributes
    ----------
    label
        As it is written with the nearest patient that has it.
    patients, verified
        Nearest patients with this label, and those of them with it on verified ground.
    share, interval
        Of the nearest patients with any label; 95 % after Wilson.
    archive
        Share of all other patients with any label, or None where that is not told.
    compared
        Whether the archive's share lies below, in or above the interval.

    """

    label: str
    patients: int
    verified: int
    share: float
    interval: tuple[float, float]
    archive: float | None = None

    @property
    def compared(self) -> Literal["more", "alike", "less"] | None:
        """Return "more" where the label is more frequent than in the archive beyond what chance explains."""
        if self.archive is None:
            return None
        low, high = self.interval
        return "more" if self.archive < low else "less" if self.archive > high else "alike"

    @property
    def enrichment(self) -> float | None:
        """Return how many times more frequent than in the archive; None where that is not told."""
        return self.share / self.archive if self.archive else None


@dataclass(frozen=True, slots=True)
class Statistics:
    """The labels of the nearest patients, the most frequent first, then those of nearer patients.

    `archive` is the number of other patients with a label in the whole archive; None where that is not told.
    """

    patients: int
    labelled: int
    verified_only: bool
    shares: tuple[Share, ...]
    archive: int | None = None

    @property
    def leading(self) -> str | None:
        """The label that most of the nearest patients have."""
        return self.shares[0].label if self.shares else None

    @property
    def note(self) -> str:
        """Sentences to show beside the figures."""
        kind = "a verified label" if self.verified_only else "a label"
        if not self.patients:
            return f"There is no near patient to tell of. {NOTE}"
        if not self.labelled:
            return f"None of the {self.patients} nearest patients has {kind}. {NOTE}"
        if self.labelled < FEW:
            has = "has" if self.labelled == 1 else "have"
            return f"Of the {self.patients} nearest patients, {self.labelled} {has} {kind}: too few to compare. {NOTE}"
        return NOTE


def statistics(
    nearest: Sequence[Neighbour], grounds: Grounds, *, verified: bool, census: tuple[int, dict[str, int]] | None
) -> Statistics:
    """Return what is said of the nearest patients, one neighbour a patient.

    Parameters
    ----------
    nearest
        The nearest first; none of them hidden from whoever asks.
    grounds, verified
        Which labels count, and whether only those on verified ground do.
    census
        The number of other patients with a label, and by label; None where the caller must not be told.

    """
    counted = [grounds.counting(one.labels, verified=verified) for one in nearest]
    surely = Counter(label for one in nearest for label in grounds.counting(one.labels, verified=True))
    labelled = sum(map(bool, counted))
    written = {_plain(one.label): one.label for near in reversed(nearest) for one in reversed(near.labels)}
    # most_common keeps the order of first sight among equals, which is that of nearness
    found = Counter(label for said in counted for label in sorted(said)).most_common()
    total, counts = census or (0, {})
    shares = tuple(
        Share(
            written[label],
            patients,
            surely[label],
            patients / labelled,
            wilson(patients, labelled),
            counts.get(label, 0) / total if total else None,
        )
        for label, patients in found
    )
    return Statistics(len(nearest), labelled, verified, shares, census[0] if census else None)


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, after Wilson (1927): honest also for few trials and for 0 and 1."""
    if not trials:
        return 0.0, 1.0
    share, spread = successes / trials, Z**2 / trials
    middle = (share + spread / 2) / (1 + spread)
    half = Z * math.sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)
