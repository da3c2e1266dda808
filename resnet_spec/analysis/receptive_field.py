"""The receptive field of every value: which pixels of the input a pixel of it can depend on.

Pixel `i` along an axis depends on the input pixels from `floor(start + i * jump)` to `floor(start + i * jump + size - 1)`;
those before 0 or past the end are padding (Araujo et al. 2019, Computing Receptive Fields of Convolutional Neural Networks).
The numbers are integers until an operation enlarges, and may be fractions after it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from resnet_spec.graph.model import INPUT, Graph
from resnet_spec.ops import ONE_PIXEL, Operation, Pair, Reads, Shape

Length = int | Fraction


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """Per axis (height, width), in pixels of the input. `whole`: every pixel depends on the whole image.

    `padding` is how far the field of the first pixel extends beyond the image.
    """

    size: tuple[Length, Length]
    jump: tuple[Length, Length]
    start: tuple[Length, Length]
    whole: bool = False

    @property
    def padding(self) -> Pair:
        return max(0, -floor(self.start[0])), max(0, -floor(self.start[1]))

    @property
    def pixels(self) -> Pair:
        """The most pixels that one pixel depends on, along each axis."""
        return ceil(self.size[0]), ceil(self.size[1])


ONE_PIXEL_FIELD = ReceptiveField((1, 1), (1, 1), (0, 0))


def receptive_fields(
    graph: Graph, input: Shape, shapes: tuple[Shape, ...], gates: Collection[int] = ()
) -> tuple[ReceptiveField, ...]:
    """The field of each node's output, for images of `input` (C, H, W); dependence through the nodes in `gates` is left out."""
    whole = ReceptiveField((input[1], input[2]), (0, 0), (0, 0), whole=True)
    found: list[ReceptiveField] = []
    known: dict[tuple[object, ...], ReceptiveField] = {}
    for position, node in enumerate(graph.nodes):
        entering = tuple([ONE_PIXEL_FIELD if value == INPUT else found[value] for value in node.inputs])
        ungated = [field for value, field in zip(node.inputs, entering, strict=True) if value not in gates]
        if len(ungated) == 1 and len(entering) > 1:
            found.append(ungated[0])
            continue
        key = (id(node.op), entering)
        field = known.get(key)
        if field is None:
            x = input if node.inputs[0] == INPUT else shapes[node.inputs[0]]
            field = known[key] = _after(node.op, entering, x, shapes[position], whole)
        found.append(field)
    return tuple(found)


def _after(op: Operation, inputs: tuple[ReceptiveField, ...], x: Shape, output: Shape, whole: ReceptiveField) -> ReceptiveField:
    height, width = op.reads(0), op.reads(1)
    if height is None or width is None or any(field.whole for field in inputs) or len(output) < 3 or len(x) < 3:
        return whole
    before = _together(inputs, whole)
    if height is width is ONE_PIXEL or before.whole:
        return before
    (size, step, start), (size_w, step_w, start_w) = (_along(before, axis, by) for axis, by in enumerate((height, width)))
    return ReceptiveField((size, size_w), (step, step_w), (start, start_w))


def _along(before: ReceptiveField, axis: int, by: Reads) -> tuple[Length, Length, Length]:
    """Size, jump and start along one axis behind an operation."""
    jump = before.jump[axis]
    return before.size[axis] + (by.size - 1) * jump, by.step * jump, before.start[axis] + by.start * jump


def _together(inputs: tuple[ReceptiveField, ...], whole: ReceptiveField) -> ReceptiveField:
    """The smallest box around the fields of values that are combined; without a common jump, the whole image."""
    if len(inputs) == 1:
        return inputs[0]
    jump = inputs[0].jump
    if any(field.jump != jump for field in inputs):
        return whole
    start = [min(field.start[axis] for field in inputs) for axis in (0, 1)]
    stop = [max(field.start[axis] + field.size[axis] for field in inputs) for axis in (0, 1)]
    return ReceptiveField((stop[0] - start[0], stop[1] - start[1]), jump, (start[0], start[1]))
