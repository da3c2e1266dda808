"""Segments that run twice give the values, gradients and statistics of a network that runs once, and keep less."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import resnet_spec
from resnet_spec._system.torchvision_import import import_torchvision
from resnet_spec.training.segments import Segmented, layers_in_order

pytestmark = pytest.mark.torch


def convolutions() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.4)),
        nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8, momentum=None), nn.GELU(), nn.Dropout2d(0.3)),
        *(nn.BatchNorm2d(8, track_running_stats=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)),
    )


def working_in_place() -> nn.Module:
    """Layers that overwrite what came in; doing so twice would be another thing for all but ReLU."""
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3), nn.SiLU(inplace=True), nn.Conv2d(8, 8, 3), nn.Dropout(0.5, inplace=True)),
        *(nn.Conv2d(8, 8, 3), nn.LeakyReLU(0.5, inplace=True), nn.Conv2d(8, 8, 3), nn.ReLU(inplace=True)),
        *(nn.ELU(inplace=True), nn.Flatten(), nn.LazyLinear(5)),
    )


def sharing() -> nn.Module:
    """One layer in two places."""
    act, mix = nn.Tanh(), nn.Conv2d(3, 3, 3, padding=1)
    return nn.Sequential(mix, act, mix, act, nn.Flatten(), nn.LazyLinear(5))


def compiled(*patches: str) -> Callable[[], nn.Module]:
    return lambda: resnet_spec.build("cifar_resnet20", set=patches)


def dropping() -> nn.Module:
    head = {"drop": {"op": "dropout", "p": 0.3, "insert_before": "fc"}}
    return resnet_spec.build({"spec": 1, "name": "dropping", "extends": "cifar_resnet20", "head": head})


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "convolutions": convolutions,
    "working in place": working_in_place,
    "sharing": sharing,
    "cifar_resnet20": compiled(),
    "with dropout": dropping,
    "with silu": compiled("act=silu"),
    "with group norm": compiled("norm={op: group_norm, num_groups: 4}"),
}


def run(module: nn.Module, forward: Callable[[Tensor], Tensor], x: Tensor) -> tuple[dict[str, Tensor], int]:
    """Two steps: the outputs, gradients and buffers, and how many numbers the first forward pass keeps for backward."""
    found: dict[str, Tensor] = {}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    for step in range(2):
        torch.manual_seed(step)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            output = forward(x)
        if step == 0:
            kept_first = sum(kept.values())
        output.square().sum().backward()  # type: ignore[no-untyped-call]
        found[f"output {step}"] = output.detach()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None
        found[f"gradient of {name}"] = parameter.grad
    return found | dict(module.named_buffers()), kept_first


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("segments", [1, 2, 3, 5, 100, -1])
def test_values_gradients_and_statistics_are_the_same_bits(name: str, segments: int) -> None:
    torch.manual_seed(0)
    plain, x = NETWORKS[name](), torch.randn(4, 3, 12, 12)
    plain(x.clone())
    other = copy.deepcopy(plain)
    expected, _ = run(plain, plain, x.clone())
    found, _ = run(other, Segmented(other, segments), x.clone())
    assert found.keys() == expected.keys()
    for key in expected:
        assert torch.equal(found[key], expected[key]), key
    assert all(part.momentum != 0 for part in other.modules() if isinstance(part, nn.BatchNorm2d))


@pytest.mark.parametrize("name", ["convolutions", "cifar_resnet20"])
def test_less_is_kept_for_backward(name: str) -> None:
    module, x = NETWORKS[name](), torch.randn(16, 3, 24, 24)
    weights = sum(parameter.numel() for parameter in module.parameters())
    kept = {segments: run(module, Segmented(module, segments), x)[1] - weights for segments in (1, 2, 4)}
    assert kept[2] < 0.8 * kept[1]
    assert kept[4] < 0.8 * kept[1]


def test_what_computes_itself_cannot_be_cut() -> None:
    """torchvision's ResNet says in a forward of its own what runs after what."""
    resnet = import_torchvision().models.resnet18()
    for module in (resnet, nn.Sequential(resnet), nn.Linear(3, 2), nn.Sequential(nn.Linear(3, 2))):
        with pytest.raises(ValueError, match="cannot be cut"):
            Segmented(module, 2)


class Backwards(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        for layer in reversed(self):
            x = layer(x)
        return x


def test_a_sequence_with_a_forward_of_its_own_stays_whole() -> None:
    inner = Backwards(nn.ReLU(), nn.Linear(3, 3))
    first, last = nn.Linear(3, 3), nn.Linear(3, 2)
    assert layers_in_order(nn.Sequential(first, inner, last)) == [first, inner, last]


def test_a_network_of_a_spec_is_cut_between_its_blocks() -> None:
    module = resnet_spec.build("cifar_resnet20")
    layers = layers_in_order(module)
    assert len(layers) == 3 + 9 + 3  # stem, blocks, head


def test_evaluation_and_weights_are_those_of_the_module() -> None:
    module = compiled()()
    segmented = Segmented(module, 4)
    x = torch.randn(2, 3, 32, 32)
    segmented.eval()
    with torch.no_grad():
        assert torch.equal(segmented(x), module(x))
    assert not module.training
    assert list(segmented.parameters()) == list(module.parameters())
