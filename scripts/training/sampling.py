"""Which pictures make a batch: every class as often as the others, and within a class every group."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from sources.tables import Row


def batches(rows: Sequence[Row], size: int, random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield an epoch of batches: (size,) int64 indices into `rows`, equal shares of the classes.

    An epoch has as many pictures as the table. Within a class the groups take turns, each with its pictures in random
    order, so that a case of a hundred slices weighs as much as one of five.
    """
    order = defaultdict(lambda: defaultdict(list))  # type: ignore[var-annotated]
    for index in random.permutation(len(rows)):
        order[rows[index].label][rows[index].group].append(int(index))
    streams = [_turns(list(groups.values()), random) for _, groups in sorted(order.items())]
    for _ in range(len(rows) // size):
        # a random start spreads what does not divide evenly over the classes
        start = int(random.integers(len(streams)))
        yield np.array([next(streams[(start + place) % len(streams)]) for place in range(size)])


def _turns(groups: list[list[int]], random: np.random.Generator) -> Iterator[int]:
    """Yield one index of each group in turn, for ever; a group begins anew when it is used up."""
    queues: list[list[int]] = [[] for _ in groups]
    while True:
        for place in random.permutation(len(groups)):
            if not queues[place]:
                queues[place] = [int(index) for index in random.permutation(groups[place])]
            yield queues[place].pop()
