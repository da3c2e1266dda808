"""Layers are matched by structure where their names differ: with state dicts of other implementations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

import resnet_spec
from resnet_spec._system.torchvision_import import import_torchvision
from resnet_spec.weights.structure import find_renaming, list_renamed, match_structure

pytestmark = pytest.mark.torch
Shapes = dict[str, tuple[int, ...]]


def shapes_of(tensors: Mapping[str, Tensor]) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def own_shapes(spec: str) -> Shapes:
    return shapes_of(resnet_spec.build(spec, device="meta", initialize=False).state_dict())


class Block(nn.Module):
    """The block of many tutorials, whose branches are Sequentials."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.left = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.shortcut = nn.Sequential()
        if stride != 1 or channels != width:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.left(x) + self.shortcut(x))


class Tutorial(nn.Module):
    """ResNet-18 under the names of many tutorials."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        widths = (64, 64, 128, 256, 512)
        for number in range(1, 5):
            width, stride = widths[number], 1 if number == 1 else 2
            blocks = nn.Sequential(Block(widths[number - 1], width, stride), Block(width, width, 1))
            setattr(self, f"layer{number}", blocks)
        self.fc = nn.Linear(512, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        for number in range(1, 5):
            x = getattr(self, f"layer{number}")(x)
        return self.fc(x.mean((2, 3)))  # type: ignore[no-any-return]


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_tutorials_names_give_its_logits(tmp_path: Path, suffix: str) -> None:
    torch.manual_seed(0)
    theirs = Tutorial().eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):  # so that no two of them are equal
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.running_mean)  # type: ignore[arg-type]
    path = tmp_path / f"tutorial{suffix}"
    if suffix == ".pth":
        torch.save(theirs.state_dict(), path)
    else:
        save_file(theirs.state_dict(), path)
    with pytest.warns(UserWarning, match="have other names in the file, which has the same structure"):
        ours = resnet_spec.build("resnet18", weights=path).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-4, atol=1e-5)


def hugging_face(name: str) -> str:
    """The name that a tensor of torchvision's ResNets has in transformers' ResNetForImageClassification."""
    name = re.sub(r"^fc\.", "classifier.1.", name)
    name = re.sub(r"^conv1\.", "resnet.embedder.embedder.convolution.", name)
    name = re.sub(r"^bn1\.", "resnet.embedder.embedder.normalization.", name)
    name = name.replace("downsample.0.", "shortcut.convolution.").replace("downsample.1.", "shortcut.normalization.")
    name = re.sub(r"\.conv(\d)\.", lambda found: f".layer.{int(found[1]) - 1}.convolution.", name)
    name = re.sub(r"\.bn(\d)\.", lambda found: f".layer.{int(found[1]) - 1}.normalization.", name)
    return re.sub(r"^layer(\d)\.", lambda found: f"resnet.encoder.stages.{int(found[1]) - 1}.layers.", name)


@pytest.mark.parametrize("sort", [False, True])
@pytest.mark.parametrize("network", ["resnet18", "resnet50"])
def test_the_names_of_transformers_are_certain_in_any_order(network: str, sort: bool) -> None:
    with torch.device("meta"):
        own = shapes_of(getattr(import_torchvision().models, network)().state_dict())
    truth = {name: hugging_face(name) for name in own}
    assert "resnet.encoder.stages.0.layers.1.layer.0.convolution.weight" in truth.values()
    found = {truth[name]: shape for name, shape in own.items()}
    found = dict(sorted(found.items())) if sort else found
    pairs = find_renaming(own_shapes(network), found, graph=resnet_spec.analyze(network).graph)
    assert pairs is not None
    assert list_renamed(pairs) == truth
    assert {pair.certainty for pair in pairs} == {"certain"}


def torchvision_style(name: str) -> str:
    """A name of timm's ResNetV2 as torchvision would write it."""
    name = name.replace("stem.conv.", "conv1.").replace("head.fc.", "fc.")
    name = re.sub(r"stages\.(\d)\.blocks\.", lambda found: f"layer{int(found[1]) + 1}.", name)
    return name.replace(".downsample.conv.", ".downsample.0.").replace(".norm", ".bn")


