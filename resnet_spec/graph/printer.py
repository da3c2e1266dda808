"""A graph as stable text, for `build --dump-ir` and golden files: one line for each region or node, in order."""

from __future__ import annotations

import dataclasses

from resnet_spec.graph.model import INPUT, Graph, Item, Node, tree
from resnet_spec.ops import fields_of, show


def print_graph(graph: Graph) -> str:
    """Print the whole graph to text. Values are `%0`, `%1`, ... in order, `%input` is the network's input."""
    lines = [f"graph input {show(graph.input)} init {graph.init}"]
    for item in tree(graph):
        _print(graph, item, 1, lines)
    if not graph.outputs:
        lines.append(f"  output {_value(graph.output)}")
    for output in graph.outputs:
        lines.append(f"  output {output.name}: {_value(output.value)}{' (in training only)' if output.training_only else ''}")
    return "\n".join(lines) + "\n"


def _print(graph: Graph, item: Item, depth: int, lines: list[str]) -> None:
    margin = "  " * depth
    if item.region is None:
        node = graph.nodes[item.start]
        lines.append(f"{margin}%{item.start} = {_operation(node)} -> {show(node.shape)}  # {node.name}")
        return
    empty = " (identity)" if item.start == item.stop else ""
    lines.append(f"{margin}{item.region.kind} {item.region.name}: {item.region.label}{empty}")
    for each in item.items:
        _print(graph, each, depth + 1, lines)


def _value(value: int) -> str:
    return "%input" if value == INPUT else f"%{value}"


def _operation(node: Node) -> str:
    known = fields_of(type(node.op))
    values = {field.name: getattr(node.op, field.name) for field in dataclasses.fields(node.op)}
    left_out = {name for name, field in known.items() if field.added and values[name] == field.default}
    fields = ", ".join(f"{name}={_plain(value)}" for name, value in values.items() if name not in left_out)
    init = f" init {node.init}" if node.init else ""
    return f"{node.op.name}({', '.join(map(_value, node.inputs))}) {{{fields}}}{init}"


def _plain(value: object) -> str:
    return "[" + ", ".join(map(str, value)) + "]" if isinstance(value, tuple) else str(value).lower()
