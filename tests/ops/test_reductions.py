"""mean, sum and amax beside torch's functions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import event, given
from hypothesis import strategies as st

from resnet_spec.ops import Problem
from tests.ops.agreement import bound, check
from tests.ops.shapes import anything, fields, sizes

pytestmark = pytest.mark.torch

NAMES = ("mean", "sum", "amax")
REDUCTION = fields({"over": st.sampled_from(["channels", "pixels"])}, {"keepdim": st.booleans()})


@pytest.mark.parametrize("name", NAMES)
def test_the_shape_is_torchs_or_refused_by_both(name: str) -> None:
    @given(REDUCTION, anything(), st.tuples(sizes(), sizes()))
    def agrees(written: dict[str, Any], x: tuple[int, ...], other: tuple[int, int]) -> None:
        event(check(name, written, x, (x[0], *other)))

    agrees()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("written", "axes", "keepdim"),
    [
        ({"over": "channels"}, [1], True),
        ({"over": "pixels"}, [2, 3], True),
        ({"over": "pixels", "keepdim": False}, [2, 3], False),
    ],
)
def test_the_values_are_those_of_torchs_function(name: str, written: dict[str, Any], axes: list[int], keepdim: bool) -> None:
    result = bound(name, written, (4, 3, 5))
    assert not isinstance(result, Problem)
    x = torch.randn(2, 4, 3, 5)
    expected = getattr(torch, name)(x, axes, keepdim)
    assert torch.equal(result[0].layer()(x), expected)
    assert result[1] == tuple(expected.shape[1:])


def test_channels_are_never_dropped() -> None:
    assert check("mean", {"over": "channels", "keepdim": False}, (4, 3, 5)) == "conflicting-fields"


def test_only_over_pixels_depends_on_the_whole_image() -> None:
    for over in ("channels", "pixels"):
        result = bound("mean", {"over": over}, (4, 3, 5))
        assert not isinstance(result, Problem)
        assert (result[0].reads(0) is None) == (over == "pixels")
