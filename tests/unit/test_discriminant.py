from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from evaluation import discriminant
from evaluation.fixed import Fixed
from sources.tables import Row

if TYPE_CHECKING:
    from pathlib import Path


def kinds(n: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """Return n pictures of each of three kinds, looked at twice: one weak feature tells, a strong one misleads."""
    random = np.random.default_rng(seed)
    of = np.repeat(np.arange(3), n)
    features = random.standard_normal((3 * n, 6))
    features[:, :3] += 3 * np.eye(3)[of]
    features[:, 5] *= 100
    features[:, 4] += features[:, 5]
    twice = np.stack([features, features + 0.1 * random.standard_normal(features.shape)], axis=1)
    return twice, [f"kind {one}" for one in of]


def test_what_varies_within_a_class_does_not_count() -> None:
    learnt, labels = kinds(40, 0)
    new, truth = kinds(20, 1)
    found = discriminant.fit(learnt, labels, discriminant.balanced(labels, [str(n) for n in range(120)]))
    gallery, queries = found(learnt), found(new)
    assert gallery.shape == (120, 2)
    assert np.linalg.norm(queries, axis=1) == pytest.approx(np.ones(60))
    nearest = np.array(labels)[(queries @ gallery.T).argmax(axis=1)]
    plain = np.array(labels)[((new[:, 0][:, None] - learnt[:, 0][None]) ** 2).sum(axis=2).argmin(axis=1)]
    assert (nearest == truth).mean() > 0.8
    assert (plain == truth).mean() < 0.6


def test_classes_and_their_groups_weigh_alike() -> None:
    weights = discriminant.balanced(["a", "a", "a", "b"], ["1", "1", "2", "3"])
    assert weights == pytest.approx(np.array([1 / 8, 1 / 8, 1 / 4, 1 / 2]))


class Halves:
    """A network whose layers say how bright both halves of a picture are."""

    name, length = "halves", 2

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        said = np.stack([batch[..., :2].mean(axis=(1, 2, 3)), batch[..., 2:].mean(axis=(1, 2, 3))], axis=1)
        return np.stack([said, said], axis=1).astype(np.float16)


def test_several_networks_share_the_similarity_and_classes_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    rows = [Row(tmp_path / f"{n}.png", "ab"[n % 2], f"case {n}") for n in range(40)]
    shown = {row.file: np.float32(0.3) * random.random((1, 4, 4), np.float32) for row in rows}
    for row in rows:
        shown[row.file][:, :, : 2 if row.label == "a" else 4] += np.float32(0.5)
    monkeypatch.setattr("evaluation.embedded.picture", lambda file, _: shown[file])
    made = Fixed(rows, [Halves(), Halves()], 4)  # type: ignore[list-item]
    embeddings = made.embed(np.stack([shown[row.file] for row in rows]))
    assert embeddings.shape == (40, 2)
    assert np.linalg.norm(embeddings, axis=1) == pytest.approx(np.ones(40), abs=1e-5)
    assert made.nearest(embeddings).tolist() == [row.label for row in rows]
