"""A graph as stable text, for `build --dump-ir` and golden files: one line a region or node, in order."""

from __future__ import annotations

import dataclasses

from .graph import INPUT, Graph, Node
from .ops import show


def print_graph(graph: Graph) -> str:
    """The whole graph. Values are `%0`, `%1`, ... in order, `%input` is the network's input."""
    lines = [f"graph input {show(graph.input)} init {graph.init}"]
    openings: dict[int, list[str]] = {}
    depths: dict[str, int] = {}
    for region in graph.regions:
        parents = [name for name in depths if region.name.startswith(name + ".")]
        depth = 1 + max((depths[name] for name in parents), default=0)
        depths = {name: depths[name] for name in parents} | {region.name: depth}
        text = f"{'  ' * depth}{region.kind} {region.name}: {region.label}"
        openings.setdefault(region.start, []).append(text if region.stop > region.start else f"{text} (identity)")
    for position, node in enumerate(graph.nodes):
        lines.extend(openings.get(position, ()))
        depth = 1 + sum(1 for _ in graph.around(position))
        lines.append(f"{'  ' * depth}%{position} = {_operation(node)} -> {show(node.shape)}  # {node.name}")
    lines.extend(openings.get(len(graph.nodes), ()))
    lines.append(f"  output {_value(graph.output)}")
    return "\n".join(lines) + "\n"


def _value(value: int) -> str:
    return "%input" if value == INPUT else f"%{value}"


def _operation(node: Node) -> str:
    fields = ", ".join(f"{field.name}={_plain(getattr(node.op, field.name))}" for field in dataclasses.fields(node.op))
    init = f" init {node.init}" if node.init else ""
    return f"{node.op.name}({', '.join(map(_value, node.inputs))}) {{{fields}}}{init}"


def _plain(value: object) -> str:
    return "[" + ", ".join(map(str, value)) + "]" if isinstance(value, tuple) else str(value).lower()
