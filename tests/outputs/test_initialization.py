"""How each value of `init` initializes weights, measured on the weights."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import resnet_spec
from resnet_spec.language.schemas import schema_document

pytestmark = pytest.mark.torch

STEM: dict[str, Any] = {
    "conv": {"op": "conv2d", "out_channels": 64, "kernel_size": 3, "groups": 2},
    "bn": "batch_norm",
    "flatten": "flatten",
    "fc": {"op": "linear", "out_features": 300},
}
CONV_FAN_IN, CONV_FAN_OUT = 32 // 2 * 9, 64 * 9  # torch's fan-out forgets the groups
FC_FAN_IN, FC_FAN_OUT = 64 * 4, 300


def drawn(init: str | None, seed: int = 0, stem: dict[str, Any] = STEM) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    spec: dict[str, Any] = {"spec": 1, "input": "32x4x4", "stem": stem}
    if init is not None:
        spec["init"] = init
    network = resnet_spec.build(spec)
    return {key: tensor.detach() for key, tensor in network.named_parameters()}


def is_normal(weight: Tensor, std: float) -> None:
    """Mean and deviation within five standard errors, and the share outside two deviations that a normal law has."""
    n = weight.numel()
    assert n > 9000
    assert abs(weight.mean().item()) < 5 * std / math.sqrt(n)
    assert weight.std().item() == pytest.approx(std, rel=5 / math.sqrt(2 * n))
    assert (weight.abs() > 2 * std).float().mean().item() == pytest.approx(0.0455, abs=0.011)


def is_uniform(weight: Tensor, bound: float) -> None:
    n = weight.numel()
    assert weight.abs().max().item() <= bound
    assert weight.abs().max().item() > 0.98 * bound
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=5 / math.sqrt(n))


def test_kaiming_fan_out_is_for_convolutions_and_leaves_linear_alone() -> None:
    weights = drawn("kaiming_fan_out")
    is_normal(weights["conv.weight"], math.sqrt(2 / CONV_FAN_OUT))
    is_uniform(weights["fc.weight"], 1 / math.sqrt(FC_FAN_IN))


def test_kaiming_fan_in() -> None:
    weights = drawn("kaiming_fan_in")
    is_normal(weights["conv.weight"], math.sqrt(2 / CONV_FAN_IN))
    is_uniform(weights["fc.weight"], 1 / math.sqrt(FC_FAN_IN))


def test_xavier() -> None:
    weights = drawn("xavier_uniform")
    is_uniform(weights["conv.weight"], math.sqrt(6 / (CONV_FAN_IN + CONV_FAN_OUT)))
    is_uniform(weights["fc.weight"], math.sqrt(6 / (FC_FAN_IN + FC_FAN_OUT)))
    weights = drawn("xavier_normal")
    is_normal(weights["conv.weight"], math.sqrt(2 / (CONV_FAN_IN + CONV_FAN_OUT)))
    is_normal(weights["fc.weight"], math.sqrt(2 / (FC_FAN_IN + FC_FAN_OUT)))


def test_trunc_normal() -> None:
    weights = drawn("trunc_normal")
    for key in ("conv.weight", "fc.weight"):
        is_normal(weights[key], 0.02)


@pytest.mark.parametrize("init", [None, "pytorch"])
def test_pytorch_keeps_the_layers_own_bounds_and_is_the_default(init: str | None) -> None:
    weights = drawn(init)
    is_uniform(weights["conv.weight"], 1 / math.sqrt(CONV_FAN_IN))
    is_uniform(weights["fc.weight"], 1 / math.sqrt(FC_FAN_IN))
    assert weights["fc.bias"].abs().max().item() <= 1 / math.sqrt(FC_FAN_IN)
    assert weights["fc.bias"].std().item() > 0.4 / math.sqrt(FC_FAN_IN)


def test_pytorch_draws_the_very_numbers_that_the_layers_do() -> None:
    weights = drawn("pytorch")
    torch.manual_seed(0)
    conv, fc = nn.Conv2d(32, 64, 3, groups=2), nn.Linear(256, 300)
    shapes = {key: tensor.shape for key, tensor in weights.items()}
    assert shapes["conv.weight"] == conv.weight.shape
    assert torch.equal(weights["conv.weight"], conv.weight)
    assert torch.equal(weights["conv.bias"], conv.bias if conv.bias is not None else torch.empty(0))
    assert shapes["fc.bias"] == fc.bias.shape


@pytest.mark.parametrize("init", ["zeros", "ones"])
def test_an_operations_own_word_wins_and_reaches_its_weight_only(init: str) -> None:
    stem = {**STEM, "conv": {**STEM["conv"], "init": init}, "bn": {"op": "batch_norm", "init": "zeros"}}
    weights = drawn("kaiming_fan_out", stem=stem)
    assert torch.equal(weights["conv.weight"], torch.full((64, 16, 3, 3), 0.0 if init == "zeros" else 1.0))
    assert weights["conv.bias"].abs().max() > 0
    assert not weights["bn.weight"].any()
    is_uniform(weights["fc.weight"], 1 / math.sqrt(FC_FAN_IN))


def test_an_own_kaiming_reaches_a_linear_layer() -> None:
    weights = drawn("pytorch", stem={**STEM, "fc": {**STEM["fc"], "init": "kaiming_fan_in"}})
    is_normal(weights["fc.weight"], math.sqrt(2 / FC_FAN_IN))


def test_norms_start_as_the_identity_whatever_the_word() -> None:
    for init in ("pytorch", "kaiming_fan_out", "trunc_normal", "zeros"):
        weights = drawn(init)
        assert torch.equal(weights["bn.weight"], torch.ones(64))
        assert torch.equal(weights["bn.bias"], torch.zeros(64))


def test_every_word_of_the_schema_draws_something() -> None:
    words = schema_document()["definitions"]["init"]["enum"]
    assert {"pytorch", "kaiming_fan_out", "zeros", "ones"} <= set(words)
    for word in words:
        if word is not None:
            assert all(torch.isfinite(weight).all() for weight in drawn(word).values())


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    first, again, other = drawn("kaiming_fan_out", 7), drawn("kaiming_fan_out", 7), drawn("kaiming_fan_out", 8)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["conv.weight"], other["conv.weight"])


def test_resnet18_is_drawn_as_torchvisions_is() -> None:
    """Deviations of each kind of layer beside torchvision's: He et al. 2015 for convolutions, 1 and 0 for norms."""
    torch.manual_seed(0)
    network = resnet_spec.build("resnet18")
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            std = math.sqrt(2 / (layer.out_channels * layer.kernel_size[0] * layer.kernel_size[1]))
            assert layer.weight.std().item() == pytest.approx(std, rel=5 / math.sqrt(2 * layer.weight.numel())), name
        elif isinstance(layer, nn.BatchNorm2d):
            assert torch.equal(layer.weight, torch.ones_like(layer.weight))
            assert torch.equal(layer.bias, torch.zeros_like(layer.bias))
    is_uniform(network.get_parameter("fc.weight").detach(), 1 / math.sqrt(512))


def test_without_initialize_no_random_number_is_drawn() -> None:
    state = torch.get_rng_state()
    network = resnet_spec.build("resnet18", initialize=False)
    assert torch.equal(torch.get_rng_state(), state)
    drawn_network = resnet_spec.build("resnet18")
    assert not torch.equal(torch.get_rng_state(), state)
    network.load_state_dict(drawn_network.state_dict())
    x = torch.randn(1, 3, 32, 32)
    assert torch.equal(network.eval()(x), drawn_network.eval()(x))


def test_without_initialize_norms_are_ready_to_use() -> None:
    network = resnet_spec.build("resnet18", initialize=False)
    assert torch.equal(network.get_parameter("bn1.weight"), torch.ones(64))
    assert torch.equal(network.get_buffer("bn1.running_var"), torch.ones(64))
