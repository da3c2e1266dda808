"""Every field of every operation at common, rare and extreme values, between two layers, against the real module.

A network that is refused must be refused by torch; one that is accepted must have torch's shapes, keep the bytes that autograd
keeps, and accept another size where torch does.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import resnet_spec
from resnet_spec.analysis.memory import measure as memory
from resnet_spec.ops import OPERATIONS, Field, fields_of
from tests.analysis.test_memory import saved_by_autograd
from tests.measure import REFUSALS
from tests.naive_layers import naive_layer

pytestmark = pytest.mark.torch

SINGLE = sorted(name for name, operation in OPERATIONS.items() if not operation.joins)
MANY_FIELDS = ["conv2d"] * 8 + ["max_pool2d", "avg_pool2d", "blur_pool2d", "pad", "conv_transpose2d", "upsample", "softmax"] * 3
SIZES = st.sampled_from([(1, 1), (1, 3), (2, 2), (4, 5), (7, 7), (9, 6)])


def values(field: Field) -> st.SearchStrategy[Any]:
    """Values of a field within its bounds, the ends included."""
    least = 0 if field.least is None else int(field.least)
    match field.kind:
        case "bool":
            return st.booleans()
        case "word":
            return st.sampled_from(field.words)
        case "float":
            most = 2.0 if field.most is None else field.most
            return st.sampled_from([float(field.least or 0), 0.1, most])
        case "int" if field.name in ("start_dim", "end_dim"):
            return st.sampled_from([-2, -1, 1, 2, 3])
        case "int":
            return st.integers(least, min(least + 5, int(field.most) if field.most else 99))
        case "ints":
            return st.lists(st.integers(0, 3), min_size=2, max_size=6).filter(lambda numbers: len(numbers) % 2 == 0).map(tuple)
        case "pair":
            one = st.integers(least, least + 3)
            pair = st.tuples(one, one) | one.map(lambda n: (n, n))
            return (pair | st.sampled_from(field.words)) if field.words else pair


@st.composite
def operations(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    name = draw(st.sampled_from([*SINGLE, *MANY_FIELDS]))
    written: dict[str, Any] = {}
    for key, field in fields_of(OPERATIONS[name]).items():
        if field.required or draw(st.booleans()):
            written[key] = draw(values(field))
    return name, written


def spec_of(name: str, written: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    fields = {key: list(value) if isinstance(value, tuple) else value for key, value in written.items()}
    return {
        "spec": 1,
        "name": "between",
        "input": f"2x{size[0]}x{size[1]}",
        "stages": {
            "before": {"op": "conv2d", "out_channels": 4, "kernel_size": 1},
            "it": {"op": name, **fields},
            "after": "relu",
        },
    }


def runs(name: str, written: dict[str, Any], size: tuple[int, int], built: tuple[int, int]) -> tuple[int, ...] | None:
    """The output shape of the network by hand, built for one size, at another, in evaluation; None where torch refuses."""
    try:
        module = nn.Sequential(nn.Conv2d(2, 4, 1), naive_layer(name, written, (4, *built)), nn.ReLU()).eval()
        with torch.no_grad():
            return tuple(module(torch.zeros(1, 2, *size)).shape[1:])
    except REFUSALS:
        return None


@settings(max_examples=400)
@given(operations(), SIZES, SIZES)
def test_analysis_and_torch_agree(operation: tuple[str, dict[str, Any]], size: tuple[int, int], other: tuple[int, int]) -> None:
    name, written = operation
    expected = runs(name, written, size, size)
    try:
        analysis = resnet_spec.analyze(spec_of(name, written, size))
    except resnet_spec.SpecError:
        assert expected is None or written.get("eps") == 0, f"torch runs {name} {written} at {size}"
        return
    assert analysis.output == expected, f"{name} {written} at {size}"
    assert (other in analysis.accepted) == (runs(name, written, other, size) is not None), f"{name} {written}: {other}"
    if name == "instance_norm" and size == (1, 1):
        return  # torch refuses to train it on one pixel, with any batch
    found = memory(analysis.graph, analysis.input, analysis.shapes, analysis.total, batch=2).saved
    assert found == saved_by_autograd(resnet_spec.build(analysis).train(), torch.rand(2, 2, *size)), (
        f"{name} {written} at {size}"
    )
