"""Which layers of a network have as many channels as there are classes."""

from __future__ import annotations

from resnet_spec.graph.model import INPUT, Graph

_PASSING = ("pooling", "activation", "regularization", "identity")


def find_classifiers(graph: Graph, classes: int) -> frozenset[int]:
    """The layers whose outputs, or what is computed from them channel by channel, are the outputs of the network.

    Empty if the main output has no such layer, or if something else needs its number of channels.
    """
    found: set[int] = set()
    ways: set[int] = set()
    for value in dict.fromkeys((graph.output, *graph.returned)):
        way = _follow(graph, value, classes)
        if way is None and value == graph.output:
            return frozenset()
        if way is not None:
            ways |= way
            found.add(min(way))
    readers = graph.readers()
    if any(reader not in ways for position in ways for reader in readers[position]):
        return frozenset()
    return frozenset(found)


def _follow(graph: Graph, value: int, classes: int) -> set[int] | None:
    """The nodes from a layer with the channels of a value to that value; None if there is no such layer."""
    way: set[int] = set()
    while value != INPUT:
        node = graph.nodes[value]
        way.add(value)
        if node.op.draws_weight:
            arguments = {each.name: each.value for each in node.op.module_call().arguments}
            out = arguments.get("out_features", arguments.get("out_channels"))
            return way if out == classes and arguments.get("groups", 1) == 1 and node.shape[0] == classes else None
        before = graph.shape_of(node.inputs[0])
        flattened = len(before) == 3 and before[1:] == (1, 1) and node.shape == before[:1]
        passes = node.op.family in _PASSING or flattened
        if len(node.inputs) != 1 or not passes or node.op.tensors() or node.shape[0] != before[0]:
            return None
        value = node.inputs[0]
    return None
