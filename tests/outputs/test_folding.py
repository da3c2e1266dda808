"""Folded batch norm: the spec that is written, and what its network computes, against torch's own folding."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

import resnet_spec
from resnet_spec.compiler import Analysis
from resnet_spec.inference.export_changes import fold_network
from resnet_spec.language.writer import write_data
from resnet_spec.outputs.folding import fold_norms

# Each layer that has a bias for each channel, with groups, under a norm; and norms that nothing can take.
SPEC = """
spec: 1
name: folded
input: 4x9x9
outputs: {main: fc, maps: {from: alone}, aux: {from: side, training_only: true}}
stem:
  conv: {op: conv2d, out_channels: 6, kernel_size: [3, 1], padding: [1, 0], groups: 2, bias: false}
  bn: {op: batch_norm, eps: 1e-3}
  relu: relu
  up.0: {op: conv_transpose2d, out_channels: 4, kernel_size: 2, stride: 2, groups: 2}
  up.1: batch_norm
  alone: {op: conv2d, out_channels: 4, kernel_size: 3}
  after_an_output: batch_norm
  standardized: {op: conv2d, out_channels: 4, kernel_size: 3, weight_standardization: true}
  of_batch: {op: batch_norm, affine: false}
head:
  pixels: {op: linear, over: channels, out_features: 5, bias: false}
  of_pixels: {op: batch_norm, affine: false}
  join: {op: concat, from: [of_pixels, of_batch]}
  pool: {op: adaptive_avg_pool2d, output_size: 1}
  flatten: flatten
  fc1: {op: linear, out_features: 7}
  bn1: batch_norm
  fc: {op: linear, out_features: 3}
  side: {op: linear, from: flatten, out_features: 2}
"""
FOLDS = [("conv", "bn"), ("up.0", "up.1"), ("pixels", "of_pixels"), ("fc1", "bn1")]
KEPT = ("after_an_output", "of_batch")


def text_of(analysis: Analysis) -> str:
    return write_data(fold_norms(analysis.graph).spec)


def with_statistics(analysis: Analysis) -> resnet_spec.Network:
    """A network whose batch norms have seen images."""
    torch.manual_seed(0)
    network = resnet_spec.build(analysis)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            if module.affine:
                nn.init.normal_(module.weight)
                nn.init.normal_(module.bias)
    return network.eval()


def test_norms_directly_behind_a_layer_are_folded() -> None:
    folded = fold_norms(resnet_spec.analyze(SPEC).graph)
    assert [(fold.layer.name, fold.norm.name) for fold in folded.folds] == FOLDS
    assert folded.kept == KEPT


def test_the_folded_spec_is_a_spec_of_fewer_parameters() -> None:
    before = resnet_spec.analyze("resnet18")
    after = resnet_spec.analyze(text_of(before))
    names = [node.op.name for node in after.graph.nodes]
    assert "batch_norm" not in names
    # He et al. 2016: 20 convolutions; each norm of C channels had 2 C parameters, of which a bias of C stays.
    channels = sum(node.op.tensors()[0].shape[0] for node in after.graph.nodes if node.op.name == "conv2d")
    assert before.total.params - after.total.params == channels == 4800
    assert (before.output, before.accepted.squares) == (after.output, after.accepted.squares)
    difference = str(resnet_spec.diff(before, after))
    assert "stem.bn1 removed" in difference
    assert "conv2d with bias false -> true" in difference


@pytest.mark.parametrize("name", ["torchvision/convnext_tiny", "torchvision/alexnet", "mnist/lenet5", "timm/resnet50_gn"])
def test_a_network_without_batch_norm_is_written_as_it_is(name: str) -> None:
    """The flat spec of its operations is the same function, by the hash of its graph."""
    before = resnet_spec.analyze(name)
    assert resnet_spec.analyze(text_of(before)).fingerprint == before.fingerprint


def test_weights_and_biases_are_those_of_torch() -> None:
    analysis = resnet_spec.analyze(SPEC)
    network = with_statistics(analysis)
    modules = dict(network.named_modules())
    _, without = fold_network(network, fold_norms(analysis.graph), text_of(analysis), analysis.input)
    found = without.state_dict()
    for layer, norm in FOLDS:
        module, behind = modules[layer], modules[norm]
        if layer == "pixels":  # a subclass of ours
            module = nn.Linear(4, 5, bias=False).eval()
            module.load_state_dict(modules[layer].state_dict())
        assert isinstance(behind, nn.BatchNorm1d | nn.BatchNorm2d)
        if not behind.affine:  # torch folds no linear layer without the weight of a norm, which is 1 here
            behind.weight, behind.bias = (nn.Parameter(value) for value in (torch.ones(5), torch.zeros(5)))
        wanted: nn.Module
        match module:
            case nn.Linear():
                wanted = fuse_linear_bn_eval(module, behind)
            case nn.Conv2d():
                wanted = fuse_conv_bn_eval(module, behind)
            case _:
                continue  # torch folds no transposed convolution with groups: the outputs are compared below
        for key, tensor in wanted.state_dict().items():
            torch.testing.assert_close(found[f"{layer}.{key}"], tensor)


def test_outputs_are_the_same() -> None:
    analysis = resnet_spec.analyze(SPEC)
    network = with_statistics(analysis)
    after, without = fold_network(network, fold_norms(analysis.graph), text_of(analysis), analysis.input)
    assert set(without.state_dict()) < set(network.state_dict()) | {f"{layer}.bias" for layer, _ in FOLDS}
    x = torch.randn(3, 4, 9, 9)
    wanted, found = network(x), without(x)
    assert isinstance(found, dict)
    assert list(found) == list(wanted) == ["main", "maps"]
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5)
    assert list(after.outputs) == ["main", "maps", "aux"]
