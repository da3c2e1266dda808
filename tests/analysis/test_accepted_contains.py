"""Sizes in `analysis.accepted`: (height, width), or one integer for a square."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import resnet_spec
from resnet_spec.diagnostics import ArgumentError

SPEC = {
    "spec": 1,
    "input": "3x8x8",
    "stem": {"conv": {"op": "conv2d", "out_channels": 2, "kernel_size": 5}},
    "head": {"flatten": "flatten", "fc": {"op": "linear", "out_features": 2}},
}


@pytest.fixture(scope="module")
def accepted() -> Any:
    return resnet_spec.analyze(SPEC).accepted


@pytest.mark.parametrize("size", [(8, 8), [8, 8], 8, np.int64(8), np.array([8, 8]), (5, 20), (np.int16(20), 5)], ids=repr)
def test_sizes_that_are_accepted(accepted: Any, size: object) -> None:
    assert size in accepted  # 4 * 4 pixels leave the convolution


@pytest.mark.parametrize("size", [(8, 9), 9, (4, 8), 0, -8, (0, 8), (8, -8), 10**12], ids=repr)
def test_sizes_that_are_not(accepted: Any, size: object) -> None:
    assert size not in accepted


@pytest.mark.parametrize(
    ("size", "help"),
    [
        ((3, 8, 8), "leave out the channels: (8, 8)"),
        ((1, 3, 8, 9), "leave out the channels: (8, 9)"),
        ((8.0, 8.0), "for example (224, 224)"),
        (8.0, "for example (224, 224)"),
        (True, "for example (224, 224)"),
        ((True, 8), "for example (224, 224)"),
        ((8,), "for example (224, 224)"),
        ("8x8", "for example (224, 224)"),
        (None, "for example (224, 224)"),
        ({"height": 8, "width": 8}, "for example (224, 224)"),
    ],
    ids=repr,
)
def test_what_is_no_size_is_refused(accepted: Any, size: object, help: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        assert size in accepted
    assert "(height, width) in pixels, or one integer for a square" in str(caught.value)
    assert help in str(caught.value)
