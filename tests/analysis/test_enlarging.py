"""Networks that enlarge, take the size of another value, take channels apart, or scale by a gate of one channel.

Receptive fields are compared with the support of gradients, accepted sizes with brute force, memory with what torch holds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
import torch
from torch import nn

import resnet_spec
from resnet_spec.analysis.cost import count, total
from resnet_spec.analysis.memory import measure as memory
from resnet_spec.analysis.shapes import infer
from resnet_spec.analysis.sizes import accepted_sizes
from resnet_spec.diagnostics import Source, Span, SpecError
from resnet_spec.graph.model import INPUT, Graph, Node, Region
from resnet_spec.graph.verify import verify
from resnet_spec.ops import OPERATIONS, Operation, Problem, Shape
from resnet_spec.outputs.torch_module import build_module
from tests.analysis.test_memory import peak_of_storages, saved_by_autograd
from tests.analysis.test_receptive_field import compare_with_gradients, open_everything
from tests.analysis.test_sizes import runs

pytestmark = pytest.mark.torch

SPAN = Span(Source("test", ""), 1, 1, 1, 1)


@dataclass(frozen=True)
class Sized:
    """A graph at its own size, as an analysis has it."""

    graph: Graph

    @property
    def input(self) -> Shape:
        return self.graph.input

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return tuple(node.shape for node in self.graph.nodes)


def graph_of(size: Shape, *parts: tuple[str, str, dict[str, Any], tuple[str, ...]]) -> Graph:
    """A graph of one block: for each operation its name, the operation, its fields and the names of the values it reads."""
    nodes: list[Node] = []
    known = {"input": INPUT}
    for name, op, written, reads in parts:
        inputs = tuple(known[each] for each in reads)
        shapes = [size if value == INPUT else nodes[value].shape for value in inputs]
        kind = OPERATIONS[op]
        made: Operation | Problem = kind() if kind.joins else kind.bind(written, shapes[0])
        assert not isinstance(made, Problem), made
        shape = made.shape(*shapes)
        assert not isinstance(shape, Problem), shape
        known[name] = len(nodes)
        nodes.append(Node(f"block.{name}", made, inputs, shape, SPAN))
    end = len(nodes)
    region = Region("block", "block", "block", 0, end, INPUT, end - 1, SPAN)
    graph = Graph("test", size, tuple(nodes), (region,), end - 1, "pytorch")
    verify(graph)
    return graph


def u_net(mode: str = "nearest", align_corners: bool = False, size: Shape = (2, 24, 20)) -> Graph:
    """Down twice and up twice, to the sizes on the way down."""
    conv = {"out_channels": 3, "kernel_size": (3, 3), "padding": (1, 1)}
    down = {**conv, "stride": (2, 2)}
    like = {"like": True, "mode": mode, "align_corners": align_corners}
    return graph_of(
        size,
        ("first", "conv2d", conv, ("input",)),
        ("down1", "conv2d", down, ("first",)),
        ("down2", "conv2d", down, ("down1",)),
        ("up1", "upsample", like, ("down2", "down1")),
        ("sum1", "concat", {}, ("down1", "up1")),
        ("conv1", "conv2d", conv, ("sum1",)),
        ("up2", "upsample", like, ("conv1", "first")),
        ("sum2", "add", {}, ("first", "up2")),
        ("last", "conv2d", conv, ("sum2",)),
    )


def module_of(graph: Graph) -> nn.Module:
    return open_everything(build_module(graph))


# --- receptive fields -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(2, 24, 20), (2, 16, 32)])
@pytest.mark.parametrize(("mode", "corners"), [("nearest", False), ("nearest-exact", False), ("bilinear", False)])
def test_the_fields_of_a_u_net_are_the_support_of_gradients(mode: str, corners: bool, size: Shape) -> None:
    graph = u_net(mode, corners, size)
    sized = cast(resnet_spec.Analysis, Sized(graph))
    assert compare_with_gradients(sized, module_of(graph), everywhere=True) > 150


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("corners", [False, True])
def test_the_fields_of_sizes_with_any_ratio_enclose_the_support(mode: str, corners: bool) -> None:
    """Pixels at the edge are computed from fewer, so there the field, which goes on beyond the edge, may be larger."""
    if corners and mode == "nearest":
        return
    graph = u_net(mode, corners, (1, 23, 19))
    from resnet_spec.analysis.receptive_field import receptive_fields

    fields = receptive_fields(graph, graph.input, tuple(node.shape for node in graph.nodes))
    model = module_of(graph)
    exact = 0
    for position, node in enumerate(graph.nodes):
        field = fields[position]
        assert not field.whole
        value = _value_of(model, graph, position)
        for i in range(node.shape[1]):
            x = torch.ones(1, *graph.input, dtype=torch.float64, requires_grad=True)
            (gradient,) = torch.autograd.grad(value(x)[0, :, i, node.shape[2] // 2].sum(), x)
            rows = gradient[0].abs().sum((0, 2)).nonzero().flatten()
            first, last = max(0, field.height.first(i)), min(graph.input[1] - 1, field.height.last(i))
            assert first <= int(rows.min())
            assert int(rows.max()) <= last, (node.name, i)
            exact += (first, last) == (int(rows.min()), int(rows.max()))
    assert exact > 0.85 * sum(node.shape[1] for node in graph.nodes)


def _value_of(model: nn.Module, graph: Graph, position: int) -> Any:
    """A function of images that returns the value of one node."""
    kept: list[torch.Tensor] = []
    layer = model.get_submodule(graph.nodes[position].name)
    layer.register_forward_hook(lambda module, inputs, output: kept.append(output.clone()))

    def value(x: torch.Tensor) -> torch.Tensor:
        kept.clear()
        model(x * 1.0)
        return kept[0]

    return value


ENLARGING: dict[str, list[dict[str, Any]]] = {
    "upsample bilinear": [{"op": "upsample", "scale_factor": 2, "mode": "bilinear"}],
    "upsample bilinear by 3": [{"op": "upsample", "scale_factor": 3, "mode": "bilinear"}],
    "upsample bicubic": [{"op": "upsample", "scale_factor": [2, 4], "mode": "bicubic"}],
    "upsample nearest": [{"op": "upsample", "scale_factor": [3, 1]}],
    "transposed": [{"op": "conv_transpose2d", "out_channels": 2, "kernel_size": 4, "stride": 2, "padding": 1}],
    "transposed, uneven": [
        {
            "op": "conv_transpose2d",
            "out_channels": 2,
            "kernel_size": [5, 3],
            "stride": [3, 2],
            "padding": 1,
            "output_padding": 1,
        }
    ],
    "transposed, stride 1": [{"op": "conv_transpose2d", "out_channels": 2, "kernel_size": 3, "padding": 1}],
    "pixels": [
        {"op": "pixel_unshuffle", "downscale_factor": 2},
        {"op": "conv2d", "out_channels": 16, "kernel_size": 1},
        {"op": "pixel_shuffle", "upscale_factor": 4},
    ],
    "over channels": [
        {"op": "linear", "out_features": 4, "over": "channels"},
        {"op": "conv1d", "kernel_size": 3, "padding": 1},
        {"op": "slice", "start": 1, "stop": 4},
        {"op": "mean", "over": "channels"},
    ],
}


@pytest.mark.parametrize("case", ENLARGING)
def test_fields_are_the_support_of_gradients(case: str) -> None:
    spec = {
        "spec": 1,
        "input": "2x12x16",
        "stem": {
            "before": {"op": "conv2d", "out_channels": 4, "kernel_size": 3, "padding": 1},
            **{f"op{number}": op for number, op in enumerate(ENLARGING[case])},
            "after": {"op": "conv2d", "out_channels": 3, "kernel_size": 3, "stride": 2, "padding": 1},
            "once": {"op": "upsample", "scale_factor": 2},
            "last": {"op": "conv2d", "out_channels": 3, "kernel_size": 3, "padding": 1},
        },
    }
    analysis = resnet_spec.analyze(spec)
    assert compare_with_gradients(analysis, open_everything(resnet_spec.build(analysis)), everywhere=True) > 80


def test_pixels_of_a_softmax_or_a_mean_depend_on_all() -> None:
    for op in ({"op": "softmax", "over": "pixels"}, {"op": "mean", "over": "pixels"}):
        analysis = resnet_spec.analyze({"spec": 1, "input": "2x6x6", "stem": {"a": op}})
        from resnet_spec.analysis.receptive_field import receptive_fields

        (field,) = receptive_fields(analysis.graph, analysis.input, analysis.shapes)
        assert field.whole


# --- accepted sizes ---------------------------------------------------------------------------------------------------------

GATED = """
spec: 1
input: 4x13x17
blocks:
  spatial:
    branch:
      conv: {op: conv2d, out_channels: 4, kernel_size: 3, stride: 2, padding: 1}
      pool: {op: max_pool2d, kernel_size: 2, ceil_mode: true, from: input}
      mean: {op: mean, over: channels}
      gate: sigmoid
      out:  {op: multiply, from: [gate, conv]}
      whole: {op: adaptive_avg_pool2d, output_size: 1}
      both: {op: multiply, from: [whole, gate, out]}
