from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the network needs torch, which only training and the torch runtime want")
pytest.importorskip("torchvision")

from cbmir import embedding  # noqa: E402
from cbmir.errors import ModelError  # noqa: E402
from cbmir.network import Architecture, GeM, Network, architecture_as_json, architecture_of, from_onnx  # noqa: E402

ABC = Architecture(("a", "b", "c"))


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    return Network(ABC).eval()


@pytest.mark.parametrize(("size", "cells"), [(96, 6), (224, 14)])
def test_outputs_have_the_shapes_that_they_promise(network: Network, size: int, cells: int) -> None:
    with torch.inference_mode():
        outputs = network.outputs(torch.rand(2, 1, size, size))
    assert outputs.embedding.shape == (2, 256)
    assert outputs.features.shape == (2, 1024, cells, cells)
    assert outputs.logits.shape == (2, 3)
    assert outputs.lesion is not None
    assert outputs.lesion.shape == (2, 3, cells, cells)
    assert torch.allclose(outputs.embedding.norm(dim=1), torch.ones(2))
    assert (outputs.features >= 0).all()


def test_without_guidance_and_at_stride_32_it_is_the_plain_network() -> None:
    with torch.inference_mode():
        outputs = (
            Network(Architecture(("a", "b"), dim=64, stride=32, guided=False)).eval().outputs(torch.rand(1, 1, 96, 96))
        )
    assert outputs.features.shape == (1, 1024, 3, 3)
    assert outputs.embedding.shape == (1, 64)
    assert outputs.lesion is None


def test_a_batch_embeds_like_its_slices_alone(network: Network) -> None:
    images = torch.rand(3, 1, 96, 96)
    with torch.inference_mode():
        together = network(images)[0]
        alone = torch.cat([network(image[None])[0] for image in images])
    assert torch.allclose(together, alone, atol=1e-5)


def test_a_stride_that_googlenet_has_not_is_refused() -> None:
    with pytest.raises(ModelError, match="stride"):
        Network(Architecture(("a",), stride=8))


def test_gem_with_p_1_is_the_mean() -> None:
    features = torch.rand(2, 5, 4, 4)
    assert torch.allclose(GeM(1.0)(features), features.mean(dim=(2, 3)), atol=1e-6)


def test_gem_with_a_large_p_tends_to_the_maximum() -> None:
    features = torch.rand(2, 5, 4, 4)
    assert torch.allclose(GeM(500.0)(features), features.amax(dim=(2, 3)), rtol=0.02)


def test_gem_lies_between_mean_and_maximum_and_is_not_linear_in_p() -> None:
    features = torch.rand(2, 5, 4, 4)
    pooled = GeM(3.0)(features)
    assert (pooled >= features.mean(dim=(2, 3)) - 1e-6).all()
    assert (pooled <= features.amax(dim=(2, 3)) + 1e-6).all()
    assert torch.allclose(pooled, features.pow(3).mean(dim=(2, 3)).pow(1 / 3), atol=1e-5)


def test_gem_pools_only_where_the_weight_is() -> None:
    features = torch.rand(1, 3, 2, 2)
    weight = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    assert torch.allclose(GeM(3.0)(features, weight), features[:, :, 0, 0], atol=1e-5)


@pytest.mark.parametrize("scale", [0.0, 1e-20, 1.0, 1e15])
@pytest.mark.parametrize("p", [0.5, 1.0, 3.0, 30.0])
def test_gem_and_its_gradients_are_finite_for_any_features(scale: float, p: float) -> None:
    gem = GeM(p)
    features = (torch.rand(1, 3, 4, 4) * scale).requires_grad_()
    pooled = gem(features)
    pooled.sum().backward()
    assert pooled.isfinite().all()
    assert features.grad is not None
    assert features.grad.isfinite().all()
    assert gem.p.grad is not None
    assert gem.p.grad.isfinite()


def test_the_architecture_survives_as_text() -> None:
    assert architecture_of(architecture_as_json(ABC)) == ABC


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"labels": ["a"], "depth": 3}'])
def test_a_text_that_is_no_architecture_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="how its network is built"):
        architecture_of(text)


def test_a_file_that_is_no_onnx_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelError):
        from_onnx(tmp_path / "model.onnx")


def test_a_file_of_before_the_side_was_known_works_at_full_size() -> None:
    assert architecture_of('{"labels": ["a"], "dim": 8, "stride": 32, "guided": false}').side == 224


@pytest.mark.filterwarnings("default")  # the exporter warns of its own deprecated parts
def test_the_shipped_contract_holds_for_any_network_that_is_exported(network: Network, tmp_path: Path) -> None:
    files = pytest.importorskip("model_folder.files")
    path, cells = tmp_path / "model.onnx", tmp_path / "cells.onnx"
    files.write_onnx(network, path)
    files.write_cells(network, cells)
    assert max(files.differences(network, tmp_path).values()) < 1e-4
    again = from_onnx(path)
    assert again.architecture == network.architecture
    for name, weight in again.state_dict().items():
        assert torch.equal(weight, network.state_dict()[name]), name
    batch = np.random.default_rng(0).random((5, 1, 224, 224), np.float32)
    sessions = [embedding._SESSIONS[runtime](path, 1) for runtime in ("onnx", "torch")]
    onnx, torch_ = (session(["embedding"], image=batch)[0] for session in sessions)
    assert onnx.shape == (5, 256)
    assert np.abs(onnx - torch_).max() < 1e-5
