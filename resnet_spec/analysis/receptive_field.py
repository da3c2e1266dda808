"""The receptive field of every value: which pixels of the input a pixel of it can depend on.

Goes in: a graph and the shapes of its values. Comes out: one `Field` for each node. Pixel `i` along an axis reads the input
pixels from `start + i * jump` to `start + i * jump + size - 1`; those before 0 or past the end are padding (Araujo et al. 2019,
Computing Receptive Fields of Convolutional Neural Networks).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from resnet_spec.graph.model import INPUT, Graph
from resnet_spec.ops import Operation, Pair, Shape


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """Per axis (height, width), in pixels of the input. `whole`: every pixel depends on the whole image.

    `padding` is how far the first pixel's field reaches out of the image.
    """

    size: Pair
    jump: Pair
    start: Pair
    whole: bool = False

    @property
    def padding(self) -> Pair:
        return max(0, -self.start[0]), max(0, -self.start[1])


ONE_PIXEL = ReceptiveField((1, 1), (1, 1), (0, 0))


def receptive_fields(
    graph: Graph, input: Shape, shapes: tuple[Shape, ...], gates: Collection[int] = ()
) -> tuple[ReceptiveField, ...]:
    """The field of each node's output, for images of `input` (C, H, W); what a value depends on through `gates` is left out."""
    whole = ReceptiveField((input[1], input[2]), (0, 0), (0, 0), whole=True)
    found: list[ReceptiveField] = []
    known: dict[tuple[object, ...], ReceptiveField] = {}
    for position, node in enumerate(graph.nodes):
        entering = tuple([ONE_PIXEL if value == INPUT else found[value] for value in node.inputs])
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
    if any(field.whole for field in inputs) or len(output) < 3 or len(x) < 3 or op.name == "linear":
        return whole
    if len(inputs) > 1:
        return _together(inputs, whole)
    (before,) = inputs
    window = op.window()
    if window is None:
        if op.name == "pad":
            return _padded(op, before)
        resized = op.along(0) is not None and output[1:] != x[1:]
        return whole if resized else before
    size = [before.size[axis] + window.dilation[axis] * (window.kernel[axis] - 1) * before.jump[axis] for axis in (0, 1)]
    start = [before.start[axis] - window.padding[axis] * before.jump[axis] for axis in (0, 1)]
    jump = [before.jump[axis] * window.stride[axis] for axis in (0, 1)]
    return ReceptiveField((size[0], size[1]), (jump[0], jump[1]), (start[0], start[1]))


def _padded(op: Operation, before: ReceptiveField) -> ReceptiveField:
    sides: tuple[int, ...] = getattr(op, "padding")  # noqa: B009
    top = sides[2] if len(sides) > 2 else 0
    start = (before.start[0] - top * before.jump[0], before.start[1] - sides[0] * before.jump[1])
    return ReceptiveField(before.size, before.jump, start)


def _together(inputs: tuple[ReceptiveField, ...], whole: ReceptiveField) -> ReceptiveField:
    """The smallest box around the fields of values that meet; without a common jump, the whole image."""
    jump = inputs[0].jump
    if any(field.jump != jump for field in inputs):
        return whole
    start = [min(field.start[axis] for field in inputs) for axis in (0, 1)]
    stop = [max(field.start[axis] + field.size[axis] for field in inputs) for axis in (0, 1)]
    return ReceptiveField((stop[0] - start[0], stop[1] - start[1]), jump, (start[0], start[1]))
