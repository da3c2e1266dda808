"""Writing over values saves memory and changes nothing: not the output, not a gradient, not what the caller handed in."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

import resnet_spec
from resnet_spec.diagnostics import SpecError
from resnet_spec.graph.in_place import find_overwritten
from resnet_spec.graph.model import Graph
from resnet_spec.ops.layers import DropPath
from tests.interpreter import interpret
from tests.random_specs import Spec, random_specs

pytestmark = pytest.mark.torch


def returned(graph: Graph, values: list[Tensor], training: bool) -> Tensor | list[Tensor]:
    """What a network returns of all values of its graph."""
    if not graph.outputs:
        return values[graph.output]
    return [values[output.value] for output in graph.outputs if training or not output.training_only]


def joined(output: Tensor | list[Tensor] | dict[str, Tensor]) -> Tensor:
    """All outputs as one tensor."""
    if isinstance(output, Tensor):
        return output
    outputs = output.values() if isinstance(output, dict) else output
    return torch.cat([each.flatten() for each in outputs])


def both_ways(analysis: resnet_spec.Analysis, training: bool) -> None:
    """Run a network and its graph forwards and backwards, and compare everything that comes out."""
    torch.manual_seed(0)
    network = resnet_spec.build(analysis).double().train(training)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    for layer in network.modules():  # masks follow the layout in memory, which is not what is compared here
        if isinstance(layer, (nn.Dropout, nn.Dropout2d, DropPath)):
            layer.eval()
    images = torch.randn(3, *analysis.input, dtype=torch.float64)
    before = images.clone()
    results: list[tuple[Tensor, list[Tensor | None]]] = []
    stored = {key: buffer.clone() for key, buffer in network.named_buffers()}
    for run in (lambda x: returned(analysis.graph, interpret(analysis.graph, network, x), training), network):
        x = images.clone().requires_grad_()
        output = joined(run(x * 1))  # no leaf, which nobody may write over anyway
        (output * torch.linspace(0, 1, output.numel(), dtype=output.dtype).view_as(output)).sum().backward()  # type: ignore[no-untyped-call]
        gradients = [x.grad, *[parameter.grad for parameter in network.parameters()]]
        results.append((output.detach(), gradients))
        network.zero_grad()
        for key, buffer in network.named_buffers():
            if run is not network:
                assert torch.equal(buffer, stored[key])
    (expected, expected_gradients), (output, gradients) = results
    torch.testing.assert_close(output, expected)
    for gradient, reference in zip(gradients, expected_gradients, strict=True):
        if gradient is None or reference is None:
            assert gradient is reference
        else:
            torch.testing.assert_close(gradient, reference, atol=1e-6, rtol=1e-6)
    with torch.no_grad():
        network(images)
    assert torch.equal(images, before)


def test_outputs_and_gradients_are_those_of_a_run_out_of_place() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=80)
    @given(random_specs(6, 10))
    def agrees(spec: Spec) -> None:
        try:
            analysis = resnet_spec.analyze(spec)
        except SpecError:
            return
        for position in find_overwritten(analysis.graph):
            seen[analysis.graph.nodes[position].op.name] += 1
        both_ways(analysis, training=True)
        both_ways(analysis, training=False)

    agrees()
    assert set(seen) == {"relu", "add"}
    assert min(seen.values()) > 5


BLOCKS: dict[str, dict[str, Any]] = {
    "a value that two read": {"branch": {"a": "conv", "b": "relu", "c": {"op": "add", "from": ["a", "b"]}}},
    "a sum of a value with itself": {"branch": {"a": "conv", "b": {"op": "add", "from": ["a", "a"]}}},
    "three to add": {"branch": {"a": "conv", "b": "conv", "c": {"op": "add", "from": ["input", "a", "b"]}}},
    "relu of the input": {"branch": {"a": {"op": "relu", "from": "input"}}, "shortcut": {"b": "conv"}, "join": "add"},
    "identity of the input": {"branch": {"a": "identity", "b": "relu"}, "shortcut": {"c": "identity"}, "join": "add"},
    "sigmoid keeps its output": {"branch": {"a": "conv", "b": "sigmoid", "c": "relu"}},
    "tanh keeps its output": {"branch": {"a": "conv", "b": "tanh"}, "shortcut": {"c": "sigmoid"}, "join": "add"},
    "relu keeps its output": {"branch": {"a": "conv", "b": "relu", "c": "relu6"}, "join": "add"},
    "a gate keeps both": {"branch": {"a": "conv", "b": "sigmoid"}, "join": "multiply", "after": {"c": "relu"}},
    "the output is read again": {"branch": {"a": "conv", "b": "relu", "c": {"op": "nothing", "from": "a"}}},
    "silu keeps its input": {"branch": {"a": "conv", "b": "silu", "c": "relu"}, "join": "add"},
    "max_pool keeps its input": {"branch": {"a": "conv", "b": "relu", "c": "pool", "d": "relu"}},
}
HANDS_ON: dict[str, Any] = {  # operations whose output may be their input, or share its memory
    "identity": "identity",
    "dropout": {"op": "dropout", "p": 0.0},
    "dropout2d": {"op": "dropout2d", "p": 0.0},
    "drop_path": "drop_path",
    "flatten": {"op": "flatten", "start_dim": 2},
}
BLOCKS |= {
    f"{name} hands on what sigmoid keeps": {"branch": {"a": "sigmoid", "b": op, "c": "relu"}} for name, op in HANDS_ON.items()
}
BLOCKS |= {f"{name} hands on the input": {"branch": {"b": op, "c": "relu"}} for name, op in HANDS_ON.items()}
CONV = {"op": "conv2d", "out_channels": "channels", "kernel_size": 3, "padding": 1}
NOTHING = {"branch": {"absent": {"op": "relu", "if": False}}}
POOL = {"op": "max_pool2d", "kernel_size": 2}


def spelled_out(ops: dict[str, Any]) -> dict[str, Any]:
    return {name: {"conv": CONV, "pool": POOL}.get(op, op) if isinstance(op, str) else op for name, op in ops.items()}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("what", BLOCKS)
def test_a_value_that_somebody_needs_is_never_written_over(what: str, training: bool) -> None:
    body = {key: spelled_out(value) if isinstance(value, dict) else value for key, value in BLOCKS[what].items()}
    spec = {"spec": 1, "input": "2x6x6", "blocks": {"own": body, "nothing": NOTHING}, "stem": {"own": "own"}}
    both_ways(resnet_spec.analyze(spec), training)


def names_written_over(spec: str) -> set[str]:
    graph = resnet_spec.analyze(spec).graph
    return {graph.nodes[position].name for position in find_overwritten(graph)}


def test_resnet_writes_over_what_torchvision_does() -> None:
    """In torchvision each ReLU is in place and the sum is `out += identity`."""
    graph = resnet_spec.analyze("resnet18").graph
    expected = {node.name for node in graph.nodes if node.op.name in ("relu", "add")}
    assert names_written_over("resnet18") == expected
    assert len(expected) == 25


def test_without_a_norm_before_it_the_sum_of_a_relu_is_not_written_over() -> None:
    written = names_written_over("variants/resnet18_96px")
    assert "block2.0.relu2" in written
    assert "block2.0.join" not in written  # the ReLU before it needs what it gave
