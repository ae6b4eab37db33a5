from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="layers need torch")
pytest.importorskip("torchvision")
pytest.importorskip("pytorch_metric_learning")

from training.initial_weights import LITE  # noqa: E402
from training.layers import SIDE, Layers  # noqa: E402

LITE0 = "efficientnet-lite0"


def test_layers_say_the_same_of_a_mirror_image_the_other_way_round_and_are_kept(tmp_path: Path) -> None:
    pytest.importorskip(LITE[LITE0].package)
    layers = Layers(LITE0, tmp_path)
    batch = np.random.default_rng(0).random((2, 1, SIDE, SIDE), np.float32)
    said = layers(batch)
    channels = 16 + 24 + 40 + 80 + 112 + 192
    assert said.shape == (2, 2, layers.length)
    assert layers.length == 3 * channels + 9 * 192
    assert len(list((tmp_path / LITE0).iterdir())) == 2
    assert (Layers(LITE0, tmp_path)(batch) == said).all()
    assert (layers(batch[:, :, :, ::-1])[:, ::-1] == said).all()
