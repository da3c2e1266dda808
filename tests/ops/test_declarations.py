"""What operations declare about themselves, compared with the layers of torch and timm."""

from __future__ import annotations

from math import floor
from typing import Any, get_args

import pytest
import torch
from torch import nn

from resnet_spec.ops import OPERATIONS, Operation, Problem, Shape
from resnet_spec.ops.definition import Dependence, Family, Kept
from tests.naive_layers import naive_layer

pytestmark = pytest.mark.torch

REQUIRED: dict[str, dict[str, Any]] = {
    "conv2d": {"out_channels": 4, "kernel_size": (3, 3), "padding": (1, 1)},
    "linear": {"out_features": 5},
    "group_norm": {"num_groups": 2},
    "max_pool2d": {"kernel_size": (3, 3), "stride": (2, 2)},
    "avg_pool2d": {"kernel_size": (2, 2)},
    "adaptive_avg_pool2d": {"output_size": (3, 3)},
    "adaptive_max_pool2d": {"output_size": (3, 3)},
    "pad": {"padding": (1, 2, 0, 1)},
    "conv_transpose2d": {"out_channels": 4, "kernel_size": (3, 3), "stride": (2, 2), "padding": (1, 1)},
    "conv1d": {"kernel_size": 3, "padding": 1},
    "local_response_norm": {"size": 3},
    "mean": {"over": "channels"},
    "sum": {"over": "channels"},
    "amax": {"over": "channels"},
    "upsample": {"scale_factor": (2, 3), "mode": "bilinear"},
    "pixel_shuffle": {"upscale_factor": 2},
    "pixel_unshuffle": {"downscale_factor": 2},
    "slice": {"start": 1, "stop": 3},
    "channel_shuffle": {"groups": 2},
}
X: Shape = (4, 8, 8)
SINGLE = [name for name, operation in OPERATIONS.items() if not operation.joins]


def bound(name: str, x: Shape = X) -> Operation:
    operation = OPERATIONS[name].bind(REQUIRED.get(name, {}), x)
    assert not isinstance(operation, Problem), operation
    return operation


def naive(name: str, x: Shape = X) -> nn.Module:
    return naive_layer(name, REQUIRED.get(name, {}), x).double()


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_declares_its_family_and_what_it_depends_on(name: str) -> None:
    """Neither has a default: a definition that leaves one out is not complete."""
    operation = OPERATIONS[name]
    assert operation.name == name
    assert operation.family in get_args(Family)
    assert operation.depends in get_args(Dependence)
    assert (operation.family == "join") == (operation.joins is not None) == bool(operation.symbol)
    assert operation.__doc__


def test_an_operation_without_them_has_none() -> None:
    assert not hasattr(Operation, "family")
    assert not hasattr(Operation, "depends")


@pytest.mark.parametrize("name", SINGLE)
def test_an_output_pixel_depends_on_what_is_declared(name: str) -> None:
    """By the Jacobian of the layer in evaluation. The statistics of group norm do not count, and they have no others."""
    operation = bound(name)
    layer = naive(name).eval()
    if name in ("group_norm", "instance_norm"):
        assert operation.depends == ("channels" if name == "group_norm" else "pointwise")
        return
    torch.manual_seed(0)
    x = torch.rand(1, *X, dtype=torch.float64) + 0.5
    output = layer(x)
    if output.ndim < 4 or operation.reads(0) is None:
        assert operation.depends == "whole"
        return
    jacobian = torch.autograd.functional.jacobian(layer, x)[0, ..., 0, :, :, :]  # type: ignore[no-untyped-call]
    reads = operation.reads(0), operation.reads(1)
    other_channels = False
    for row, *pixel in ((0, 1, 2), (1, 2, 1), (3, 0, 0)):
        at = (row % output.shape[1], *pixel)
        channels, rows, columns = (set(axis.tolist()) for axis in jacobian[at].nonzero().T)
        other_channels |= channels != {at[0]}
        for pixels, by, i in zip((rows, columns), reads, at[1:], strict=True):
            assert by is not None
            first = by.start + i * by.step
            assert pixels <= set(range(floor(first), floor(first + by.size - 1) + 1))
        match operation.depends:
            case "pointwise":
                assert channels <= {at[0]}
                assert rows <= {at[1]}
                assert columns <= {at[2]}
            case "channels":
                assert rows | columns <= {at[1], at[2]}
    if operation.depends == "channels":
        assert other_channels
    if operation.depends == "window":
        assert any(by is not None and (by.size, by.step, by.start) != (1, 1, 0) for by in reads)


