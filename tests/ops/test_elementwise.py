"""Operations on each value by itself, beside torch's layers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from resnet_spec.ops import OPERATIONS, Problem
from tests.naive_layers import naive_layer
from tests.ops.agreement import bound, check
from tests.ops.shapes import anything, fields, images

pytestmark = pytest.mark.torch

PROBABILITY = st.floats(0, 1)
FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "leaky_relu": {"negative_slope": st.floats(0, 2)},
    "elu": {"alpha": st.floats(0, 2)},
    "gelu": {"approximate": st.sampled_from(["none", "tanh"])},
    "dropout": {"p": PROBABILITY},
    "dropout2d": {"p": PROBABILITY},
    "drop_path": {"p": PROBABILITY},
    "softplus": {"beta": st.floats(0.1, 5), "threshold": st.floats(0, 30)},
    "hardtanh": {"min_val": st.floats(-3, 0.5), "max_val": st.floats(1, 3)},
}
NAMES = (
    *("relu", "relu6", "leaky_relu", "elu", "silu", "gelu", "mish", "hardswish", "hardsigmoid", "sigmoid", "tanh"),
    *("selu", "softplus", "hardtanh", "dropout", "dropout2d", "drop_path", "identity"),
)


@pytest.mark.parametrize("name", NAMES)
def test_the_shape_stays_and_nothing_is_owned(name: str) -> None:
    @given(fields({}, FIELDS.get(name, {})), images() if name == "dropout2d" else anything())
    def agrees(written: dict[str, Any], x: tuple[int, ...]) -> None:
        assert check(name, written, x, x) == "accepted"
        result = bound(name, written, x)
        assert not isinstance(result, Problem)
        assert result[1] == x

    agrees()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("training", [True, False])
def test_the_value_is_that_of_the_naive_layer_and_the_input_is_left_alone(name: str, training: bool) -> None:
    result = bound(name, {}, (3, 4, 5))
    assert not isinstance(result, Problem)
    x = torch.randn(4, 3, 4, 5) * 4
    before = x.clone()
    outputs = []
    for layer in (result[0].layer(), naive_layer(name, {}, (3, 4, 5))):
        torch.manual_seed(1)
        outputs.append(layer.train(training)(x))
    assert torch.equal(*outputs)
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", [name for name, operation in OPERATIONS.items() if operation.inplace and not operation.joins])
def test_an_operation_in_place_writes_over_its_input(name: str) -> None:
    result = bound(name, {}, (3, 4, 5))
    assert not isinstance(result, Problem)
    x = torch.randn(4, 3, 4, 5) * 8
    expected = result[0].layer()(x)
    output = result[0].layer(inplace=True)(x)
    assert output.data_ptr() == x.data_ptr()
    assert torch.equal(output, expected)


def test_drop_path_drops_whole_images_and_keeps_the_mean() -> None:
    result = bound("drop_path", {"p": 0.25}, (2, 3, 3))
    assert not isinstance(result, Problem)
    torch.manual_seed(0)
    output = result[0].layer()(torch.ones(4000, 2, 3, 3))
    images = output.flatten(1)
    assert torch.equal(images, images[:, :1].expand_as(images))
    assert sorted(set(images[:, 0].tolist())) == pytest.approx([0.0, 1 / 0.75])
    assert (images[:, 0] == 0).float().mean().item() == pytest.approx(0.25, abs=0.03)  # 4 deviations of 0.007


def test_drop_path_of_one_drops_everything() -> None:
    result = bound("drop_path", {"p": 1.0}, (2, 3, 3))
    assert not isinstance(result, Problem)
    assert torch.equal(result[0].layer()(torch.ones(5, 2, 3, 3)), torch.zeros(5, 2, 3, 3))


@pytest.mark.parametrize(
    ("name", "written"),
    [("softplus", {"beta": 0.0}), ("hardtanh", {"min_val": 2.0}), ("hardtanh", {"min_val": 1.0, "max_val": 1.0})],
)
def test_numbers_that_torch_divides_by_or_forbids_are_refused(name: str, written: dict[str, Any]) -> None:
    assert check(name, written, (3, 4, 5)) == "out-of-range"
