"""flatten, pad, slice and channel_shuffle beside torch's."""

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


@settings(max_examples=300)
@given(fields({}, {"start": st.integers(0, 6), "stop": st.integers(1, 9)}), anything(), st.integers(0, 2))
def test_slice_takes_the_channels_that_an_index_does_or_is_refused_by_both(
    written: dict[str, Any], x: tuple[int, ...], more: int
) -> None:
    event(check("slice", written, x, (x[0] + more, *x[1:])))


@pytest.mark.parametrize("x", [(6,), (6, 4, 5)])
@pytest.mark.parametrize(("start", "stop"), [(0, 3), (2, 5), (3, None), (0, None)])
def test_a_slice_is_a_view_of_some_channels(x: tuple[int, ...], start: int, stop: int | None) -> None:
    result = bound("slice", {"start": start} | ({} if stop is None else {"stop": stop}), x)
    assert not isinstance(result, Problem)
    values = torch.randn(2, *x)
    part = result[0].layer()(values)
    assert torch.equal(part, values[:, start:stop])
    assert part.untyped_storage().data_ptr() == values.untyped_storage().data_ptr()
    assert result[0].returns_input(training=True)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"stop": 9}, "slice stops before channel 9, but its input has 6 channels"),
        ({"start": 6}, "slice from channel 6 to before channel 6 is empty"),
        ({"start": 4, "stop": 3}, "slice from channel 4 to before channel 3 is empty"),
    ],
)
def test_a_slice_says_why_it_is_refused(written: dict[str, int], message: str) -> None:
    result = bound("slice", written, (6, 4, 5))
    assert isinstance(result, Problem)
    assert (result.code, result.message) == ("out-of-range", message)
    ((name, text),) = result.proposals[0]
    assert not isinstance(bound("slice", written | {name: 6 if text == "channels" else int(text)}, (6, 4, 5)), Problem)


@given(st.integers(1, 5), anything(), st.tuples(sizes(), sizes()))
def test_channel_shuffle_keeps_the_shape_or_is_refused_by_both(groups: int, x: tuple[int, ...], other: tuple[int, int]) -> None:
    if len(x) == 2:
        result = bound("channel_shuffle", {"groups": groups}, x)
        assert isinstance(result, Problem)  # torch takes it for an image of one row
        return
    event(check("channel_shuffle", {"groups": groups}, x, (x[0], *other)))


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_channel_shuffle_deals_as_torchs_does(groups: int) -> None:
    x = torch.randn(2, 6, 4, 5)
    result = bound("channel_shuffle", {"groups": groups}, (6, 4, 5))
    assert not isinstance(result, Problem)
    assert torch.equal(result[0].layer()(x), naive_layer("channel_shuffle", {"groups": groups}, (6, 4, 5))(x))
