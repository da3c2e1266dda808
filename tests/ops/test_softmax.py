"""softmax and log_softmax beside torch's functions, and across groups beside timm's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import event, given, settings
from hypothesis import strategies as st

from resnet_spec.ops import Problem
from tests.naive_layers import naive_layer
from tests.ops.agreement import bound, check
from tests.ops.shapes import anything, fields, images, sizes

pytestmark = pytest.mark.torch

SOFTMAX = fields(
    {},
    {
        "over": st.sampled_from(["channels", "pixels", "groups"]),
        "groups": st.integers(1, 4),
        "cardinality": st.integers(1, 2),
    },
)


@settings(max_examples=300)
@given(SOFTMAX, anything(), st.tuples(sizes(), sizes()))
def test_softmax_keeps_the_shape_or_is_refused_by_both(
    written: dict[str, Any], x: tuple[int, ...], other: tuple[int, int]
) -> None:
    event(check("softmax", written, x, (x[0], *other) if len(x) == 3 else None))


@given(fields({}, {"over": st.sampled_from(["channels", "pixels"])}), anything())
def test_log_softmax_keeps_the_shape_or_is_refused_by_both(written: dict[str, Any], x: tuple[int, ...]) -> None:
    event(check("log_softmax", written, x))


@given(SOFTMAX, images(), st.booleans())
def test_values_are_those_of_the_formula(written: dict[str, Any], x: tuple[int, int, int], is_vector: bool) -> None:
    shape = x[:1] if is_vector else x
    for name in ("softmax", "log_softmax"):
        fields = written if name == "softmax" else {"over": written.get("over", "channels")}
        if name == "log_softmax" and fields["over"] == "groups":
            continue
        result = bound(name, fields, shape)
        if isinstance(result, Problem):
            continue
        values = torch.randn(2, *shape)
        torch.testing.assert_close(result[0].layer()(values), naive_layer(name, fields, shape)(values))


@pytest.mark.parametrize(("radix", "cardinality"), [(2, 1), (2, 2), (4, 2), (3, 1)])
def test_across_groups_it_is_the_radix_softmax_of_resnest(radix: int, cardinality: int) -> None:
    from timm.layers.split_attn import RadixSoftmax

    count = radix * cardinality * 5
    x = torch.randn(3, count, 1, 1)
    result = bound("softmax", {"over": "groups", "groups": radix, "cardinality": cardinality}, (count, 1, 1))
    assert not isinstance(result, Problem)
    expected = RadixSoftmax(radix, cardinality)(x).view(3, -1, 1, 1)
    assert torch.equal(result[0].layer()(x), expected)


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ({"over": "groups"}, "missing-field"),
        ({"groups": 2}, "conflicting-fields"),
        ({"over": "pixels", "cardinality": 2}, "conflicting-fields"),
        ({"over": "groups", "groups": 3}, "groups-do-not-divide"),
        ({"over": "groups", "groups": 2, "cardinality": 4}, "groups-do-not-divide"),
    ],
)
def test_it_says_why_it_is_refused(written: dict[str, Any], code: str) -> None:
    result = bound("softmax", written, (4, 3, 3))
    assert isinstance(result, Problem)
    assert (result.code, bool(result.help)) == (code, True)
