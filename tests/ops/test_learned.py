"""prelu and scale: operations on each value with a learned number."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import event, given
from hypothesis import strategies as st

from resnet_spec.ops import OPERATIONS, Problem
from tests.ops.agreement import bound, check
from tests.ops.shapes import anything, fields

pytestmark = pytest.mark.torch


@given(fields({}, {"num_parameters": st.integers(1, 8), "init_value": st.floats(-1, 1)}), anything(), st.integers(0, 2))
def test_prelu_owns_what_torchs_does_or_is_refused_by_both(written: dict[str, Any], x: tuple[int, ...], more: int) -> None:
    event(check("prelu", written, x, (x[0] + more, *x[1:])))


@pytest.mark.parametrize("count", [1, 3])
def test_prelu_computes_what_torchs_does(count: int) -> None:
    result = bound("prelu", {"num_parameters": count, "init_value": 0.1}, (3, 4, 5))
    assert not isinstance(result, Problem)
    x = torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(result[0].layer()(x), torch.where(x > 0, x, x * 0.1))


@given(
    fields({}, {"init_value": st.floats(-2, 2), "tensor_shape": st.sampled_from(["vector", "map"])}),
    anything(),
    st.integers(0, 2),
)
def test_scale_owns_one_tensor_under_its_own_name(written: dict[str, Any], x: tuple[int, ...], more: int) -> None:
    other = (x[0] + more, *x[1:]) if x[0] > 1 or more == 0 else None  # torch would broadcast one factor, or one channel
    event(check("scale", written, x, other))


def scaled(tensor_shape: str, x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """What the operation computes of values `(N, ...)` and a factor."""
    result = bound("scale", {"tensor_shape": tensor_shape}, tuple(x.shape[1:]))
    assert not isinstance(result, Problem)
    found: torch.Tensor = result[0].function()(x, factor)
    return found


@pytest.mark.parametrize(
    ("tensor_shape", "x"), [("vector", (3,)), ("vector", (3, 4)), ("vector", (3, 4, 5)), ("map", (3, 4, 5))]
)
def test_a_scale_multiplies_each_channel(tensor_shape: str, x: tuple[int, ...]) -> None:
    factor, values = torch.randn((3, 1, 1) if tensor_shape == "map" else (3,)), torch.randn(2, *x)
    found = scaled(tensor_shape, values, factor)
    assert found.shape == values.shape
    for channel in range(3):
        assert torch.equal(found[:, channel], values[:, channel] * factor.flatten()[channel])


def test_a_scale_is_those_of_timm_and_torchvision() -> None:
    x, factor = torch.randn(2, 6, 4, 5), torch.randn(6)
    assert torch.equal(scaled("vector", x, factor), x.mul(factor.reshape(1, -1, 1, 1)))  # timm.models.convnext
    assert torch.equal(scaled("map", x, factor[:, None, None]), factor[:, None, None] * x)  # torchvision.models.convnext
    operation = OPERATIONS["scale"].bind({"init_value": 1e-6, "tensor_shape": "map"}, (6, 4, 5))
    assert not isinstance(operation, Problem)
    assert operation.own_tensor
    assert [(tensor.name, tensor.shape) for tensor in operation.tensors()] == [("", (6, 1, 1))]
    assert all((parameter == 1e-6).all() for parameter in operation.layer().parameters())