stages: {a: spatial}
"""
SIZES: dict[str, str] = {
    "gates of one channel and of one pixel": GATED,
    "gates that need even sizes": GATED.replace(", ceil_mode: true", "").replace("13x17", "12x18"),
    "a gate of one channel that may be one pixel": GATED.replace("kernel_size: 2, ceil_mode: true", "kernel_size: 9")
    .replace("stride: 2, padding: 1", "stride: 9")
    .replace("13x17", "9x11"),
    "multiples": """
spec: 1
input: 3x36x24
stem:
  a: {op: conv2d, out_channels: 3, kernel_size: 3, stride: 2, padding: 1}
  b: {op: pixel_unshuffle, downscale_factor: 3}
  c: {op: conv_transpose2d, out_channels: 4, kernel_size: 3, stride: 2, padding: 1, output_padding: 1}
  d: {op: pixel_unshuffle, downscale_factor: 2}
""",
    "a transposed convolution that removes more than it adds": """
spec: 1
input: 3x12x12
stem:
  a: {op: max_pool2d, kernel_size: 3, stride: 3}
  b: {op: conv_transpose2d, out_channels: 4, kernel_size: 3, stride: 2, padding: 3}
  c: {op: upsample, scale_factor: [2, 3]}
  d: {op: conv2d, out_channels: 2, kernel_size: 5}
