"""add, subtract, multiply and concat beside torch's functions, which broadcast where we refuse."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from resnet_spec.ops import OPERATIONS, Problem
from tests.measure import REFUSALS
from tests.naive_layers import Shape, naive_layer

pytestmark = pytest.mark.torch

SHAPE = st.one_of(st.tuples(*[st.integers(1, 3)] * 3), st.tuples(st.integers(1, 3)))
SHAPES = st.one_of(
    st.lists(SHAPE, min_size=2, max_size=4),
    st.tuples(SHAPE, st.integers(2, 4)).map(lambda drawn: [drawn[0]] * drawn[1]),
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.booleans()).map(  # an image and its gate, in either order
        lambda drawn: [(drawn[0], drawn[1], 2), (drawn[0], 1, 1)][:: -1 if drawn[2] else 1]
    ),
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.booleans()).map(  # and a gate of one channel
        lambda drawn: [(drawn[0], drawn[1], 2), (1, drawn[1], 2)][:: -1 if drawn[2] else 1]
    ),
)


def torchs(name: str, inputs: list[Shape]) -> Shape | None:
    try:
        output = naive_layer(name, {}, inputs[0])(*[torch.empty((2, *x), device="meta") for x in inputs])
    except REFUSALS:
        return None
    return tuple(output.shape[1:])


def is_gate(inputs: list[Shape]) -> bool:
    """Whether everything is one image, or one number for each of its channels or for each of its pixels."""
    return any(len(x) == 3 and all(each in (x, (x[0], 1, 1), (1, x[1], x[2])) for each in inputs) for x in inputs)


@given(SHAPES)
def test_add_takes_equal_shapes_only(inputs: list[Shape]) -> None:
    result = OPERATIONS["add"]().shape(*inputs)
    assert isinstance(result, Problem) == (len(set(inputs)) > 1)
    if not isinstance(result, Problem):
        assert result == torchs("add", inputs)


@given(SHAPES)
def test_multiply_takes_equal_shapes_and_gates_only(inputs: list[Shape]) -> None:
    result = OPERATIONS["multiply"]().shape(*inputs)
    assert isinstance(result, Problem) == (len(set(inputs)) > 1 and not is_gate(inputs))
    if not isinstance(result, Problem):
        assert result == torchs("multiply", inputs)


@given(SHAPES)
def test_concat_has_torchs_shape_or_is_refused_by_both(inputs: list[Shape]) -> None:
    result = OPERATIONS["concat"]().shape(*inputs)
    assert (None if isinstance(result, Problem) else result) == torchs("concat", inputs)


@given(SHAPES)
def test_subtract_takes_two_equal_shapes_only(inputs: list[Shape]) -> None:
    result = OPERATIONS["subtract"]().shape(*inputs)
    assert isinstance(result, Problem) == (len(set(inputs)) > 1 or len(inputs) != 2)
    if isinstance(result, Problem):
        assert result.code == ("wrong-length" if len(inputs) != 2 else "shape-mismatch")


@pytest.mark.parametrize(
    ("name", "count"), [("subtract", 2), *((name, count) for name in ("add", "multiply", "concat") for count in (2, 3))]
)
def test_the_layer_computes_what_the_function_does(name: str, count: int) -> None:
    values = [torch.randn(2, 3, 4, 5) for _ in range(count)]
    copies = [value.clone() for value in values]
    torch.testing.assert_close(OPERATIONS[name]().layer()(*values), naive_layer(name, {}, (3, 4, 5))(*values))
    assert all(torch.equal(value, copy) for value, copy in zip(values, copies, strict=True))


def test_a_gate_scales_each_channel() -> None:
    image, gate = torch.randn(2, 3, 4, 5), torch.rand(2, 3, 1, 1)
    layer = OPERATIONS["multiply"]().layer()
    expected = torch.einsum("nchw,nc->nchw", image, gate[:, :, 0, 0])
    torch.testing.assert_close(layer(image, gate), expected)
    torch.testing.assert_close(layer(gate, image), expected)


def test_a_gate_of_one_channel_scales_each_pixel() -> None:
    image, gate = torch.randn(2, 3, 4, 5), torch.rand(2, 1, 4, 5)
    layer = OPERATIONS["multiply"]().layer()
    expected = torch.einsum("nchw,nhw->nchw", image, gate[:, 0])
    torch.testing.assert_close(layer(image, gate), expected)
    torch.testing.assert_close(layer(gate, image), expected)


def test_an_add_in_place_writes_over_the_last_value_only() -> None:
    first, last = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    kept, expected = first.clone(), first + last
    output = OPERATIONS["add"]().layer(inplace=True)(first, last)
    assert output.data_ptr() == last.data_ptr()
    assert torch.equal(output, expected)
    assert torch.equal(first, kept)
