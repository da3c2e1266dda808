"""conv2d and linear beside torch's layers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from resnet_spec.ops import Problem
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
