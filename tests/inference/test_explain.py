"""Grad-CAM against gradients taken by hand, and the pictures that are written of it."""

from __future__ import annotations

import copy
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import resnet_spec
from resnet_spec.inference.explain import GradCam, draw_explanation
from resnet_spec.inference.predict import predict
from resnet_spec.training import session
from resnet_spec.training.session import Result
from tests.training.tiny import SPEC, refused, train, write_folder

pytestmark = [pytest.mark.torch, pytest.mark.training]


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """A small network with statistics that are not those of its start."""
    torch.manual_seed(1)
    module = resnet_spec.build(SPEC)
    with torch.no_grad():
        for _ in range(3):
            module(torch.randn(16, 3, 12, 12))
    return module.eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    torch.manual_seed(2)
    return torch.randn(5, 3, 12, 12)


@pytest.fixture(scope="module")
def of_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """A run on a folder of images, and that folder."""
    place = tmp_path_factory.mktemp("folder")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "write_pictures", lambda *_: None)
        return train(place / "run", write_folder(place / "data"), epochs=2), place / "data"


def through(module: nn.Module, x: Tensor, *names: str) -> Tensor:
    for name in names:
        x = module.get_submodule(name)(x)
    return x


STEM = ("conv1", "bn1", "relu")
HEAD = ("avgpool", "flatten", "fc")


def test_the_last_map_is_weighted_as_class_activation_maps_are(network: nn.Module, images: Tensor) -> None:
    """Before a mean over the pixels and a linear layer, Grad-CAM is CAM (Zhou et al. 2016): its weights are those of the layer,
    divided by the number of pixels (Selvaraju et al. 2017, section 3.1).
    """
    with torch.no_grad():
        maps = through(network, images, *STEM, "layer1", "layer2")
    classes = torch.tensor([0, 1, 2, 3, 0])
    weight = network.get_submodule("fc").weight
    assert isinstance(weight, Tensor)
    expected = torch.einsum("nk,nkhw->nhw", weight.detach()[classes] / (6 * 6), maps).relu()
    cam = GradCam(network, (3, 12, 12))
    assert cam.layer == "layer2.0.relu"
    torch.testing.assert_close(cam.maps(images, classes), expected)
    assert float(expected.max()) > 0


@pytest.mark.parametrize("layer", ["layer1", "relu", "conv1"])
def test_earlier_maps_are_weighted_by_gradients(network: nn.Module, images: Tensor, layer: str) -> None:
    """Each image alone, its layers called one by one, and the gradient taken with respect to the maps."""
    order = ("conv1", "bn1", "relu", "layer1", "layer2", *HEAD)
    place = order.index(layer) + 1
    classes = torch.tensor([3, 2, 1, 0, 2])
    found = GradCam(network, (3, 12, 12), layer).maps(images, classes)
    for number, label in enumerate(classes.tolist()):
        with torch.no_grad():
            maps = through(network, images[number : number + 1], *order[:place]).clone()
        maps.requires_grad_()
        output = through(network, maps + 0, *order[place:])[0, label]  # a sum, since an activation may write over its input
        (gradient,) = torch.autograd.grad(output, maps)
        expected = torch.zeros(maps.shape[2:])
        for channel in range(maps.shape[1]):
            expected += gradient[0, channel].mean() * maps[0, channel].detach()
        torch.testing.assert_close(found[number], expected.clamp(min=0))


def test_a_layer_in_a_block_is_explained_by_small_changes(network: nn.Module, images: Tensor) -> None:
    """The mean gradient of a channel is the slope of the output where all of the channel is shifted: two forward passes each.

    The layer is a norm over whose output the next layer writes.
    """
    exact, layer = copy.deepcopy(network).double(), "layer1.0.bn1"
    x, label = images.double(), 1
    kept: list[Tensor] = []

    def outputs(channel: int, change: float) -> Tensor:
        def shift(_: nn.Module, args: object, output: Tensor) -> Tensor:
            kept[:] = [output.clone()]
            shifted = output.clone()
            shifted[:, channel] += change
            return shifted

        hook = exact.get_submodule(layer).register_forward_hook(shift)
        with torch.no_grad():
            found: Tensor = exact(x)[:, label]
        hook.remove()
        return found

    step, pixels = 1e-6, 12 * 12
    slopes = [(outputs(channel, step) - outputs(channel, -step)) / (2 * step * pixels) for channel in range(16)]
    expected = torch.einsum("kn,nkhw->nhw", torch.stack(slopes), kept[0]).relu()
    found = GradCam(exact, (3, 12, 12), layer).maps(x, torch.full((5,), label))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-8)
    assert float(expected.max()) > 0


def test_layers_without_maps_are_refused(network: nn.Module) -> None:
    found = refused(lambda: GradCam(network, (3, 12, 12), "fc"))
    assert found.code == "no-such-layer"
    assert "has no maps" in found.message
    found = refused(lambda: GradCam(network, (3, 12, 12), "layer2.0.rleu"))
    assert "`layer2.0.relu`" in found.help
    flat = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    assert "no layer of the network has maps" in refused(lambda: GradCam(flat, (3, 2, 2))).message


def test_what_speaks_most_is_lightest_and_the_rest_is_the_image() -> None:
    heat = torch.zeros(4, 4)
    heat[0, 0] = 7.0
    picture = np.asarray(Image.open(io.BytesIO(draw_explanation(np.full((8, 16, 3), 100, np.uint8), heat))))
    assert picture.shape == (224, 448, 3)
    assert (picture[120:, 200:] == 100).all()
    assert picture[:20, :20].mean() > 150
    nothing = draw_explanation(np.full((8, 8, 1), 100, np.uint8), torch.zeros(2, 2))
    assert (np.asarray(Image.open(io.BytesIO(nothing))) == 100).all()


def test_pictures_are_written_under_the_names_of_images(of_folder: tuple[Result, Path], tmp_path: Path) -> None:
    result, data = of_folder
    plain = predict(result.folder, [data / "test", data / "val"], device="cpu")
    assert predict(result.folder, [data / "test", data / "val"], device="cpu", explain=tmp_path / "out", batch_size=3) == plain
    names = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png")}
    assert names == {
        f"{split}/{name}/{i}.png.cam.png" for split, n in (("test", 4), ("val", 3)) for name in ("cat", "dog") for i in range(n)
    }
    array = np.zeros((9, 9, 3), np.uint8)
    predict(result.folder, [array, data / "val/cat/0.png", data / "val/dog/0.png"], device="cpu", explain=str(tmp_path / "two"))
    assert {path.name for path in (tmp_path / "two").iterdir()} == {"image 0.cam.png", "0.png.cam.png", "0.png-2.cam.png"}


def test_explanations_are_not_written_among_the_images(of_folder: tuple[Result, Path], tmp_path: Path) -> None:
    result, data = of_folder
    found = refused(lambda: predict(result.folder, data, device="cpu", explain=data / "explained"))
    assert "whose images are predicted" in found.message
    found = refused(lambda: predict(result.folder, data / "val/cat/0.png", device="cpu", explain=data / "explained"))
    assert "where the training images are" in found.message
    assert not (data / "explained").exists()
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    assert refused(lambda: predict(result.folder, data, device="cpu", explain=tmp_path / "file")).code == "cannot-write"
    assert refused(lambda: predict(result.folder, data, device="cpu", layer="layer1")).code == "invalid-argument"
