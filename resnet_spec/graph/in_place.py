"""Which operations may overwrite their input, because nothing else needs it: no other reader, no backward pass.

In-place execution is decided by the compiler, never in a spec. A ReLU after a norm saves the memory of one value in inference,
and a sum written over the branch saves another, as in hand-written networks.
"""

from __future__ import annotations

from resnet_spec.graph.model import INPUT, Graph


def find_overwritten(graph: Graph) -> dict[int, int]:
    """For each node that works in place, the value that it overwrites."""
    readers = graph.readers()
    returned = set(graph.returned)
    found: dict[int, int] = {}
    for position, node in enumerate(graph.nodes):
        if not node.op.inplace or len(node.inputs) > 2:
            continue
        value = node.inputs[-1]
        if value == INPUT or value in returned or readers[value] != (position,):
            continue
        maker = graph.nodes[value].op
        if not maker.keeps_output and not maker.returns_input(training=False):
            found[position] = value
    return found
