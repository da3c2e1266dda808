"""The invariants of a graph. A broken one is a bug in the compiler, so it is an exception and not a diagnostic."""

from __future__ import annotations

from resnet_spec.graph.model import INPUT, Graph


class BrokenGraphError(Exception):
    """A pass of the compiler made an invalid graph."""


def verify(graph: Graph) -> None:
    """Raise BrokenGraphError unless values are computed before they are read, names are unique, and regions nest."""
    names: set[str] = set()
    for position, node in enumerate(graph.nodes):
        if node.name in names:
            raise BrokenGraphError(f"two nodes are called {node.name}")
        names.add(node.name)
        if not all(INPUT <= value < position for value in node.inputs):
            raise BrokenGraphError(f"{node.name} reads a value that is not computed before it: {node.inputs}")
        if (len(node.inputs) > 1) != (node.op.joins is not None) and not (node.op.takes_like and len(node.inputs) == 2):
            raise BrokenGraphError(f"{node.name} is a {node.op.name} of {len(node.inputs)} inputs")
    if not INPUT <= graph.output < len(graph.nodes):
        raise BrokenGraphError(f"the output {graph.output} is not a value of the graph")
    around: list[tuple[str, int, int]] = [("", 0, len(graph.nodes))]
    for region in graph.regions:
        while around and not _inside(region.name, around[-1][0]):
            around.pop()
        if not around or not around[-1][1] <= region.start <= region.stop <= around[-1][2]:
            raise BrokenGraphError(f"{region.name} extends beyond {around[-1][0] if around else 'the graph'}")
        if region.name in names:
            raise BrokenGraphError(f"a region and something else are called {region.name}")
        names.add(region.name)
        around.append((region.name, region.start, region.stop))
        for node in graph.nodes[region.start : region.stop]:
            if not _inside(node.name, region.name):
                raise BrokenGraphError(f"{node.name} is inside {region.name}, but its name has another prefix")


def _inside(name: str, region: str) -> bool:
    return not region or name.startswith(region + ".")
