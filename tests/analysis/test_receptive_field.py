"""Receptive fields against gradients: the box of input pixels that a pixel depends on when all weights are one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import resnet_spec
from resnet_spec.analysis.receptive_field import receptive_fields

pytestmark = pytest.mark.torch

MIXED = """
spec: 1
input: 2x40x47
blocks:
  two:
    branch:
      a: {op: conv2d, out_channels: 2, kernel_size: [5, 1], padding: [2, 0], stride: 2}
    shortcut:
      p: {op: pad, padding: [1, 0, 2, 1]}
      b: {op: conv2d, out_channels: 2, kernel_size: [4, 2], stride: 2}
    join: add
stages:
  c: {op: conv2d, out_channels: 2, kernel_size: 3, padding: 4, dilation: 2}
  x: two
  d: {op: blur_pool2d, mode: constant}
  e: {op: conv2d, out_channels: 2, kernel_size: [1, 3], padding: same}
"""


def open_everything(model: nn.Module) -> nn.Module:
    """All weights one, and pools that average, so that every pixel that is read has a gradient."""
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.MaxPool2d):
            average = nn.AvgPool2d(module.kernel_size, module.stride, module.padding)
            parent = model.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], average)
        weight = getattr(module, "weight", None)
        if isinstance(weight, nn.Parameter):
            nn.init.ones_(weight)
    return model.double().eval()


@pytest.mark.parametrize("spec", [MIXED, "resnet18", "cifar_resnet20", "pokemon_resnet18", "variants/resnet18_96px"])
def test_fields_are_the_boxes_of_input_gradients(spec: str) -> None:
    analysis = resnet_spec.analyze(spec)
    compare_with_gradients(analysis, open_everything(resnet_spec.build(analysis)))


def compare_with_gradients(analysis: resnet_spec.Analysis, model: nn.Module, everywhere: bool = False) -> int:
    """Assert that the fields are the support of input gradients; returns the number of pixels compared.

    Of most nodes one pixel is looked at, or `everywhere` every pixel of the smallest row and column.
    """
    fields = receptive_fields(analysis.graph, analysis.input, analysis.shapes)
    outputs: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: torch.Tensor) -> torch.Tensor:
            outputs[name] = output
            return output.clone()  # the next operation may overwrite it

        return hook

    for node in analysis.graph.nodes:
        model.get_submodule(node.name).register_forward_hook(keep(node.name))
    x = torch.ones(1, *analysis.input, dtype=torch.float64, requires_grad=True)
    model(x * 1.0)
    compared = 0
    for number, (node, field, shape) in enumerate(zip(analysis.graph.nodes, fields, analysis.shapes, strict=True)):
        if len(shape) != 3 or (number % 3 and number + 8 < len(fields) and not everywhere):
            continue
        middle = (shape[1] // 2, shape[2] // 3)
        pixels = [middle]
        if everywhere:
            pixels = [(i, middle[1]) for i in range(shape[1])] + [(middle[0], j) for j in range(shape[2])]
        for at in pixels:
            values = outputs[node.name][0, :, at[0], at[1]]
            weighted = values @ torch.arange(1, len(values) + 1, dtype=torch.float64)  # a softmax adds up to a constant
            (gradient,) = torch.autograd.grad(weighted, x, retain_graph=True)
            touched = gradient[0].abs().sum(0).nonzero()
            compared += 1
            for axis, along in enumerate((field.height, field.width)):
                size = analysis.input[1 + axis]
                start, stop = (0, size) if field.whole else (along.first(at[axis]), along.last(at[axis]) + 1)
                assert int(touched[:, axis].min()) == max(0, start), node.name
                found = int(touched[:, axis].max()) + 1
                if everywhere or stop <= size - 8:
                    assert found == min(size, stop), (node.name, at)
                else:  # strides may leave the last pixels unread
                    assert size - 8 < found <= min(size, stop), node.name
    return compared


def test_the_field_of_resnet_is_the_published_one() -> None:
    """Araujo et al. 2019, Table 1: 483 pixels for ResNet-50, 1027 for ResNet-101, 1507 for ResNet-152."""
    sizes = {}
    for name in ("resnet50", "resnet101", "resnet152"):
        analysis = resnet_spec.analyze(name)
        fields = receptive_fields(analysis.graph, analysis.input, analysis.shapes)
        before_pool = max(i for i, node in enumerate(analysis.graph.nodes) if node.name.startswith("layer4"))
        sizes[name] = fields[before_pool].size[0]
    assert sizes["resnet101"] - sizes["resnet50"] == 1027 - 483
    assert sizes["resnet152"] - sizes["resnet101"] == 1507 - 1027
