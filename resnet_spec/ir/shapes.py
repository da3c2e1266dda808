"""The shape of every value of a graph, for an input of any size.

Goes in: a graph, and a size. Comes out: one shape for each node, by torch's floor arithmetic, or diagnostics: the network is
built at `graph.input`, and another size may not fit it.
"""

from __future__ import annotations

from resnet_spec.diagnostics import Diagnostic, SpecError

from .graph import INPUT, Graph
from .ops import Problem, Shape, show


def infer(graph: Graph, input: Shape) -> tuple[Shape, ...]:
    """Shapes without the batch, in the order of the nodes, for images of `input` (C, H, W); raises SpecError."""
    if input == graph.input:
        return tuple([node.shape for node in graph.nodes])
    shapes: list[Shape] = []
    known: dict[tuple[object, ...], Shape] = {}
    for node in graph.nodes:
        entering = tuple([input if value == INPUT else shapes[value] for value in node.inputs])
        key = (id(node.op), entering)
        shape = known.get(key)
        if shape is None:
            result = node.op.shape(*entering)
            if isinstance(result, Problem):
                raise SpecError([_does_not_fit(graph, len(shapes), result, input)])
            shape = known[key] = result
        shapes.append(shape)
    return tuple(shapes)


def _does_not_fit(graph: Graph, position: int, problem: Problem, input: Shape) -> Diagnostic:
    """A problem at another size, told at the line of the user's file that led to it."""
    node = graph.nodes[position]
    span, related = graph.place(position)
    message = f"{node.name} at input {show(input)}: {problem.message}"
    note = f"the network is built for {show(graph.input)}"
    return Diagnostic(problem.code, message, span, related=related, help=problem.help, notes=(note,))
