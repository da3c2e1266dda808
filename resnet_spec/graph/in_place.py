"""Which operations may write over their input, because nobody else needs it: not a reader, not a backward pass.

In-place is the compiler's business, never the spec's. A ReLU after a norm saves one value of memory in inference, and a sum
written over the branch saves another, as in hand-written networks.
"""

from __future__ import annotations

from resnet_spec.graph.model import INPUT, Graph


def overwritten(graph: Graph) -> dict[int, int]:
    """For each node that works in place, the value it writes over."""
    readers = graph.readers()
    found: dict[int, int] = {}
    for position, node in enumerate(graph.nodes):
        if not (node.op.inplace or (node.op.name == "add" and len(node.inputs) == 2)):
            continue
        value = node.inputs[-1]
        if value == INPUT or value == graph.output or readers[value] != (position,):
            continue
        maker = graph.nodes[value].op
        if not maker.keeps_output and not maker.returns_input:
            found[position] = value
    return found
