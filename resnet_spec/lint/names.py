"""Rules about the name of a network."""

from __future__ import annotations

import re
from collections.abc import Iterator

from resnet_spec.diagnostics import Diagnostic
from resnet_spec.graph.model import INPUT, Graph
from resnet_spec.lint.registry import LintContext, rule

_DEPTH_IN_NAME = re.compile(r"(?:^|[^a-z])(?:resnet|plain|vgg)_?(\d+)(?!\d)", re.IGNORECASE)


@rule("depth-in-name")
def depth_in_name(context: LintContext) -> Iterator[Diagnostic]:
    """A name such as resnet50 on a network with another number of layers."""
    graph, span = context.graph, context.spec.name_span
    found = _DEPTH_IN_NAME.search(graph.name)
    mixed = any(node.span.source.name.startswith("specs/mixins/") for node in graph.nodes)
    if found is None or span is None or mixed or context.overridden:
        return
    depth = _depth(graph, context.gates)
    if depth != int(found[1]):
        message = f"`{graph.name}` has {found[1]} layers by its name, but {depth} layers with weights on its longest path"
        help = "conv2d and linear layers count, except in shortcuts (6n + 2 in CIFAR ResNets)"
        yield Diagnostic("depth-in-name", message, span, help=help, severity="warning")


def _depth(graph: Graph, gates: frozenset[int]) -> int:
    """Convolutions and linear layers on the longest path from the input to the output; gates are not part of a path."""
    longest: list[int] = []
    for node in graph.nodes:
        before = max([0 if value == INPUT or value in gates else longest[value] for value in node.inputs])
        longest.append(before + (node.op.family in ("convolution", "linear")))
    return longest[graph.output] if graph.output != INPUT else 0
