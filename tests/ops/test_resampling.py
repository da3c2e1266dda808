"""upsample, pixel_shuffle and pixel_unshuffle beside torch's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from torch import nn

from resnet_spec.ops import OPERATIONS, Problem
from tests.naive_layers import naive_layer
from tests.ops.agreement import bound, check
from tests.ops.shapes import anything, fields, images, pairs, sizes

pytestmark = pytest.mark.torch

MODES = ("nearest", "bilinear", "bicubic", "nearest-exact")
UPSAMPLE = fields(
    {},
    {"scale_factor": pairs(1, 4), "size": pairs(1, 9), "mode": st.sampled_from(MODES), "align_corners": st.booleans()},
)


@settings(max_examples=300)
@given(UPSAMPLE, anything(), st.tuples(sizes(), sizes()))
@example({"scale_factor": (3, 1), "mode": "bilinear", "align_corners": True}, (2, 1, 5), (4, 4))
@example({"size": (3, 7), "mode": "bicubic"}, (2, 5, 5), (1, 1))
def test_upsample_has_torchs_shape_or_is_refused_by_both(
    written: dict[str, Any], x: tuple[int, ...], other: tuple[int, int]
) -> None:
    event(check("upsample", written, x, (x[0], *other)))


@pytest.mark.parametrize("written", [{"scale_factor": (2, 3)}, {"size": (7, 4)}])
@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_upsample_computes_what_torch_does(written: dict[str, Any], corners: bool, mode: str) -> None:
    if corners and mode.startswith("nearest"):
        assert check("upsample", {**written, "mode": mode, "align_corners": True}, (2, 5, 6)) == "conflicting-fields"
        return
    result = bound("upsample", {**written, "mode": mode, "align_corners": corners}, (2, 5, 6))
    assert not isinstance(result, Problem)
    x = torch.randn(3, 2, 5, 6)
    size = (10, 18) if "scale_factor" in written else written["size"]
    expected = nn.functional.interpolate(x, size, mode=mode, align_corners=None if mode.startswith("nearest") else corners)
    assert torch.equal(result[0].layer()(x), expected)


@pytest.mark.parametrize(
    ("written", "code", "proposed"),
    [
        ({}, "missing-field", "2"),
        ({"scale_factor": (2, 2), "size": (7, 7)}, "conflicting-fields", "{op: upsample, scale_factor: 2}"),
        ({"size": (7, 9), "like": True}, "conflicting-fields", None),
        ({"size": (7, 9), "align_corners": True}, "conflicting-fields", "false"),
    ],
)
def test_upsample_needs_exactly_one_size(written: dict[str, Any], code: str, proposed: str | None) -> None:
    result = OPERATIONS["upsample"].bind(written, (2, 5, 6))
    assert isinstance(result, Problem)
    assert result.code == code
    assert (result.proposals[0][0][1] if result.proposals else None) == proposed
    assert result.help


def test_upsample_like_takes_the_size_of_the_second_value() -> None:
    operation = OPERATIONS["upsample"].bind({"like": True, "mode": "bilinear"}, (3, 4, 5))
    assert not isinstance(operation, Problem)
    assert operation.takes_like
    assert operation.shape((3, 4, 5), (8, 9, 7)) == (3, 9, 7)
    refused = operation.shape((3, 4, 5), (8,))
    assert isinstance(refused, Problem)
    assert refused.code == "wrong-rank"
    x, other = torch.randn(2, 3, 4, 5), torch.randn(2, 8, 9, 7)
    expected = naive_layer("upsample", {"mode": "bilinear"}, (3, 4, 5))(x, other)
    torch.testing.assert_close(operation.layer()(x, other), expected)


@given(st.integers(1, 4), st.one_of(images(16), anything()), st.tuples(sizes(), sizes()))
def test_pixel_shuffle_has_torchs_shape_or_is_refused_by_both(factor: int, x: tuple[int, ...], other: tuple[int, int]) -> None:
    event(check("pixel_shuffle", {"upscale_factor": factor}, x, (x[0], *other)))


@given(st.integers(1, 4), st.one_of(images(), anything()), st.tuples(sizes(), sizes()))
def test_pixel_unshuffle_has_torchs_shape_or_is_refused_by_both(
    factor: int, x: tuple[int, ...], other: tuple[int, int]
) -> None:
    event(check("pixel_unshuffle", {"downscale_factor": factor}, x, (x[0], *other)))


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_shuffles_move_the_values_that_torchs_do(factor: int) -> None:
    for name, field, x in (
        ("pixel_shuffle", "upscale_factor", (2 * factor**2, 4, 5)),
        ("pixel_unshuffle", "downscale_factor", (2, 4 * factor, 3 * factor)),
    ):
        result = bound(name, {field: factor}, x)
        assert not isinstance(result, Problem)
        values = torch.randn(2, *x)
        assert torch.equal(result[0].layer()(values), naive_layer(name, {field: factor}, x)(values))


def test_a_size_that_is_no_multiple_is_refused_with_the_factor() -> None:
    result = bound("pixel_unshuffle", {"downscale_factor": 2}, (3, 6, 7))
    assert isinstance(result, Problem)
    assert result.code == "size-not-divisible"
    assert "multiples of 2, not 6x7" in result.message


@pytest.mark.parametrize(
    ("name", "written", "x", "text"),
    [
        ("upsample", {"scale_factor": (2, 2)}, (3, 4, 4), "4 * 2 = 8"),
        ("upsample", {"scale_factor": (2, 3)}, (3, 4, 5), "height: 4 * 2 = 8; width: 5 * 3 = 15"),
        ("upsample", {"size": (7, 9)}, (3, 4, 5), "7x9 for any input size, here 4x5"),
        ("pixel_shuffle", {"upscale_factor": 2}, (8, 4, 5), "8 / 2^2 = 2 channels; 4x5 * 2 = 8x10"),
        ("pixel_unshuffle", {"downscale_factor": 2}, (3, 4, 6), "3 * 2^2 = 12 channels; 4x6 / 2 = 2x3"),
    ],
)
def test_the_arithmetic_is_that_of_the_shape(name: str, written: dict[str, Any], x: tuple[int, ...], text: str) -> None:
    result = bound(name, written, x)
    assert not isinstance(result, Problem)
    assert result[0].arithmetic(x) == text
