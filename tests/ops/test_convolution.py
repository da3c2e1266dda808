"""Convolutions and linear beside torch's layers, standardized ones beside timm's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from torch import nn

from resnet_spec.ops import Problem
from tests.naive_layers import naive_layer
from tests.ops.agreement import bound, check
from tests.ops.shapes import anything, fields, images, pairs, sizes

pytestmark = pytest.mark.torch

CONV = fields(
    {"out_channels": st.integers(1, 8), "kernel_size": pairs(1, 5)},
    {
        "stride": pairs(1, 4),
        "padding": st.one_of(pairs(0, 4), st.sampled_from(["same", "valid"])),
        "dilation": pairs(1, 3),
        "groups": st.integers(1, 4),
        "bias": st.booleans(),
        "padding_mode": st.sampled_from(["zeros", "reflect", "replicate", "circular"]),
        "weight_standardization": st.booleans(),
    },
)
TRANSPOSED = fields(
    {"out_channels": st.integers(1, 8), "kernel_size": pairs(1, 5)},
    {
        "stride": pairs(1, 4),
        "padding": pairs(0, 4),
        "output_padding": pairs(0, 3),
        "dilation": pairs(1, 3),
        "groups": st.integers(1, 4),
        "bias": st.booleans(),
    },
)


@settings(max_examples=400)
@given(CONV, images(), st.tuples(sizes(), sizes()))
@example({"out_channels": 2, "kernel_size": (7, 7)}, (3, 6, 6), (7, 7))
@example({"out_channels": 2, "kernel_size": (4, 2), "padding": "same", "dilation": (1, 3)}, (3, 6, 6), (1, 1))
@example({"out_channels": 2, "kernel_size": (3, 3), "padding": (5, 0), "padding_mode": "reflect"}, (3, 6, 6), (5, 5))
@example({"out_channels": 2, "kernel_size": (3, 3), "padding": (6, 0), "padding_mode": "circular"}, (3, 6, 6), (5, 5))
@example({"out_channels": 2, "kernel_size": (3, 3), "padding": (6, 0), "padding_mode": "reflect"}, (3, 6, 6), (7, 7))
def test_conv2d_has_the_shape_and_cost_of_torchs_or_is_refused_by_both(
    written: dict[str, Any], x: tuple[int, int, int], other: tuple[int, int]
) -> None:
    event(check("conv2d", written, x, (x[0], *other)))


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ({"out_channels": 4, "kernel_size": (3, 3), "groups": 3}, "groups-do-not-divide"),
        ({"out_channels": 3, "kernel_size": (3, 3), "groups": 2}, "groups-do-not-divide"),
        ({"out_channels": 4, "kernel_size": (3, 3), "stride": (1, 2), "padding": "same"}, "same-padding-stride"),
        ({"out_channels": 4, "kernel_size": (9, 1)}, "kernel-too-large"),
        ({"out_channels": 4, "kernel_size": (3, 3), "dilation": (4, 4)}, "kernel-too-large"),
        ({"out_channels": 4, "kernel_size": (3, 3), "padding": (8, 8), "padding_mode": "reflect"}, "padding-too-large"),
    ],
)
def test_conv2d_says_why_it_is_refused(written: dict[str, Any], code: str) -> None:
    result = bound("conv2d", written, (4, 8, 8))
    assert isinstance(result, Problem)
    assert result.code == code
    assert check("conv2d", written, (4, 8, 8)) == code


@given(CONV, st.one_of(st.tuples(sizes()), st.tuples(sizes(), sizes())))
def test_conv2d_takes_images_only(written: dict[str, Any], x: tuple[int, ...]) -> None:
    result = bound("conv2d", written, x)
    assert isinstance(result, Problem)
    assert result.code == "wrong-rank"


def test_conv2d_built_for_other_channels_is_refused_by_both() -> None:
    assert check("conv2d", {"out_channels": 4, "kernel_size": (3, 3)}, (3, 8, 8), (4, 8, 8)) == "accepted"


@given(fields({"out_features": st.integers(1, 20)}, {"bias": st.booleans()}), anything(), st.integers(0, 2))
def test_linear_works_on_the_last_axis_as_torchs_does(written: dict[str, Any], x: tuple[int, ...], more: int) -> None:
    assert check("linear", written, x, (*x[:-1], x[-1] + more)) == "accepted"


def test_the_first_convolution_of_resnet_costs_what_the_arithmetic_says() -> None:
    written = {"out_channels": 64, "kernel_size": (7, 7), "stride": (2, 2), "padding": (3, 3), "bias": False}
    result = bound("conv2d", written, (3, 224, 224))
    assert not isinstance(result, Problem)
    operation, shape = result
    assert shape == (64, 112, 112)
    assert operation.macs(shape) == 118_013_952  # 112 * 112 * 64 * 3 * 7 * 7
    assert operation.arithmetic((3, 224, 224)) == "floor((224 + 2*3 - 7) / 2) + 1 = 112"


@settings(max_examples=400)
@given(TRANSPOSED, anything(), st.tuples(sizes(), sizes()))
@example({"out_channels": 1, "kernel_size": (4, 4), "padding": (2, 2)}, (2, 1, 1), (2, 1))
@example({"out_channels": 2, "kernel_size": (1, 1), "padding": (3, 3)}, (2, 9, 9), (6, 7))
def test_conv_transpose2d_has_the_shape_and_cost_of_torchs_or_is_refused_by_both(
    written: dict[str, Any], x: tuple[int, ...], other: tuple[int, int]
) -> None:
    event(check("conv_transpose2d", written, x, (x[0], *other)))


@pytest.mark.parametrize(
    ("written", "code", "proposed"),
    [
        ({"out_channels": 4, "kernel_size": (3, 3), "groups": 3}, "groups-do-not-divide", "2"),
        ({"out_channels": 4, "kernel_size": (3, 3), "output_padding": (1, 0)}, "padding-too-large", "0"),
        ({"out_channels": 4, "kernel_size": (3, 3), "padding": (6, 6)}, "padding-too-large", "4"),
    ],
)
def test_conv_transpose2d_says_why_it_is_refused(written: dict[str, Any], code: str, proposed: str) -> None:
    result = bound("conv_transpose2d", written, (4, 8, 8))
    assert isinstance(result, Problem)
    assert result.code == code
    ((_, text),) = result.proposals[0]
    assert text == proposed
    (field,) = [name for ((name, _),) in result.proposals]
    meant = int(text) if field == "groups" else (int(text), int(text))
    assert not isinstance(bound("conv_transpose2d", {**written, field: meant}, (4, 8, 8)), Problem)


def test_an_enlarging_convolution_costs_what_the_arithmetic_says() -> None:
    written = {"out_channels": 64, "kernel_size": (2, 2), "stride": (2, 2)}
    result = bound("conv_transpose2d", written, (128, 28, 28))
    assert not isinstance(result, Problem)
    operation, shape = result
    assert shape == (64, 56, 56)
    assert operation.macs(shape) == 28 * 28 * 128 * 64 * 2 * 2
    assert operation.arithmetic((128, 28, 28)) == "(28 - 1)*2 + 2 = 56"
    assert operation.caption() == "transposed conv 2x2, 64, x2"


@given(
    fields({"kernel_size": st.integers(1, 7)}, {"padding": st.integers(0, 3), "bias": st.booleans()}),
    anything(),
    st.integers(0, 3),
)
def test_conv1d_slides_along_the_channels_or_is_refused_by_both(written: dict[str, Any], x: tuple[int, ...], more: int) -> None:
    event(check("conv1d", written, x, (x[0] + more, *x[1:])))


@pytest.mark.parametrize("x", [(6,), (6, 1, 1), (6, 3, 4)])
def test_conv1d_computes_what_a_row_of_channels_gives(x: tuple[int, ...]) -> None:
    written = {"kernel_size": 3, "padding": 1}
    result = bound("conv1d", written, x)
    assert not isinstance(result, Problem)
    ours, naive = result[0].layer(), naive_layer("conv1d", written, x)
    naive.load_state_dict({"weight": torch.randn(1, 1, 3), "bias": torch.randn(1)})
    ours.load_state_dict(naive.state_dict())
    values = torch.randn(2, *x)
    torch.testing.assert_close(ours(values), naive(values))


def test_conv1d_is_the_layer_of_efficient_channel_attention() -> None:
    from timm.layers.eca import EcaModule

    theirs = EcaModule(kernel_size=3).eval()
    pool = bound("mean", {"over": "pixels", "keepdim": False}, (8, 5, 6))
    result = bound("conv1d", {"kernel_size": 3, "padding": 1, "bias": False}, (8,))
    assert not isinstance(result, Problem)
    assert not isinstance(pool, Problem)
    ours = result[0].layer()
    ours.load_state_dict({key.removeprefix("conv."): value for key, value in theirs.state_dict().items()})
    x = torch.randn(2, 8, 5, 6)
    gate = ours(pool[0].layer()(x)).sigmoid()[..., None, None]
    assert torch.equal(gate * x, theirs(x))


@given(fields({"out_features": st.integers(1, 20)}, {"bias": st.booleans()}), anything(), st.integers(0, 2))
def test_linear_over_channels_is_a_product_for_each_pixel(written: dict[str, Any], x: tuple[int, ...], more: int) -> None:
    event(check("linear", {**written, "over": "channels"}, x, (x[0], *(n + more for n in x[1:]))))


def test_linear_over_channels_gives_the_bits_of_a_permutation_around_it() -> None:
    """As torchvision's ConvNeXt writes it: permute, linear, permute back."""
    result = bound("linear", {"out_features": 5, "over": "channels"}, (6, 3, 4))
    assert not isinstance(result, Problem)
    layer = result[0].layer()
    theirs = nn.Linear(6, 5)
    layer.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 6, 3, 4)
    assert torch.equal(layer(x), theirs(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


@pytest.mark.parametrize("written", [{}, {"groups": 2}, {"stride": (2, 2), "bias": False}])
def test_a_standardized_convolution_gives_timms_bits(written: dict[str, Any]) -> None:
    from timm.layers.std_conv import StdConv2d

    fields = {"out_channels": 6, "kernel_size": (3, 3), "padding": (1, 1), "bias": True, **written}
    result = bound("conv2d", {**fields, "weight_standardization": True}, (4, 7, 8))
    assert not isinstance(result, Problem)
    layer, theirs = result[0].layer(), StdConv2d(4, **fields)
    layer.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 4, 7, 8)
    assert torch.equal(layer(x), theirs(x))
    assert result[0].caption().startswith("standardized conv 3x3")


def test_one_weight_cannot_be_standardized() -> None:
    written = {"out_channels": 4, "kernel_size": (1, 1), "groups": 4, "weight_standardization": True}
    assert check("conv2d", written, (4, 5, 5)) == "too-few-values"
