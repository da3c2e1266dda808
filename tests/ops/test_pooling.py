"""Pools beside torch's layers, and the blur beside timm's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from resnet_spec.ops import OPERATIONS, Problem
from tests.naive_layers import naive_layer
from tests.ops.agreement import bound, check
from tests.ops.shapes import fields, images, pairs, sizes

pytestmark = pytest.mark.torch

WINDOW: dict[str, st.SearchStrategy[Any]] = {"stride": pairs(1, 5), "padding": pairs(0, 3), "ceil_mode": st.booleans()}
MAX_POOL = fields({"kernel_size": pairs(1, 6)}, {**WINDOW, "dilation": pairs(1, 3)})
AVG_POOL = fields({"kernel_size": pairs(1, 6)}, {**WINDOW, "count_include_pad": st.booleans()})
BLUR = fields(
    {},
    {
        "kernel_size": st.integers(2, 9),
        "stride": st.integers(1, 4),
        "mode": st.sampled_from(["reflect", "replicate", "constant"]),
    },
)
# the last window of `ceil_mode` would begin in the right padding: torch drops it
DROPPED = {"kernel_size": (2, 2), "stride": (3, 3), "padding": (1, 1), "ceil_mode": True}
# half of the spread-out kernel, and more than half of the kernel
DILATED = {"kernel_size": (3, 3), "stride": (1, 1), "padding": (2, 2), "dilation": (2, 2)}
# `ceil_mode` lets a window stand that reaches past the end although it never fits
REACHING = {"kernel_size": (6, 6), "stride": (2, 2), "ceil_mode": True}


@settings(max_examples=400)
@given(MAX_POOL, images(), st.tuples(sizes(), sizes()))
@example(DROPPED, (1, 4, 4), (5, 5))
@example(DILATED, (1, 9, 9), (9, 9))
@example(REACHING, (1, 5, 5), (4, 4))
def test_max_pool2d_has_torchs_shape_or_is_refused_by_both(
    written: dict[str, Any], x: tuple[int, int, int], other: tuple[int, int]
) -> None:
    event(check("max_pool2d", written, x, (x[0], *other)))


@settings(max_examples=400)
@given(AVG_POOL, images(), st.tuples(sizes(), sizes()))
@example(DROPPED, (1, 4, 4), (5, 5))
@example(REACHING, (1, 5, 5), (4, 4))
def test_avg_pool2d_has_torchs_shape_or_is_refused_by_both(
    written: dict[str, Any], x: tuple[int, int, int], other: tuple[int, int]
) -> None:
    event(check("avg_pool2d", written, x, (x[0], *other)))


def test_the_window_that_would_begin_in_the_padding_is_dropped() -> None:
    result = bound("max_pool2d", DROPPED, (1, 4, 4))
    assert not isinstance(result, Problem)
    operation, shape = result
    assert shape == (1, 2, 2)  # ceil((4 + 2 - 2) / 3) + 1 = 3, and the third would begin at pixel 6 of 5
    assert operation.arithmetic((1, 4, 4)).endswith("= 3, less a window that begins in the padding = 2")


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("max_pool2d", {"kernel_size": (3, 3), "padding": (2, 0)}),
        ("max_pool2d", DILATED),
        ("avg_pool2d", {"kernel_size": (2, 3), "padding": (1, 2)}),
    ],
)
def test_padding_of_more_than_half_a_kernel_is_refused_by_both(name: str, written: dict[str, Any]) -> None:
    assert check(name, written, (2, 9, 9)) == "padding-too-large"


@given(
    st.sampled_from(["adaptive_avg_pool2d", "adaptive_max_pool2d"]),
    fields({"output_size": pairs(1, 9)}, {}),
    images(),
    st.tuples(sizes(), sizes()),
)
def test_adaptive_pools_give_what_is_asked_whatever_enters(
    name: str, written: dict[str, Any], x: tuple[int, int, int], other: tuple[int, int]
) -> None:
    assert check(name, written, x, (x[0], *other)) == "accepted"


@settings(max_examples=200)
@given(BLUR, images(), st.tuples(sizes(), sizes()))
def test_blur_pool2d_has_timms_shape_or_is_refused_by_both(
    written: dict[str, Any], x: tuple[int, int, int], other: tuple[int, int]
) -> None:
    event(check("blur_pool2d", written, x, (x[0], *other)))


@pytest.mark.parametrize("kernel_size", [2, 3, 5])
@pytest.mark.parametrize("mode", ["reflect", "replicate", "constant"])
def test_blur_pool2d_computes_what_timms_does(kernel_size: int, mode: str) -> None:
    written = {"kernel_size": kernel_size, "stride": 2, "mode": mode}
    result = bound("blur_pool2d", written, (4, 11, 8))
    assert not isinstance(result, Problem)
    x = torch.randn(2, 4, 11, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(result[0].layer()(x), naive_layer("blur_pool2d", written, (4, 11, 8))(x))


@pytest.mark.parametrize(
    "name", ["max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "blur_pool2d", "dropout2d"]
)
@pytest.mark.parametrize("x", [(12,), (3, 4)])
def test_operations_on_images_refuse_anything_else(name: str, x: tuple[int, ...]) -> None:
    required: dict[str, Any] = {"max_pool2d": {"kernel_size": (1, 1)}, "avg_pool2d": {"kernel_size": (1, 1)}}.get(name, {})
    if name.startswith("adaptive"):
        required = {"output_size": (1, 1)}
    result = OPERATIONS[name].bind(required, x)
    assert isinstance(result, Problem)
    assert result.code == "wrong-rank"
