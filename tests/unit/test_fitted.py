from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="layers need torch")
pytest.importorskip("torchvision")
pytest.importorskip("pytorch_metric_learning")

from torch.nn import functional  # noqa: E402

from cbmir.errors import ModelError  # noqa: E402
from cbmir.fitted import Fitted, Statistics  # noqa: E402
from cbmir.network import GREY_MEAN, GREY_SPREAD, Architecture, Network, from_onnx  # noqa: E402
from cbmir.trunks import TRUNKS  # noqa: E402
from training.initial_weights import start_from  # noqa: E402
from training.layers import Layers  # noqa: E402

SMALL = Architecture(("a", "b", "c"), 4, 32, 64, guided=False, trunk="efficientnet-lite0+googlenet", fitted=True)


def filled(architecture: Architecture) -> Fitted:
    torch.manual_seed(0)
    return Fitted(architecture).eval()


@pytest.mark.parametrize("name", TRUNKS)
def test_what_layers_say_is_mean_spread_and_maximum_and_a_coarse_map_of_the_last(name: str) -> None:
    statistics = Statistics(name, 32, 96).eval()
    images = torch.rand(2, 1, 96, 96)
    with torch.inference_mode():
        told, last = statistics(images)
        maps = list(statistics.trunk.maps((images - GREY_MEAN) / GREY_SPREAD))
    wanted = [part for one in maps for part in (one.mean((2, 3)), one.std((2, 3)), one.amax((2, 3)))]
    wanted.append(functional.adaptive_avg_pool2d(maps[-1], 3).flatten(1))
    assert told.shape == (2, statistics.length)
    assert torch.allclose(told, torch.cat(wanted, dim=1), atol=1e-5)
    assert torch.equal(last, maps[-1])


@pytest.mark.parametrize("name", TRUNKS)
def test_of_a_picture_that_shrinks_to_a_single_place_they_say_numbers_too(name: str) -> None:
    with torch.inference_mode():
        told, _ = Statistics(name, 32, 32).eval()(torch.rand(2, 1, 32, 32))
    assert torch.isfinite(told).all()


@pytest.mark.parametrize("name", TRUNKS)
def test_the_layers_looked_at_are_those_of_the_whole_trunk(name: str) -> None:
    whole = Network(Architecture(("a", "b"), stride=32, guided=False, trunk=name)).eval()
    images = torch.rand(1, 1, 96, 96)
    with torch.inference_mode():
        before = list(whole.trunk.maps(images))
        whole.trunk.shorten()
        after = list(whole.trunk.maps(images))
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_a_slice_and_its_mirror_image_look_the_same_and_trunks_share_the_similarity() -> None:
    network = filled(SMALL)
    images = torch.rand(3, 1, 64, 64)
    with torch.inference_mode():
        outputs, mirrored = network.outputs(images), network.outputs(images.flip(3))
    assert torch.allclose(outputs.embedding, mirrored.embedding, atol=1e-5)
    # half of the length of each embedding is each trunk's
    assert torch.allclose(outputs.embedding[:, :2].norm(dim=1), torch.full((3,), 0.5**0.5))
    assert torch.allclose(outputs.embedding.norm(dim=1), torch.ones(3))


@pytest.mark.filterwarnings("default")  # the exporter warns of its own deprecated parts
def test_a_fitted_network_is_exported_and_read_back(tmp_path: Path) -> None:
    files = pytest.importorskip("model_folder.files")
    network = filled(replace(SMALL, dim=2, trunk="efficientnet-lite0"))
    files.write_onnx(network, tmp_path / "model.onnx")
    # three pictures, where the exporter saw two
    assert files.differences(network, tmp_path).keys() == {"embedding", "features", "logits"}
    again = from_onnx(tmp_path / "model.onnx")
    assert again.architecture == network.architecture
    with pytest.raises(ValueError, match="was fitted: begin with the model that it was fitted on"):
        start_from(Network(replace(SMALL, trunk="efficientnet-lite0", fitted=False)), str(tmp_path))


def test_an_unknown_trunk_is_refused() -> None:
    with pytest.raises(ModelError, match="trunk is 'vgg'"):
        Fitted(replace(SMALL, trunk="googlenet+vgg"))


def test_the_same_weights_at_another_stride_say_something_else(tmp_path: Path) -> None:
    """What they said at one stride was once taken for what they say at the other."""
    coarse = filled(replace(SMALL, dim=2, trunk="efficientnet-lite0"))
    fine = Fitted(replace(coarse.architecture, stride=16)).eval()
    # the same layers, which bear other names
    fine.load_state_dict(dict(zip(fine.state_dict(), coarse.state_dict().values(), strict=True)))
    greys = np.random.default_rng(0).integers(0, 255, (1, 64, 64), np.uint8)
    told = Layers(coarse, tmp_path)(greys)
    assert (Layers(fine, tmp_path)(greys) != told).any()


def test_what_layers_say_is_kept_by_the_weights_that_said_it(tmp_path: Path) -> None:
    network = filled(SMALL)
    layers = Layers(network, tmp_path)
    greys = np.random.default_rng(0).integers(0, 255, (2, 64, 64), np.uint8)
    told = layers(greys)
    assert told.shape == (2, 2, sum(one.length for one in layers.trunks))
    assert (layers(greys[:, :, ::-1])[:, ::-1] == told).all()
    assert len(list(tmp_path.glob("*/*.npy"))) == 8
    assert (Layers(network, tmp_path)(greys) == told).all()
    # bfloat16 apart, it is what the network itself computes
    with torch.inference_mode():
        exact = network.trunks[0](torch.from_numpy(greys).unsqueeze(1) / 255)[0].numpy()
    assert told[:, 0, : exact.shape[1]] == pytest.approx(exact, abs=0.05 * float(np.abs(exact).max()))
    with torch.no_grad():
        network.trunks[0].trunk[0][1][0].weight.mul_(2)
    assert (Layers(network, tmp_path)(greys) != told).any()
