"""The shape of every value of a graph, for an input of any size.

Shapes follow torch's floor arithmetic. The network is built for `graph.input` and may not accept another size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from resnet_spec.analysis.sizes import accepted_sizes
from resnet_spec.analysis.trace import SizeChange, changes, describe_sizes, lines
from resnet_spec.diagnostics import Diagnostic, Span, SpecError
from resnet_spec.graph.model import INPUT, Graph
from resnet_spec.ops import Problem, Shape, show


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
                raise SpecError([_does_not_fit(graph, shapes, result, input)])
            shape = known[key] = result
        shapes.append(shape)
    return tuple(shapes)


def _does_not_fit(graph: Graph, shapes: Sequence[Shape], problem: Problem, input: Shape) -> Diagnostic:
    """A problem at another size, reported at the line of the user's file that led to it; `shapes` are those before it."""
    position = len(shapes)
    node = graph.nodes[position]
    span, related = graph.place(position)
    message = f"{node.name} at input {show(input)}: {problem.message}"
    notes = [f"the network is built for {show(graph.input)}"]
    if input[0] == graph.input[0]:
        notes += _sizes(graph, shapes, node.inputs[0], input, span)
        notes.append(f"the network accepts {accepted_sizes(graph).describe()}")
    return Diagnostic(problem.code, message, span, related=related, help=problem.help, notes=tuple(filter(None, notes)))


def _sizes(graph: Graph, shapes: Sequence[Shape], value: int, input: Shape, at: Span) -> Iterator[str]:
    """Notes on how the image got its size, and on the features of a flatten, here and at the size the network is built for."""

    def shape(value: int) -> Shape:
        return input if value == INPUT else shapes[value]

    flat = value
    while flat != INPUT and not graph.flattens(flat):
        flat = graph.nodes[flat].inputs[-1]
    if flat != INPUT:
        value = graph.nodes[flat].inputs[0]
        here, there = shape(value), graph.shape_of(value)
        name = graph.nodes[flat].name
        yield f"{name} outputs {prod(here)} features ({show(here)}), and {prod(there)} ({show(there)}) at {show(graph.input)}"
    places = lines(graph.nodes[: len(shapes)], graph.regions)
    found = reversed(list(changes(graph.nodes, shape, value)))
    steps = [SizeChange(graph.nodes[n].name, places[n], shape(graph.nodes[n].inputs[-1]), shape(n)) for n in found]
    yield describe_sizes(input, steps, at.source)
