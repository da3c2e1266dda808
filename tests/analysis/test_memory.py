"""Memory against what torch holds: tensors that autograd saves, and storages that are alive while the module runs."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import resnet_spec
from resnet_spec.analysis.memory import measure
from tests.networks import different_networks

pytestmark = pytest.mark.torch
ZOO = Path(__file__).parent.parent / "networks" / "zoo"
NETWORKS = [
    *(name for name in different_networks() if not any(each in name for each in ("1202", "152", "wrn", "resnext29"))),
    *(
        str(ZOO / f"{name}.yaml")
        for name in ("seresnet50", "resnetblur50", "resnet50_gn", "densenet121", "mobilenet_v2", "vgg16_bn")
    ),
    str(ZOO / "resnet50_drop_path.yaml"),
    str(ZOO / "resnetv2_50.yaml"),
]


def small(name: str) -> resnet_spec.Analysis:
    """The network at a small size where it accepts one."""
    analysis = resnet_spec.analyze(name)
    return analysis if (64, 64) not in analysis.accepted else resnet_spec.analyze(name, input=(analysis.input[0], 64, 64))


@pytest.mark.parametrize("name", NETWORKS)
def test_bytes_kept_for_backward_are_those_that_autograd_saves(name: str) -> None:
    analysis = small(name)
    found = measure(analysis.graph, analysis.input, analysis.shapes, analysis.total, batch=2).saved
    assert found == saved_by_autograd(resnet_spec.build(analysis).train(), torch.randn(2, *analysis.input))


def saved_by_autograd(model: torch.nn.Module, x: torch.Tensor) -> int:
    """The bytes of the storages that autograd saves in a forward pass, without parameters and buffers."""
    own = own_storages(model)
    storages: dict[int, int] = {}
    kept: list[torch.Tensor] = []

    def pack(tensor: torch.Tensor) -> None:  # a node that is given back its own output is never freed
        if tensor.untyped_storage().data_ptr() not in own:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            kept.append(tensor)

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda nothing: nothing):
        model(x)
    kept.clear()  # these hold the graph, and the graph holds the hook
    return sum(storages.values())


def own_storages(model: torch.nn.Module) -> set[int]:
    return {tensor.untyped_storage().data_ptr() for tensor in [*model.parameters(), *model.buffers()]}


class Alive(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the storages that are alive, and the most there ever were."""

    def __init__(self, own: set[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.own = own
        self.sizes: dict[int, int] = {}
        self.holders: dict[int, int] = {}
        self.now = self.peak = 0

    def watch(self, tensor: torch.Tensor) -> None:
        key = tensor.untyped_storage().data_ptr()
        if key in self.own:  # a view of a weight
            return
        if key not in self.holders:
            self.sizes[key] = tensor.untyped_storage().nbytes()
            self.now += self.sizes[key]
        self.holders[key] = self.holders.get(key, 0) + 1
        weakref.finalize(tensor, self.forget, key)
        self.peak = max(self.peak, self.now)

    def forget(self, key: int) -> None:
        self.holders[key] -= 1
        if self.holders[key] == 0:
            del self.holders[key]
            self.now -= self.sizes.pop(key)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        known = {id(value) for value in args if isinstance(value, torch.Tensor)}
        for value in result if isinstance(result, tuple | list) else (result,):
            if isinstance(value, torch.Tensor) and id(value) not in known and value.numel():
                self.watch(value)
        return result


@pytest.mark.parametrize("name", NETWORKS)
def test_the_peak_of_inference_is_what_is_alive_when_the_module_runs(name: str) -> None:
    analysis = small(name)
    found = measure(analysis.graph, analysis.input, analysis.shapes, analysis.total).peak
    assert found == peak_of_storages(resnet_spec.build(analysis).eval(), torch.randn(1, *analysis.input))


def peak_of_storages(model: torch.nn.Module, x: torch.Tensor) -> int:
    """The most bytes of storages that are alive at once while a module runs, without parameters and buffers."""
    alive = Alive(own_storages(model))
    alive.watch(x)
    with torch.no_grad(), alive:
        model(x)
    return alive.peak


BEFORE_ANY_WEIGHT = """
spec: 1
input: 3x12x12
blocks:
  gated:
    branch: {conv: {op: conv2d, out_channels: 3, kernel_size: 3, padding: 1}, sig: sigmoid}
    join: multiply
stages:
  relu: relu
  pool: {op: max_pool2d, kernel_size: 2}
  silu: silu
  gate: gated
  tanh: tanh
"""


def test_nothing_is_kept_of_operations_before_the_first_weight() -> None:
    """The images need no gradient, so neither do values that no weight has touched."""
    analysis = resnet_spec.analyze(BEFORE_ANY_WEIGHT)
    found = measure(analysis.graph, analysis.input, analysis.shapes, analysis.total, batch=2).saved
    assert found == saved_by_autograd(resnet_spec.build(analysis).train(), torch.randn(2, *analysis.input))