def test_timms_resnetv2_is_that_of_other_names() -> None:
    """The norm comes before the convolution, and the projection before both."""
    import_torchvision()  # which timm imports
    import timm

    with torch.device("meta"):
        theirs = shapes_of(timm.create_model("resnetv2_50").state_dict())
    truth = {torchvision_style(name): name for name in theirs}
    assert "layer1.0.downsample.0.weight" in truth
    own = {name: theirs[source] for name, source in truth.items()}
    for found in (theirs, dict(sorted(theirs.items()))):
        pairs = match_structure(own, found)
        assert pairs is not None
        assert list_renamed(pairs) == truth
        assert {pair.certainty for pair in pairs} == {"certain"}


def test_a_part_of_a_file_is_matched_where_it_alone_fits() -> None:
    own = own_shapes("resnet18")
    found = {f"model.backbone.{hugging_face(name)}": shape for name, shape in own.items()}
    found |= {"model.neck.0.weight": (256, 512), "model.neck.0.bias": (256,)}
    pairs = find_renaming(own, found)
    assert pairs is not None
    assert list_renamed(pairs) == {name: f"model.backbone.{hugging_face(name)}" for name in own}


@pytest.mark.parametrize("other", ["resnet34", "resnet50", "seresnet18", "resnet18d"])
def test_another_structure_is_not_matched(other: str) -> None:
    found = {f"net.{name}": shape for name, shape in own_shapes(other).items()}
    assert find_renaming(own_shapes("resnet18"), found) is None


def test_other_classes_and_channels_are_the_same_structure() -> None:
    own = own_shapes("resnet18")
    found = {hugging_face(name): shape for name, shape in own.items()}
    found["classifier.1.weight"], found["classifier.1.bias"] = (7, 512), (7,)
    own["conv1.weight"] = (64, 1, 7, 7)
    pairs = find_renaming(own, found)
    assert pairs is not None
    assert list_renamed(pairs) == {name: hugging_face(name) for name in own}


# --- layers of one shape in one place --------------------------------------------------------------------------------------

SPEC = """
spec: 1
name: alike
input: 3x8x8
classes: 4
stem: {stem: {op: conv2d, out_channels: 4, kernel_size: 3, padding: 1}}
head:
  alpha: {op: conv2d, out_channels: 4, kernel_size: 3, padding: 1}
  beta: {op: conv2d, out_channels: 4, kernel_size: 3, padding: 1%s}
  sum: {op: add, from: [alpha, beta]}
  pool: {op: adaptive_avg_pool2d, output_size: 1}
  flatten: flatten
  fc: {op: linear, out_features: classes}
"""
NAMES = {"stem": "first", "alpha": "zeta", "beta": "eta", "fc": "out"}
IN_ORDER, SIDE_BY_SIDE = SPEC % "", SPEC % ", from: stem"


@pytest.mark.parametrize(
    ("spec", "sort", "certainty"),
    [(IN_ORDER, False, "likely"), (IN_ORDER, True, "ambiguous"), (SIDE_BY_SIDE, False, "ambiguous")],
)
def test_order_decides_only_where_the_file_has_one_and_the_layers_do(spec: str, sort: bool, certainty: str) -> None:
    """safetensors sort names, and of layers side by side the order says nothing."""
    own = own_shapes(spec)
    found = {re.sub(r"^\w+", lambda name: NAMES[name[0]], name): shape for name, shape in own.items()}
    found = dict(sorted(found.items())) if sort else found
    pairs = find_renaming(own, found, graph=resnet_spec.analyze(spec).graph)
    assert pairs is not None
    by_name = {pair.own.name: pair for pair in pairs}
    assert {by_name[name].certainty for name in ("stem", "fc")} == {"certain"}
    assert {by_name[name].certainty for name in ("alpha", "beta")} == {certainty}
    if certainty == "likely":
        assert list_renamed(pairs) == {name: re.sub(r"^\w+", lambda part: NAMES[part[0]], name) for name in own}
    else:
        assert by_name["alpha"].others == ("zeta",) or by_name["alpha"].others == ("eta",)
