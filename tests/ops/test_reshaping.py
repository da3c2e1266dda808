"""flatten and pad beside torch's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import assume, event, example, given, settings
from hypothesis import strategies as st

from resnet_spec.ops import OPERATIONS, Problem
from tests.naive_layers import naive_layer
from tests.ops.agreement import bound, check
from tests.ops.shapes import anything, fields, sizes

pytestmark = pytest.mark.torch

AXIS = st.integers(-6, 5)
FLATTEN = fields({}, {"start_dim": AXIS, "end_dim": AXIS})
PAD = fields(
    {"padding": st.sampled_from([2, 4, 6]).flatmap(lambda n: st.tuples(*[st.integers(0, 5)] * n))},
    {"mode": st.sampled_from(["constant", "reflect", "replicate", "circular"]), "value": st.floats(-2, 2)},
)


def joins_images(written: dict[str, Any], x: tuple[int, ...]) -> bool:
    """Whether a flatten would take the batch for an axis of the image: the one thing torch does that we refuse."""
    rank = len(x) + 1
    return any(axis in (0, -rank) for axis in (written.get("start_dim", 1), written.get("end_dim", -1)))


@settings(max_examples=300)
@given(FLATTEN, anything())
@example({"start_dim": 3, "end_dim": 2}, (2, 3, 4))
@example({"start_dim": 2}, (2, 3, 4))
def test_flatten_joins_the_axes_that_torchs_does_or_is_refused_by_both(written: dict[str, Any], x: tuple[int, ...]) -> None:
    assume(not joins_images(written, x))
    event(check("flatten", written, x))


@pytest.mark.parametrize("written", [{"start_dim": 0}, {"start_dim": -4}, {"start_dim": 0, "end_dim": 0}])
def test_flatten_never_joins_images(written: dict[str, Any]) -> None:
    result = bound("flatten", written, (2, 3, 4))
    assert isinstance(result, Problem)
    assert result.code == "wrong-axis"


@settings(max_examples=400)
@given(PAD, anything(), st.tuples(sizes(), sizes()))
@example({"padding": (4, 4, 4, 4), "mode": "reflect"}, (2, 5, 5), (4, 4))
@example({"padding": (5, 5, 5, 5), "mode": "circular"}, (2, 5, 5), (4, 4))
@example({"padding": (0, 0, 0, 0, 1, 1), "mode": "circular"}, (2, 5, 5), (4, 4))
@example({"padding": (1, 1, 1, 1), "mode": "reflect"}, (10,), (4, 4))
@example({"padding": (1, 1), "mode": "reflect"}, (2, 5, 5), (4, 4))
def test_pad_has_torchs_shape_or_is_refused_by_both(
    written: dict[str, Any], x: tuple[int, ...], other: tuple[int, int]
) -> None:
    if len(written["padding"]) // 2 > len(x):  # torch would pad the batch
        result = bound("pad", written, x)
        assert isinstance(result, Problem)
        assert result.code == "wrong-rank"
        return
    event(check("pad", written, x, (x[0], *other) if len(x) == 3 else x))


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [(1, 2, 3, 0), (0, 0, 0, 0, 1, 2)])
def test_pad_adds_the_values_that_torchs_does(mode: str, padding: tuple[int, ...]) -> None:
    written = {"padding": padding, "mode": mode, "value": 0.5}
    result = bound("pad", written, (3, 4, 5))
    assert not isinstance(result, Problem)
    x = torch.randn(2, 3, 4, 5)
    assert torch.equal(result[0].layer()(x), naive_layer("pad", written, (3, 4, 5))(x))


def test_pad_takes_no_negative_numbers() -> None:
    metadata = OPERATIONS["pad"].__dataclass_fields__["padding"].metadata["spec"]
    assert metadata["least"] == 0
