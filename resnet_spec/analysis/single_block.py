"""One block of a network as a network of its own, with the arguments and the input shape of its use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from resnet_spec.analysis.sized import SizedGraph
from resnet_spec.diagnostics import ArgumentError, Diagnostic, suggestion
from resnet_spec.diagnostics.text import shorten
from resnet_spec.graph.model import INPUT, BrokenNode, Graph, Region

_MOST_COLUMNS = 80  # of a name in a message


@dataclass(frozen=True, slots=True)
class SingleBlock:
    """A block as a network, and the operations in it that could not be built."""

    sized: SizedGraph
    broken: tuple[BrokenNode, ...] = ()


def take_block(sized: SizedGraph, name: str, broken: Sequence[BrokenNode] = ()) -> SingleBlock:
    """Take one block out of a network: the first use of the block `name`, or the use with this name (`layer2.0`).

    Its operations keep the names that they have in the network. So it can be shown, but is no module: names of modules have no
    dots.

    Raises:
        ArgumentError: the network does not use the block.
    """
    graph = sized.graph
    block = _find(graph, name, bool(broken))
    start, stop = block.start, block.stop

    def inside(value: int) -> int:
        """A value of the network as one of the block; what is before it is its input."""
        return value - start if value >= start else INPUT

    nodes = tuple(replace(node, inputs=tuple(map(inside, node.inputs))) for node in graph.nodes[start:stop])
    regions = tuple(
        replace(
            region,
            start=region.start - start,
            stop=region.stop - start,
            input=inside(region.input),
            output=inside(region.output),
            depth=region.depth - block.depth,
        )
        for region in graph.regions
        if block.start <= region.start
        and region.stop <= block.stop
        and region.depth >= block.depth
        and (region is block or region.depth > block.depth)
        and _is_within(region.name, block)
    )
    title = f"{block.label} ({block.name} of {graph.name})"
    alone = Graph(title, graph.shape_of(block.input), nodes, regions, inside(block.output), graph.init, head=stop - start)
    return SingleBlock(
        SizedGraph(alone, sized.shape_of(block.input), sized.shapes[start:stop], sized.costs[start:stop]),
        tuple(replace(part, inputs=tuple(map(inside, part.inputs))) for part in broken if _is_within(part.name, block)),
    )


def _is_within(name: str, block: Region) -> bool:
    return name == block.name or name.startswith(f"{block.name}.")


def _find(graph: Graph, name: str, is_part: bool) -> Region:
    """The first use of a block. `is_part`: the graph is the part of a network that works."""
    blocks = [region for region in graph.regions if region.kind == "block"]
    for names in ((region.label for region in blocks), (region.name for region in blocks)):
        if (found := next((region for region, each in zip(blocks, names, strict=True) if each == name), None)) is not None:
            return found
    network = shorten(graph.name, _MOST_COLUMNS)
    where = f"the part of `{network}` that works" if is_part else f"`{network}`"
    message = f"{where} does not use a block `{shorten(name, _MOST_COLUMNS)}`"
    help = suggestion(name, list(dict.fromkeys(region.label for region in blocks)))
    raise ArgumentError([Diagnostic("unknown-block", message, None, help=help or "there is no block in it")])
