"""What is allowed and most likely not meant: warnings about a network that works.

Goes in: a graph, and the sizes it accepts. Comes out: warnings, each at a line of the user's file, repeats said once. Networks
of the papers give none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from resnet_spec.analysis.receptive_field import receptive_fields
from resnet_spec.analysis.sizes import Accepted
from resnet_spec.diagnostics import Diagnostic, Span
from resnet_spec.graph.model import INPUT, Graph
from resnet_spec.ops import Shape, show
from resnet_spec.ops.convolution import Conv2d, Linear
from resnet_spec.ops.normalization import BatchNorm
from resnet_spec.ops.reshaping import Flatten

_DEPTH_IN_NAME = re.compile(r"(?:^|[^a-z])(?:resnet|plain|vgg)_?(\d+)(?!\d)", re.IGNORECASE)


def lint(graph: Graph, accepted: Accepted, name_span: Span | None) -> list[Diagnostic]:
    """The warnings about a network at its own input; `name_span` is where its name stands, if that speaks of this network."""
    shapes = tuple([node.shape for node in graph.nodes])
    found = [
        *_redundant_bias(graph),
        *_unread_pixels(graph),
        *_fixed_size(graph, accepted),
        *_relu_before_sum(graph),
        *_linear_over_width(graph),
        *_small_field(graph, shapes),
        *_depth_in_name(graph, name_span),
    ]
    return _once(found)


def _warning(graph: Graph, position: int, code: str, message: str, mend: str) -> Diagnostic:
    span, related = graph.place(position)
    return Diagnostic(code, message, span, related=related, help=mend, severity="warning")


def _once(found: Sequence[Diagnostic]) -> list[Diagnostic]:
    """One finding for each code and line that caused it, with how many more there are."""
    groups: dict[object, list[Diagnostic]] = {}
    for finding in found:
        cause = finding.related[0].span if finding.related else finding.span
        groups.setdefault((finding.code, cause), []).append(finding)
    return [
        replace(first, notes=(*first.notes, f"and in {len(rest)} more places")) if rest else first
        for first, *rest in groups.values()
    ]


def _redundant_bias(graph: Graph) -> Iterator[Diagnostic]:
    readers = graph.readers()
    for position, node in enumerate(graph.nodes):
        if not isinstance(node.op, Conv2d) or not node.op.bias or position == graph.output:
            continue
        after = [graph.nodes[reader] for reader in readers[position]]
        if after and all(isinstance(reader.op, BatchNorm) for reader in after):
            message = f"{node.name} has a bias, and {after[0].name} subtracts it again with the mean"
            mend = f"write `bias: false`; it saves {node.op.out_channels} parameters"
            yield _warning(graph, position, "redundant-bias", message, mend)


def _unread_pixels(graph: Graph) -> Iterator[Diagnostic]:
    for position, node in enumerate(graph.nodes):
        window = node.op.window()
        if window is None or window.kernel == (1, 1):  # a kernel of one with a stride drops pixels on purpose
            continue
        reach = tuple(d * (k - 1) + 1 for k, d in zip(window.kernel, window.dilation, strict=True))
        if any(s > r for s, r in zip(window.stride, reach, strict=True)):
            message = (
                f"{node.name} steps by {show(window.stride)} with a kernel of {show(reach)}, so it never reads some pixels"
            )
            yield _warning(graph, position, "unread-pixels", message, "use a larger kernel, or a smaller stride")


def _fixed_size(graph: Graph, accepted: Accepted) -> Iterator[Diagnostic]:
    if not accepted.squares or accepted.squares[-1].most is None:
        return
    for position, node in enumerate(graph.nodes):
        if isinstance(node.op, Flatten) and any(isinstance(after.op, Linear) for after in graph.nodes[position:]):
            message = f"{node.name} hands {show(node.shape)} features on, which fixes the input: the network accepts"
            mend = "put `{op: adaptive_avg_pool2d, output_size: 1}` before it, and any size will do"
            yield _warning(graph, position, "fixed-input-size", f"{message} {accepted.describe()}", mend)
            return


def _relu_before_sum(graph: Graph) -> Iterator[Diagnostic]:
    for node in graph.nodes:
        branch = node.inputs[-1]
        if node.op.name == "add" and branch != INPUT and graph.nodes[branch].op.name in ("relu", "relu6"):
            message = f"{node.name} adds what {graph.nodes[branch].name} made non-negative, so the sum can only grow"
            yield _warning(graph, branch, "relu-before-sum", message, "put the activation after the join")


def _linear_over_width(graph: Graph) -> Iterator[Diagnostic]:
    for position, node in enumerate(graph.nodes):
        entering = graph.shape_of(node.inputs[0])
        if isinstance(node.op, Linear) and len(entering) == 3:
            message = f"{node.name} works on the width of {show(entering)}, pixel row by pixel row"
            yield _warning(graph, position, "linear-over-width", message, "put a flatten before it, or use a 1x1 conv2d")


def _small_field(graph: Graph, shapes: tuple[Shape, ...]) -> Iterator[Diagnostic]:
    gates = graph.gates()
    fields = receptive_fields(graph, graph.input, shapes, gates)
    last = None
    for position, (node, field) in enumerate(zip(graph.nodes, fields, strict=True)):
        if position in gates:
            continue
        if field.whole:
            if last is not None and any(size < n for size, n in zip(fields[last].size, graph.input[1:], strict=True)):
                message = (
                    f"a pixel that enters {node.name} depends on {show(fields[last].size)} pixels of the"
                    f" {show(graph.input[1:])} image"
                )
                mend = "more strides, pools or blocks would let it see all"
                yield _warning(graph, position, "small-receptive-field", message, mend)
            return
        last = position


def _depth_in_name(graph: Graph, name_span: Span | None) -> Iterator[Diagnostic]:
    found = _DEPTH_IN_NAME.search(graph.name)
    mixed = any(node.span.source.name.startswith("specs/mixins/") for node in graph.nodes)
    if found is None or name_span is None or mixed:
        return
    depth = _depth(graph)
    if depth != int(found[1]):
        message = f"`{graph.name}` says {found[1]} layers, and the longest way through it has {depth} with weights"
        mend = "count conv2d and linear layers, without those of shortcuts (6n + 2 in CIFAR ResNets)"
        yield Diagnostic("depth-in-name", message, name_span, help=mend, severity="warning")


def _depth(graph: Graph) -> int:
    """Layers with weights (conv2d and linear) on the longest way from the input to the output; gates are beside the way."""
    gates = graph.gates()
    longest: list[int] = []
    for node in graph.nodes:
        before = max(0 if value == INPUT or value in gates else longest[value] for value in node.inputs)
        longest.append(before + isinstance(node.op, Conv2d | Linear))
    return longest[graph.output] if graph.output != INPUT else 0
