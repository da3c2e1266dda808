"""Networks that branch, with several outputs and names in groups: what their modules return, and what tools take them."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import resnet_spec
from resnet_spec._system.torchvision_import import import_torchvision
from resnet_spec.outputs.torch_module import BranchedNetwork
from resnet_spec.training.segments import layers_in_order
from tests.interpreter import interpret

pytestmark = pytest.mark.torch

# An encoder and a decoder, an auxiliary head, a factor that is no module, hyphens, and numbered groups.
BRANCHED = """
spec: 1
name: branched
input: 3x16x16
classes: 5
blocks:
  unit:
    args: [width]
    defaults: {stride: 1}
    branch:
      conv: {op: conv2d, out_channels: width, kernel_size: 3, padding: 1, stride: stride, bias: false}
      bn-1: norm
      act: act
      gamma: {op: scale, init_value: 0.5}
    join: {op: add, if: stride == 1 and in_channels == width}
block: unit
stem: {features: {numbered: true, stages: {first: {op: unit, width: 8}}}}
stages:
  features:
    stages:
      s1: {width: 8, depth: 2, inline: true}
      s2: {width: 16, stride: 2}
  aux-head.pool: {op: mean, over: pixels, keepdim: false}
  aux-head.fc: {op: linear, out_features: classes}
  deep: {op: unit, width: 16, stride: 2, from: features}
head:
  up: {op: upsample, like: features, mode: bilinear}
  cat: {op: concat, from: [up, features]}
  map: {op: conv2d, out_channels: 4, kernel_size: 1}
  pool: {op: mean, over: pixels, keepdim: false, from: cat}
  fc: {op: linear, out_features: classes}
  factor: {op: scale, from: fc}
outputs: {logits: factor, map: map, aux: {from: aux-head.fc, training_only: true}}
"""
KEYS = ["logits", "map", "aux"]


def built(**arguments: Any) -> resnet_spec.Network:
    torch.manual_seed(0)
    return resnet_spec.build(BRANCHED, **arguments)


def images(count: int = 2) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(count, 3, 16, 16)


def test_a_dict_is_returned_in_the_order_of_the_spec_without_what_is_for_training_only() -> None:
    network = built()
    assert list(network(images())) == KEYS
    assert list(network.eval()(images())) == KEYS[:2]
    shapes = {name: tuple(value.shape[1:]) for name, value in network.train()(images()).items()}
    assert shapes == resnet_spec.analyze(BRANCHED).outputs


@pytest.mark.parametrize("training", [True, False])
def test_every_output_and_gradient_is_that_of_the_graph_run_by_the_book(training: bool) -> None:
    network = built().train(training)
    analysis = resnet_spec.analyze(BRANCHED)
    twin = copy.deepcopy(network)
    found, values = network(images()), interpret(analysis.graph, twin, images())
    for output in analysis.graph.outputs:
        assert (output.name in found) == (training or not output.training_only)
        if output.name in found:
            assert torch.equal(found[output.name], values[output.value])
    theirs = [values[output.value] for output in analysis.graph.outputs if output.name in found]
    for outputs in (list(found.values()), theirs):
        torch.stack([value.square().sum() for value in outputs]).sum().backward()  # type: ignore[no-untyped-call]
    for (name, ours), other in zip(network.named_parameters(), twin.parameters(), strict=True):
        assert (ours.grad is None) == (other.grad is None), name
        assert ours.grad is None or other.grad is None or torch.equal(ours.grad, other.grad), name


def test_what_only_training_needs_does_not_run_in_evaluation() -> None:
    network = built().eval()
    ran: list[str] = []
    for name, module in network.named_modules():
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
    network(images())
    assert "aux-head.fc" not in ran
    assert "deep.conv" in ran


def test_a_factor_is_a_parameter_of_the_module_around_it_and_starts_at_its_value() -> None:
    parameters = dict(built().named_parameters())
    assert torch.equal(parameters["features.0.gamma"], torch.full((8,), 0.5))
    assert torch.equal(parameters["factor"], torch.ones(5))


def test_the_tools_of_torch_take_it() -> None:
    network = built().eval()
    expected = network(images())

    def assert_same(other: Any) -> None:
        found = other(images())
        assert list(found) == list(expected)
        assert all(torch.equal(found[name], expected[name]) for name in expected)

    assert_same(copy.deepcopy(network))
    assert_same(pickle.loads(pickle.dumps(network)))
    assert_same(torch.fx.symbolic_trace(network))
    assert_same(torch.export.export(network, (images(),)).module())
    assert_same(torch.compile(network, backend="eager"))
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    buffer.seek(0)
    other = resnet_spec.build(BRANCHED).eval()
    other.load_state_dict(torch.load(buffer, weights_only=True), strict=True)
    assert_same(other)


def test_torchvisions_feature_extractor_takes_it() -> None:
    import_torchvision()
    from torchvision.models.feature_extraction import create_feature_extractor

    network = built().eval()
    extractor = create_feature_extractor(network, {"features.1": "low", "up": "up"})
    found = extractor(images())
    assert {name: tuple(value.shape) for name, value in found.items()} == {"low": (2, 8, 16, 16), "up": (2, 16, 8, 8)}


def test_our_feature_extractor_has_the_weights_and_values_of_the_whole_network() -> None:
    text = BRANCHED.partition("outputs:")[0]
    whole = resnet_spec.build(text).eval()
    part = resnet_spec.build(text, outputs=["features.s1", "deep"]).eval()
    keys = part.state_dict().keys()
    assert keys < whole.state_dict().keys()
    part.load_state_dict({key: value for key, value in whole.state_dict().items() if key in keys}, strict=True)
    seen: dict[str, Tensor] = {}
    whole.get_submodule("features.2").register_forward_hook(lambda _, __, output: seen.__setitem__("features.s1", output))
    whole.get_submodule("deep").register_forward_hook(lambda _, __, output: seen.__setitem__("deep", output))
    whole(images())
    found = part(images())
    assert list(found) == ["features.s1", "deep"]
    assert all(torch.equal(found[name], seen[name]) for name in found)
    assert (
        torch.equal(resnet_spec.build(text, outputs="features.1", device="cpu").eval()(images()).detach(), found["deep"])
        is False
    )


def test_a_network_in_groups_runs_in_order_and_can_be_cut_into_segments() -> None:
    text = """
spec: 1
input: 3x8x8
stages: {features: {numbered: true, stages: {a: {op: conv2d, out_channels: 4, kernel_size: 3}, b: relu, c: tanh}}}
head: {pool: {op: mean, over: pixels, keepdim: false}, fc: {op: linear, out_features: 2}}
"""
    network = resnet_spec.build(text)
    assert isinstance(network, BranchedNetwork)
    layers = layers_in_order(network)
    assert [type(layer) for layer in layers[:3]] == [nn.Conv2d, nn.ReLU, nn.Tanh]
    assert len(layers) == 5
    assert len(layers_in_order(built())) == 1
