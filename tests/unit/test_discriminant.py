import numpy as np
import pytest

from training import discriminant


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


def mapped(features: np.ndarray, linear: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    weight, bias = linear
    return features.mean(axis=1) @ weight.T + bias


def test_what_varies_within_a_class_does_not_count() -> None:
    learnt, labels = kinds(40, 0)
    new, truth = kinds(20, 1)
    found = discriminant.fit(learnt, labels, discriminant.balanced(labels, [str(n) for n in range(120)]))
    gallery, queries = mapped(learnt, found), mapped(new, found)
    assert gallery.shape == (120, 2)
    nearest = np.array(labels)[((queries[:, None] - gallery[None]) ** 2).sum(axis=2).argmin(axis=1)]
    plain = np.array(labels)[((new[:, 0][:, None] - learnt[:, 0][None]) ** 2).sum(axis=2).argmin(axis=1)]
    assert (nearest == truth).mean() > 0.8
    assert (plain == truth).mean() < 0.6


def test_what_comes_out_varies_alike_in_every_direction_within_a_class() -> None:
    learnt, labels = kinds(400, 0)
    found = mapped(learnt, discriminant.fit(learnt, labels, discriminant.balanced(labels, labels)))
    of = np.array(labels)
    means = {label: found[of == label].mean(axis=0) for label in labels}
    apart = found - np.stack([means[label] for label in labels])
    within = apart.T @ apart / len(apart)
    assert within == pytest.approx(within[0, 0] * np.eye(2), abs=0.05 * within[0, 0])
    assert np.sum(list(means.values()), axis=0) == pytest.approx(np.zeros(2), abs=0.05)


@pytest.mark.parametrize("count", [5, 40])
def test_the_scatter_is_undone_whether_features_or_pictures_are_fewer(count: int) -> None:
    random = np.random.default_rng(0)
    apart, means = random.standard_normal((count, 12)), random.standard_normal((12, 3))
    share = discriminant.SHRINKAGE
    scatter = (1 - share) * apart.T @ apart + share * (apart**2).sum() / 12 * np.eye(12)
    assert scatter @ discriminant._unscattered(iter([apart[:3], apart[3:]]), count, means) == pytest.approx(means)


@pytest.mark.parametrize("count", [3, 40])
def test_worked_on_in_portions_it_comes_out_the_same(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = kinds(count, 0)
    features = np.concatenate([features, features[:, :, ::-1] ** 2], axis=2)
    weights = discriminant.balanced(labels, labels)
    at_once = mapped(features, discriminant.fit(features, labels, weights))
    monkeypatch.setattr(discriminant, "PORTION", 7)
    found = mapped(features, discriminant.fit(features, labels, weights))
    # the directions may be turned, what lies between pictures is the same
    assert found @ found.T == pytest.approx(at_once @ at_once.T, abs=1e-3 * np.square(at_once).max())


def test_classes_and_their_groups_weigh_alike() -> None:
    weights = discriminant.balanced(["a", "a", "a", "b"], ["1", "1", "2", "3"])
    assert weights == pytest.approx(np.array([1 / 8, 1 / 8, 1 / 4, 1 / 2]))
