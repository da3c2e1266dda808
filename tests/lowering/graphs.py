"""Graphs and findings of small specs, for the tests of lowering."""

from __future__ import annotations

import pytest

from resnet_spec.compiler import analyze, find
from resnet_spec.diagnostics import Diagnostic, SpecError
from resnet_spec.graph.model import INPUT, Graph, Node
from resnet_spec.ops.elementwise import Dropout
from resnet_spec.ops.reshaping import Pad

HEAD = "spec: 1\ninput: 8x16x16\n"

# A block whose one operation shows the value of its argument `p`.
SHOW = "blocks: {show: {args: [p], branch: {d: {op: dropout, p: p}}}}\n"


def graph_of(text: str, *sets: str) -> Graph:
    return analyze(find(HEAD + text), sets).graph


def refusals(text: str, *sets: str) -> list[Diagnostic]:
    with pytest.raises(SpecError) as caught:
        graph_of(text, *sets)
    return list(caught.value.diagnostics)


def names(graph: Graph) -> list[str]:
    return [node.name for node in graph.nodes]


def node(graph: Graph, name: str) -> Node:
    return next(node for node in graph.nodes if node.name == name)


def inputs(graph: Graph, name: str) -> list[str]:
    """The names of what a node reads."""
    return ["input" if value == INPUT else graph.nodes[value].name for value in node(graph, name).inputs]


def rates(text: str, *sets: str) -> dict[str, float]:
    """Each dropout and its `p`: a dropout takes any number from 0 to 1, so it shows the value of an expression."""
    return {node.name: node.op.p for node in graph_of(text, *sets).nodes if isinstance(node.op, Dropout)}


def pads(text: str, *sets: str) -> list[int]:
    """What is added on the left by each `pad`: an integer for each block."""
    return [node.op.padding[0] for node in graph_of(text, *sets).nodes if isinstance(node.op, Pad)]
