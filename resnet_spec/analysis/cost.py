"""What a network costs: parameters, buffers, multiply-adds, and other arithmetic, for each operation and in total.

Multiply-adds are those of conv2d and linear for one image, which is what papers call FLOPs; the arithmetic of norms,
activations, pools and sums is reported separately.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

from resnet_spec.diagnostics import Diagnostic, SpecError
from resnet_spec.graph.model import Graph
from resnet_spec.ops import Shape

MAX_PARAMETERS = 10**12


@dataclass(frozen=True, slots=True)
class Cost:
    """`params` and `buffers` count numbers, `macs` multiply-adds and `other_ops` other arithmetic for one image."""

    params: int = 0
    buffers: int = 0
    macs: int = 0
    other_ops: int = 0


def count(graph: Graph, shapes: tuple[Shape, ...]) -> tuple[Cost, ...]:
    """The cost of each node; raises SpecError past 10^12 parameters."""
    known: dict[tuple[object, ...], Cost] = {}
    costs: list[Cost] = []
    params = 0
    for node, shape in zip(graph.nodes, shapes, strict=True):
        key = (id(node.op), shape)
        cost = known.get(key)
        if cost is None:
            tensors = node.op.tensors()
            cost = known[key] = Cost(
                sum(prod(tensor.shape) for tensor in tensors if not tensor.buffer),
                sum(prod(tensor.shape) for tensor in tensors if tensor.buffer and tensor.persistent),
                node.op.macs(shape),
                node.op.other_ops(shape),
            )
        params += cost.params
        if params > MAX_PARAMETERS:
            message = f"{node.name}: the network has more than {MAX_PARAMETERS:,} parameters here"
            span, related = graph.place(len(costs))
            raise SpecError(
                [
                    Diagnostic(
                        "too-many-parameters", message, span, related=related, help="make it narrower, with fewer channels"
                    )
                ]
            )
        costs.append(cost)
    return tuple(costs)


def total(costs: Iterable[Cost]) -> Cost:
    """The sum of costs."""
    params = buffers = macs = other = 0
    for cost in costs:
        params += cost.params
        buffers += cost.buffers
        macs += cost.macs
        other += cost.other_ops
    return Cost(params, buffers, macs, other)
