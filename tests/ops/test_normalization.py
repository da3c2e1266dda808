"""Norms beside torch's layers."""

from __future__ import annotations

from math import prod
from typing import Any

import pytest
import torch
from hypothesis import event, example, given
from hypothesis import strategies as st

from resnet_spec.ops import Problem
from tests.measure import REFUSALS
from tests.naive_layers import naive_layer
from tests.ops.agreement import bound, check
from tests.ops.shapes import anything, fields, images

pytestmark = pytest.mark.torch

EPS = st.floats(1e-6, 1.0)
BATCH_NORM = fields(
    {}, {"eps": EPS, "momentum": st.floats(0, 1), "affine": st.booleans(), "track_running_stats": st.booleans()}
)
GROUP_NORM = fields({"num_groups": st.integers(1, 6)}, {"eps": EPS, "affine": st.booleans()})
INSTANCE_NORM = fields(
    {}, {"eps": EPS, "momentum": st.floats(0, 1), "affine": st.booleans(), "track_running_stats": st.booleans()}
)
LAYER_NORM = fields({}, {"eps": EPS, "elementwise_affine": st.booleans(), "bias": st.booleans()})


@given(BATCH_NORM, anything(), st.integers(0, 1))
def test_batch_norm_owns_what_torchs_does(written: dict[str, Any], x: tuple[int, ...], more: int) -> None:
    """Without running statistics torch refuses one image with a single value in each channel, which has no variance."""
    tracked = written.get("track_running_stats", True)
    counted = written.get("affine", True) or tracked  # else torch forgets the channels
    refused = not tracked and prod(x[1:]) == 1
    result = check("batch_norm", written, x, (x[0] + (more if counted else 0), *x[1:]))
    assert result == ("too-few-values" if refused else "accepted")
    if not refused:
        assert check("batch_norm", written, x, batch=2) == "accepted"


@given(GROUP_NORM, anything(), st.integers(0, 1))
@example({"num_groups": 4}, (4, 1, 1), 0)
@example({"num_groups": 4}, (4,), 0)
def test_group_norm_owns_what_torchs_does_or_is_refused_by_both(written: dict[str, Any], x: tuple[int, ...], more: int) -> None:
    counted = written.get("affine", True)  # else torch forgets the channels
    event(check("group_norm", written, x, (x[0] + (more if counted else 0), *x[1:])))


@given(LAYER_NORM, images(), st.integers(0, 1))
def test_layer_norm_owns_what_a_norm_over_channels_does(written: dict[str, Any], x: tuple[int, int, int], more: int) -> None:
    assert check("layer_norm", written, x, (x[0], x[1] + more, x[2])) == "accepted"


@given(LAYER_NORM, anything())
def test_layer_norm_of_anything_else_is_torchs_over_the_last_axis(written: dict[str, Any], x: tuple[int, ...]) -> None:
    assert check("layer_norm", written, x) == "accepted"


def test_groups_that_do_not_divide_are_refused_by_both() -> None:
    assert check("group_norm", {"num_groups": 3}, (4, 8, 8)) == "groups-do-not-divide"


@pytest.mark.parametrize("x", [(4, 1, 1), (4,)])
def test_a_group_of_one_value_is_refused_by_both(x: tuple[int, ...]) -> None:
    """torch's group norm refuses one image of it, in evaluation too; there is nothing to normalize."""
    assert check("group_norm", {"num_groups": 4}, x) == "too-few-values"
    assert check("group_norm", {"num_groups": 4}, (4, 2, 1), (4, 1, 1)) == "accepted"
    with pytest.raises(REFUSALS):
        torch.nn.GroupNorm(4, 4).eval()(torch.zeros(1, *x))


@pytest.mark.parametrize("written", [{}, {"bias": False}, {"elementwise_affine": False}, {"eps": 0.5}])
def test_layer_norm_normalises_over_the_channels(written: dict[str, Any]) -> None:
    result = bound("layer_norm", written, (6, 5, 4))
    assert not isinstance(result, Problem)
    ours, naive = result[0].layer(), naive_layer("layer_norm", written, (6, 5, 4))
    for parameter in naive.parameters():
        torch.nn.init.normal_(parameter)
    ours.load_state_dict(naive.state_dict())
    x = torch.randn(2, 6, 5, 4) * 3 + 1
    torch.testing.assert_close(ours(x), naive(x))


@given(INSTANCE_NORM, anything(), st.tuples(st.integers(1, 3), st.integers(1, 3)))
@example({}, (4, 1, 1), (1, 2))
@example({"track_running_stats": True}, (4, 1, 1), (1, 2))
def test_instance_norm_owns_what_torchs_does_or_is_refused_by_both(
    written: dict[str, Any], x: tuple[int, ...], other: tuple[int, int]
) -> None:
    event(check("instance_norm", written, x, (x[0], *other)))


@pytest.mark.parametrize("written", [{}, {"affine": True}, {"affine": True, "track_running_stats": True, "eps": 0.5}])
@pytest.mark.parametrize("training", [True, False])
def test_instance_norm_computes_what_torchs_does(written: dict[str, Any], training: bool) -> None:
    result = bound("instance_norm", written, (3, 4, 5))
    assert not isinstance(result, Problem)
    ours, naive = result[0].layer().train(training), torch.nn.InstanceNorm2d(3, **written).train(training)
    x = torch.randn(2, 3, 4, 5) * 3 + 1
    assert torch.equal(ours(x), naive(x))


@given(
    fields(
        {"size": st.integers(1, 7)},
        {"alpha": st.floats(0, 1), "beta": st.floats(0, 2), "k": st.floats(0.5, 2)},
    ),
    anything(),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_local_response_norm_keeps_the_shape_or_is_refused_by_both(
    written: dict[str, Any], x: tuple[int, ...], other: tuple[int, int]
) -> None:
    event(check("local_response_norm", written, x, (x[0], *other)))


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_local_response_norm_divides_by_the_neighbors(size: int) -> None:
    """By the formula of Krizhevsky et al. 2012, section 3.3, with the mean in place of the sum, as torch has it."""
    result = bound("local_response_norm", {"size": size, "alpha": 0.5, "beta": 0.75, "k": 2.0}, (6, 4, 5))
    assert not isinstance(result, Problem)
    x = torch.randn(2, 6, 4, 5)
    expected = torch.empty_like(x)
    for channel in range(6):
        near = x[:, max(0, channel - size // 2) : channel + (size - 1) // 2 + 1]
        expected[:, channel] = x[:, channel] / (2 + 0.5 / size * near.square().sum(1)) ** 0.75
    torch.testing.assert_close(result[0].layer()(x), expected)
