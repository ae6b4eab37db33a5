from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("torchvision")
pytest.importorskip("pytorch_metric_learning")

from cbmir.network import Architecture, Network  # noqa: E402
from training import initial_weights  # noqa: E402
from training.initial_weights import start_from  # noqa: E402

LITE = Architecture(("x", "y"), dim=16, stride=32, side=64, guided=False, trunk="efficientnet-lite0")
LITE0 = initial_weights.LITE["efficientnet-lite0"]


@pytest.mark.parametrize("trunk", initial_weights.LITE)
def test_a_network_from_its_package_sees_what_a_photograph_shows(trunk: str) -> None:
    pytest.importorskip(initial_weights.LITE[trunk].package)
    network = Network(replace(LITE, trunk=trunk)).eval()
    start_from(network, "imagenet")
    weights = initial_weights.lite(trunk)
    photograph = Image.open(Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg").convert("L")
    square = np.asarray(photograph.crop((0, 0, 512, 512)).resize((224, 224)), np.float32) / 255
    with torch.inference_mode():
        pooled = network.features(torch.from_numpy(square)[None, None]).mean(dim=(2, 3))
        scores = (pooled @ weights["_fc.weight"].T + weights["_fc.bias"])[0]
    bow_tie, military_uniform = 457, 652
    assert int(scores.argmax()) in {bow_tie, military_uniform}


def test_a_file_that_is_not_the_known_one_is_never_read(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(LITE0.package)
    monkeypatch.setitem(initial_weights.LITE, "efficientnet-lite0", LITE0._replace(sha256="0" * 64))
    with pytest.raises(ValueError, match="is not the file that is known"):
        start_from(Network(LITE), "imagenet")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(initial_weights.LITE, "efficientnet-lite0", LITE0._replace(package="not_there"))
    with pytest.raises(ValueError, match="not_there is missing: scripts/setup --train installs it"):
        start_from(Network(LITE), "imagenet")


def test_the_trunk_of_another_kind_is_refused(tmp_path: Path) -> None:
    other = Network(Architecture(("x", "y")))
    torch.save({"averaged": other.state_dict()}, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="lacks 294 tensors of efficientnet-lite0"):
        start_from(Network(LITE), str(tmp_path / "checkpoint.pt"))
