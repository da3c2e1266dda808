"""What fixes the size of the input where that is not a flatten: a join with a value that has one size for any image."""

from __future__ import annotations

from resnet_spec.analysis.sizes import Accepted, refused_at
from resnet_spec.graph.model import Graph
from resnet_spec.ops import show


def join_that_fixes_the_size(graph: Graph, accepted: Accepted) -> tuple[int, str, str] | None:
    """The first join that refuses the square above the largest one that is accepted: its position, a message and the help.

    None if something else refuses it.
    """
    most = accepted.squares[-1].most if accepted.squares else None
    refused = None if most is None else refused_at(graph, most + 1, most + 1)
    if refused is None or graph.nodes[refused[0]].op.joins is None:
        return None
    position, shapes = refused
    node = graph.nodes[position]
    constant = [show(shape) for shape, value in zip(shapes, node.inputs, strict=True) if shape == graph.shape_of(value)]
    message = f"{node.name} fixes the size of the input: the network accepts {accepted.describe()}"
    if constant:
        message += f", since one of its inputs is {constant[0]} for any image"
    return (
        position,
        message,
        "give its inputs sizes that follow the image, with strides and pools instead of a fixed output size",
    )
