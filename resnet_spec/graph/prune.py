"""Removes the parts of a network that no output needs: a feature extractor has no classifier."""

from __future__ import annotations

from dataclasses import replace

from resnet_spec.graph.model import INPUT, Graph, tree


def prune(graph: Graph) -> Graph:
    """The graph without the parts of its top level that no output depends on. The names of the others stay the same."""
    needed = graph.needed_by(graph.returned)
    kept: list[int] = []
    for item in tree(graph, inline=False):
        if any(position in needed for position in range(item.start, item.stop)):
            kept.extend(range(item.start, item.stop))
    if len(kept) == len(graph.nodes):
        return graph
    moved = {INPUT: INPUT} | {old: new for new, old in enumerate(kept)}
    nodes = [graph.nodes[old] for old in kept]
    before = [0]  # for each position, how many nodes before it are kept
    for position in range(len(graph.nodes)):
        before.append(before[-1] + (position in moved))
    regions = [region for region in graph.regions if before[region.start] < before[region.stop]]
    return replace(
        graph,
        nodes=tuple(replace(node, inputs=tuple(moved[value] for value in node.inputs)) for node in nodes),
        regions=tuple(
            replace(
                region,
                start=before[region.start],
                stop=before[region.stop],
                input=moved[region.input],
                output=moved.get(region.output, before[region.stop] - 1),
            )
            for region in regions
        ),
        output=moved[graph.output],
        outputs=tuple(replace(output, value=moved[output.value]) for output in graph.outputs),
        stem=before[graph.stem],
        head=before[graph.head],
    )
