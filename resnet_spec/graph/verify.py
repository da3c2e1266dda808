"""The invariants of a graph. A broken one is a bug in the compiler, so it is an exception and not a diagnostic."""

from __future__ import annotations

from resnet_spec.graph.model import INPUT, Graph, Region


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
    for value in (graph.output, *graph.returned):
        if not INPUT <= value < len(graph.nodes):
            raise BrokenGraphError(f"the output {value} is not a value of the graph")
    if graph.outputs and graph.output not in graph.returned:
        raise BrokenGraphError(f"the main output {graph.output} is none of the outputs")
    if not 0 <= graph.stem <= graph.head <= len(graph.nodes):
        raise BrokenGraphError(f"the stem ends at {graph.stem}, and the head begins at {graph.head}")
    _verify_regions(graph, names)


def _verify_regions(graph: Graph, names: set[str]) -> None:
    around: list[Region] = []
    for region in graph.regions:
        while around and around[-1].depth >= region.depth:
            around.pop()
        outer = around[-1] if around else None
        start, stop = (0, len(graph.nodes)) if outer is None else (outer.start, outer.stop)
        if region.depth != len(around) or not start <= region.start <= region.stop <= stop:
            raise BrokenGraphError(f"{region.name} extends beyond {'the graph' if outer is None else outer.name}")
        around.append(region)
        _verify_values(graph, region)
        if region.inline:
            continue
        if region.name in names:
            raise BrokenGraphError(f"a region and something else are called {region.name}")
        names.add(region.name)
        prefix = region.name and region.name + "."
        for node in graph.nodes[region.start : region.stop]:
            if not node.name.startswith(prefix):
                raise BrokenGraphError(f"{node.name} is inside {region.name}, but its name has another prefix")


def _verify_values(graph: Graph, region: Region) -> None:
    """Raise BrokenGraphError if a region is not a function of one value: something in it reads another one from outside."""
    start, input = region.start, region.input
    for node in graph.nodes[start : region.stop]:
        for value in node.inputs:
            if value < start and value != input:
                raise BrokenGraphError(f"{node.name} reads a value outside {region.name} that is not its input")