""",
    "an instance norm of one pixel": """
spec: 1
input: 3x12x12
stem:
  a: {op: max_pool2d, kernel_size: 5, stride: 5}
  b: instance_norm
  c: {op: slice, stop: 2}
""",
    "a fixed size": """
spec: 1
input: 3x12x12
stem:
  a: {op: upsample, size: [7, 9]}
  b: flatten
  c: {op: slice, start: 5, stop: 100}
  d: {op: conv1d, kernel_size: 9}
  e: {op: linear, out_features: 4}
""",
    "a vector of means": """
spec: 1
input: 3x12x12
stem:
  a: {op: sum, over: pixels, keepdim: false}
  b: {op: conv1d, kernel_size: 3, padding: 1}
  c: {op: prelu, num_parameters: channels}
  d: {op: softmax, over: groups, groups: 3}
""",
}


@pytest.mark.parametrize("case", SIZES)
def test_sizes_are_those_that_brute_force_finds(case: str) -> None:
    graph = resnet_spec.analyze(SIZES[case]).graph
    _compare_with_brute_force(graph)


@pytest.mark.parametrize("mode", ["nearest", "bicubic"])
def test_the_size_of_another_value_is_no_condition(mode: str) -> None:
    graph = u_net(mode)
    _compare_with_brute_force(graph)
    assert (1, 1) in accepted_sizes(graph)
    kernel = {"out_channels": 3, "kernel_size": (5, 5)}
    _compare_with_brute_force(
        graph_of(
            (2, 9, 11),
            ("a", "conv2d", kernel, ("input",)),
            ("b", "max_pool2d", {"kernel_size": (2, 2)}, ("input",)),
            ("c", "upsample", {"like": True}, ("a", "b")),
            ("d", "sigmoid", {}, ("b",)),
            ("e", "concat", {}, ("c", "d")),
        )
    )


def _compare_with_brute_force(graph: Graph) -> None:
    accepted = accepted_sizes(graph)
    assert not accepted.unsolved
    found = 0
    for height in range(1, 50):
        for width in range(1, 50):
            expected = runs(graph, height, width)
            found += expected
            assert ((height, width) in accepted) == expected, (height, width)
    assert found


@pytest.mark.parametrize("size", [(9, 7), (24, 20), (1, 1), (13, 16)])
def test_the_module_of_a_u_net_has_the_shapes_of_its_graph(size: tuple[int, int]) -> None:
    graph = u_net("bilinear")
    model = build_module(graph).eval()
    shapes = infer(graph, (2, *size))
    measured: dict[str, Shape] = {}
    for node in graph.nodes:
        model.get_submodule(node.name).register_forward_hook(
            lambda module, inputs, output, name=node.name: measured.update({name: tuple(output.shape[1:])})
        )
    with torch.no_grad():
        model(torch.zeros(1, 2, *size))
    assert measured == {node.name: shape for node, shape in zip(graph.nodes, shapes, strict=True)}


def test_a_size_that_is_no_multiple_is_reported_at_the_operation() -> None:
    analysis = resnet_spec.analyze(SIZES["multiples"])
    with pytest.raises(SpecError, match="size-not-divisible"):
        infer(analysis.graph, (3, 34, 24))


# --- memory -----------------------------------------------------------------------------------------------------------------

WIDE = """
spec: 1
input: 4x12x16
blocks:
  halves:
    branch:
      conv: {op: conv2d, out_channels: 8, kernel_size: 3, padding: 1}
      left: {op: slice, stop: 4}
      relu: act
      right: {op: slice, start: 4, from: conv}
      tanh: tanh
      sum: {op: add, from: [relu, tanh]}
      less: {op: subtract, from: [sum, right]}
      shuffle: {op: channel_shuffle, groups: 2}
      part: {op: slice, start: 1}
      norm: {op: group_norm, num_groups: 1}
      more: {op: conv2d, out_channels: 5, kernel_size: 1, from: part}
      other: {op: slice, stop: 4}
      instance: instance_norm
  spatial:
    branch:
      conv: {op: conv2d, out_channels: 4, kernel_size: 3, padding: 1, weight_standardization: true}
      most: {op: amax, over: channels}
      gate: {op: softmax, over: pixels}
      out: {op: multiply, from: [conv, gate]}
      scale: {op: scale, tensor_shape: map}
  attention:
    branch:
      mean: {op: mean, over: pixels}
      eca: {op: conv1d, kernel_size: 3, padding: 1}
      soft: {op: softmax, over: groups, groups: 2, cardinality: 2}
      out: {op: multiply, from: [soft, input]}
