"""Readers' verdicts as a part of the loss: pairs called similar are drawn together, pairs called different apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from sources.tables import pictures

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sources.verdicts import Pair

AT_A_TIME = 8
"""Pairs beside each batch: with their 16 pictures, half of a usual one."""

APART = 0.3
"""Cosine below which pictures that were called different are far enough from each other."""


class Pairs:
    """Pairs of pictures, some of them drawn for each step."""

    def __init__(self, pairs: Sequence[Pair], cache: Path | None) -> None:
        """Take the pairs, of which there is one at least, and the folder of prepared pictures."""
        self._rows = [row for pair in pairs for row in pair[:2]]
        self._signs = torch.tensor([1.0 if pair.similar else -1.0 for pair in pairs])
        self._cache = cache
        self._pictures: tuple[int, Tensor] = (0, torch.empty(0))

    def draw(self, side: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return (2 k, side, side) uint8 pictures, those of a pair one after the other, and (k,) signs: 1 similar."""
        if self._pictures[0] != side:
            self._pictures = side, torch.from_numpy(pictures(self._rows, side, self._cache))
        chosen = torch.randperm(len(self._signs), generator=random)[:AT_A_TIME]
        places = torch.stack([2 * chosen, 2 * chosen + 1], dim=1).flatten()
        return self._pictures[1][places], self._signs[chosen]


def pair_loss(embeddings: Tensor, signs: Tensor) -> Tensor:
    """Return the mean over pairs of 1 - cosine where similar, and of what the cosine exceeds APART by where different.

    `embeddings` is (2 k, dim) of unit length, `signs` (k,), as `Pairs.draw` orders them.
    """
    return functional.cosine_embedding_loss(embeddings[::2], embeddings[1::2], signs, margin=APART)
