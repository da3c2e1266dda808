"""The operations of a network as rows with names, for programs and notebooks."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

from resnet_spec._system.packages import require_packages
from resnet_spec.analysis.sized import SizedGraph
from resnet_spec.ops import Shape


class Layer(NamedTuple):
    """One operation. Shapes are without the batch, (C, H, W) or (F,); counts are for one image."""

    name: str
    kind: str
    input: Shape
    output: Shape
    params: int
    buffers: int
    macs: int
    other_ops: int


def make_table(sized: SizedGraph) -> tuple[Layer, ...]:
    """A row for each operation, in the order in which they run. Of an operation with several inputs, the first is shown."""
    return tuple(
        Layer(
            node.name,
            node.op.name,
            sized.shape_of(node.inputs[0]),
            shape,
            cost.params,
            cost.buffers,
            cost.macs,
            cost.other_ops,
        )
        for node, shape, cost in zip(sized.graph.nodes, sized.shapes, sized.costs, strict=True)
    )


def make_frame(rows: tuple[Layer, ...]) -> Any:
    """The rows as a `pandas.DataFrame`, with the columns of `Layer`. Raises ArgumentError where pandas is not installed."""
    require_packages("a table as a data frame", "pandas")
    return import_module("pandas").DataFrame(list(rows), columns=list(Layer._fields))