stages:
  halves: halves
  spatial: spatial
  attention: attention
  up: {op: conv_transpose2d, out_channels: 4, kernel_size: 2, stride: 2}
  norm: {op: instance_norm, affine: true}
  prelu: {op: prelu, num_parameters: channels}
  local: {op: local_response_norm, size: 3}
  bigger: {op: upsample, scale_factor: 2, mode: bilinear}
  shuffled: {op: pixel_shuffle, upscale_factor: 2}
  unshuffled: {op: pixel_unshuffle, downscale_factor: 2}
  plus: softplus
  hard: hardtanh
head:
  mean: {op: mean, over: pixels, keepdim: false}
  eca: {op: conv1d, kernel_size: 3, padding: 1}
  fc: {op: linear, out_features: 4}
  out: log_softmax
"""


def test_memory_is_what_torch_holds() -> None:
    analysis = resnet_spec.analyze(WIDE)
    for batch in (1, 2):
        found = memory(analysis.graph, analysis.input, analysis.shapes, analysis.total, batch=batch)
        images = torch.randn(batch, *analysis.input)
        assert found.saved == saved_by_autograd(resnet_spec.build(analysis).train(), images)
        assert found.peak == peak_of_storages(resnet_spec.build(analysis).eval(), images)


def test_memory_of_a_u_net_is_what_torch_holds() -> None:
    """What an upsample takes its size from is not kept for it."""
    graph = u_net("bilinear")
    shapes = tuple(node.shape for node in graph.nodes)
    costs = total(count(graph, shapes))
    for batch in (1, 2):
        found = memory(graph, graph.input, shapes, costs, batch=batch)
        images = torch.randn(batch, *graph.input)
        assert found.saved == saved_by_autograd(build_module(graph).train(), images)


def test_images_that_are_enlarged_to_a_learned_value_need_no_gradient() -> None:
    conv = {"out_channels": 2, "kernel_size": (3, 3), "stride": (2, 2)}
    graph = graph_of(
        (2, 9, 11),
        ("a", "conv2d", conv, ("input",)),
        ("b", "upsample", {"like": True}, ("input", "a")),
        ("c", "sigmoid", {}, ("b",)),
        ("d", "multiply", {}, ("c", "a")),
    )
    shapes = tuple(node.shape for node in graph.nodes)
    found = memory(graph, graph.input, shapes, total(count(graph, shapes)), batch=2)
    assert found.saved == saved_by_autograd(build_module(graph).train(), torch.randn(2, *graph.input))


def test_two_inputs_are_for_joins_and_what_takes_the_size_of_another() -> None:
    from resnet_spec.graph.verify import BrokenGraphError

    graph = u_net()
    nodes = [replace(node, inputs=node.inputs * 2) if node.name == "block.down1" else node for node in graph.nodes]
    with pytest.raises(BrokenGraphError):
        verify(replace(graph, nodes=tuple(nodes)))
