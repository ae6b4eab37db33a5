import pytest

torch = pytest.importorskip("torch", reason="trunks need torch")
pytest.importorskip("torchvision")

from cbmir.errors import ModelError  # noqa: E402
from cbmir.trunks import TRUNKS, trunk_of  # noqa: E402


@pytest.mark.parametrize("name", TRUNKS)
@pytest.mark.parametrize("stride", [16, 32])
def test_a_trunk_has_the_cells_and_channels_that_it_promises(name: str, stride: int) -> None:
    trunk = trunk_of(name, stride).eval()
    with torch.inference_mode():
        features = trunk(torch.rand(2, 1, 96, 96))
    assert features.shape == (2, trunk.channels, 96 // stride, 96 // stride)
    assert (features >= 0).all()


def test_what_no_trunk_has_is_refused() -> None:
    with pytest.raises(ModelError, match="trunk is 'vgg', must be one of googlenet, efficientnet-lite0"):
        trunk_of("vgg", 16)
    with pytest.raises(ModelError, match="stride is 8, must be 16 or 32"):
        trunk_of("googlenet", 8)
