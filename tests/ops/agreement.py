"""An operation beside the layer that a person would write: both refuse, or both agree in everything that can be counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from resnet_spec.ops import OPERATIONS, Operation, Problem
from tests.measure import REFUSALS, measure
from tests.naive_layers import Shape, naive_layer


def bound(name: str, written: Mapping[str, Any], *inputs: Shape) -> tuple[Operation, Shape] | Problem:
    """An operation for its fields and what enters, and the shape that leaves; or why not."""
    operation = OPERATIONS[name].bind(written, inputs[0])
    if isinstance(operation, Problem):
        return operation
    shape = operation.shape(*inputs)
    return shape if isinstance(shape, Problem) else (operation, shape)


def torch_shape(layer: nn.Module, batch: int, *inputs: Shape) -> Shape | None:
    """What torch makes of a batch in evaluation; None where it refuses."""
    try:
        with torch.no_grad():
            output = layer.eval()(*[torch.empty((batch, *x)) for x in inputs])
    except REFUSALS:
        return None
    return tuple(output.shape[1:])


def _settings(layer: nn.Module) -> dict[str, object]:
    """The arguments a layer keeps; torch leaves a number as one where it stands for a pair."""
    kept = {key: getattr(layer, key) for key in getattr(layer, "__constants__", ())}
    return {
        key: (value, value)
        if type(value) is int and key in ("kernel_size", "stride", "padding", "output_padding", "dilation", "output_size")
        else value
        for key, value in kept.items()
    }


def check(name: str, written: Mapping[str, Any], x: Shape, other: Shape | None = None, batch: int = 1) -> str:
    """Assert that analysis and torch agree on an operation at `x`, and at `other` once it is built for `x`.

    Returns `accepted`, or the code of the refusal.
    """
    result = bound(name, written, x)
    try:
        layer = naive_layer(name, written, x)
    except REFUSALS:
        assert isinstance(result, Problem), f"torch has no such layer, and the analysis accepts {name} {written} at {x}"
        return result.code
    expected = torch_shape(layer, batch, x)
    if isinstance(result, Problem):
        assert expected is None, f"torch gives {expected}, and the analysis refuses {name} {written} at {x}: {result.message}"
        return result.code
    operation, shape = result
    assert shape == expected, f"{name} {written} at {x}"
    made = operation.layer().eval()
    ours, theirs = measure(made, x, batch, "cpu"), measure(layer, x, batch, "cpu")
    assert (ours.output, ours.params, ours.buffers, ours.macs) == (theirs.output, theirs.params, theirs.buffers, theirs.macs)
    assert operation.macs(shape) == theirs.macs
    tensors = operation.tensors()
    if operation.own_tensor:
        (tensor,) = tensors
        assert tensor.name == ""
        assert [tensor.shape] == [tuple(parameter.shape) for parameter in layer.parameters()]
        tensors = (replace(tensor, name="factor"),)  # the layer of the tests gives it a name
    state = {key: tuple(tensor.shape) for key, tensor in layer.state_dict().items()}
    assert [(tensor.name, tensor.shape) for tensor in tensors if tensor.persistent] == list(state.items())
    parameters = [key for key, _ in layer.named_parameters()]
    assert [tensor.name for tensor in tensors if not tensor.buffer] == parameters
    assert {tensor.name: tensor.shape for tensor in tensors if not tensor.persistent} == {
        key: tuple(tensor.shape) for key, tensor in made.named_buffers() if key not in state
    }
    if type(made) is type(layer):
        assert _settings(made) == _settings(layer)
    if other is not None:
        again = operation.shape(other)
        assert (None if isinstance(again, Problem) else again) == torch_shape(layer, batch, other), (
            f"{name} {written}, {x} to {other}"
        )
    return "accepted"
