"""Outputs that a spec names."""

from __future__ import annotations

import pytest
import torch

import resnet_spec

TWO = """
spec: 1
name: two
input: 3x32x32
stem: {first: {op: conv2d, out_channels: 4, kernel_size: 1}, second: {op: conv2d, out_channels: 8, kernel_size: 1}}
outputs: {%s: first, pool: second}
"""


@pytest.mark.torch
@pytest.mark.parametrize("name", ["0", "feat-1", "level.2"])
def test_outputs_have_names_of_modules(name: str) -> None:
    """Such as those of torchvision's feature pyramids: `0` to `3`, and `pool`."""
    outputs = resnet_spec.build(TWO % name)(torch.zeros(1, 3, 8, 8))
    assert {key: tuple(value.shape) for key, value in outputs.items()} == {name: (1, 4, 8, 8), "pool": (1, 8, 8, 8)}


@pytest.mark.parametrize("name", ["a b", "'a..b'"])
def test_other_texts_are_no_names_of_outputs(name: str) -> None:
    with pytest.raises(resnet_spec.SpecError, match="is not a valid name"):
        resnet_spec.analyze(TWO % name)