@pytest.mark.parametrize("name", SINGLE)
def test_only_windows_and_whole_images_change_the_size(name: str) -> None:
    operation = bound(name)
    if operation.depends in ("pointwise", "channels"):
        shape = operation.shape(X)
        assert not isinstance(shape, Problem)
        assert operation.axes(X)[1:] == (Kept(1), Kept(2))
        assert shape[1:] == X[1:]


@pytest.mark.parametrize("name", [name for name in SINGLE if OPERATIONS[name].family == "activation"])
def test_activations_without_negative_values_declare_it(name: str) -> None:
    lowest = float(naive(name)(torch.linspace(-8, 8, 4 * 64, dtype=torch.float64).reshape(1, *X)).min())
    assert bound(name).nonnegative == (lowest >= 0)


@pytest.mark.parametrize("name", SINGLE)
def test_what_removes_the_mean_of_a_channel_declares_it(name: str) -> None:
    """A constant added to a channel, as a bias is, changes nothing behind it in training."""
    layer = naive(name).train()
    if "drop" in name or "pool" in name:
        return
    torch.manual_seed(1)
    x = torch.randn(3, *X, dtype=torch.float64)
    shifted = x + torch.tensor([1.0, -2.0, 3.0, 0.5], dtype=torch.float64)[:, None, None]
    assert bound(name).removes_mean == torch.allclose(layer(x), layer(shifted))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", SINGLE)
def test_what_returns_its_input_shares_its_memory(name: str, training: bool) -> None:
    x = torch.randn(2, *X, dtype=torch.float64)
    output = naive(name).train(training)(x)
    shares = output.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    assert bound(name).returns_input(training) == shares


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("groups", [2, 4])
@pytest.mark.parametrize("name", ["batch_norm", "group_norm", "layer_norm", "instance_norm"])
def test_norms_that_need_two_pixels_declare_it(name: str, groups: int, training: bool) -> None:
    written = {"num_groups": groups} if name == "group_norm" else {}
    operation = OPERATIONS[name].bind(written, (4, 2, 2))
    assert not isinstance(operation, Problem)
    layer = naive_layer(name, written, (4, 1, 1)).train(training)
    try:
        layer(torch.zeros(1, 4, 1, 1))
        refused = False
    except ValueError:
        refused = True
    assert operation.needs_two_pixels(training) == refused


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("x", [(6,), (6, 4, 5)])
def test_what_fixes_a_size_accepts_no_other(name: str, x: Shape) -> None:
    """Vectors of another length, and maps of another width, are refused where the axis is declared to be fixed."""
    operation = OPERATIONS[name].bind(REQUIRED.get(name, {}), x)
    if isinstance(operation, Problem) or isinstance(operation.shape(x), Problem):
        return
    fixed = operation.fixes_size(x)
    assert all(x[axis] == length for axis, length in fixed.items())
    for axis in range(0 if len(x) == 1 else 1, len(x)):
        other = tuple(n + 2 if at == axis else n for at, n in enumerate(x))
        assert isinstance(operation.shape(other), Problem) == (axis in fixed), (name, axis)


@pytest.mark.parametrize("name", OPERATIONS)
def test_only_operations_with_a_weight_draw_one(name: str) -> None:
    operation = bound(name) if name in SINGLE else OPERATIONS[name]()
    if operation.draws_weight:
        assert any(tensor.name == "weight" and len(tensor.shape) > 1 for tensor in operation.tensors())


def test_uninitialized_layers_are_plain_layers_that_used_no_random_numbers() -> None:
    before = torch.get_rng_state()
    layer = bound("conv2d").layer()
    assert type(layer) is nn.Conv2d
    assert torch.equal(torch.get_rng_state(), before)
    layer.reset_parameters()
    assert not torch.equal(torch.get_rng_state(), before)
