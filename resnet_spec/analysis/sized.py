"""A graph at an input size: the form that the outputs take."""

from __future__ import annotations

from dataclasses import dataclass

from resnet_spec.analysis.cost import Cost, total
from resnet_spec.graph.model import INPUT, Graph
from resnet_spec.ops import Shape


@dataclass(frozen=True, slots=True)
class SizedGraph:
    """A graph for images of `input` (C, H, W), with the output shape and the cost of each node.

    Shapes are without the batch.
    """

    graph: Graph
    input: Shape
    shapes: tuple[Shape, ...]
    costs: tuple[Cost, ...]

    def shape_of(self, value: int) -> Shape:
        """The shape of a value: of the input, or of the output of a node."""
        return self.input if value == INPUT else self.shapes[value]

    def total(self, start: int = 0, stop: int | None = None) -> Cost:
        """The cost of all nodes, or of those from `start` to before `stop`."""
        return total(self.costs[start:stop])

    @property
    def output(self) -> Shape:
        """The shape of the network's output."""
        return self.shape_of(self.graph.output)
