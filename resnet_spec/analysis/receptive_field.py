"""The receptive field of every value: which pixels of the input one of its pixels can depend on.

Along one axis, pixel `i` depends on the input pixels from `first(i)` to `last(i)`; those before 0 or past the end are padding
(Araujo et al. 2019, Computing Receptive Fields of Convolutional Neural Networks). Both are step functions of `i`. Without
operations that enlarge they are lines: `start + i * jump` and `start + i * jump + size - 1`. Where a value was enlarged to a
given size, and where values of different rates are joined, they are listed for each pixel; for more than MAX_PERIOD, the field
is taken for the whole image.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor, gcd, lcm

from resnet_spec.graph.model import INPUT, Graph
from resnet_spec.ops import ONE_PIXEL, Pair, Reads, Shape

MAX_PERIOD = 1024


class _TooManyPhasesError(Exception):
    """A field has more different phases than are worth listing."""


def _limited(period: int) -> int:
    if period > MAX_PERIOD:
        raise _TooManyPhasesError
    return period


@dataclass(frozen=True, slots=True)
class AxisField:
    """The field along one axis: the first and the last input pixel of each phase, and the shift from one period to the next."""

    firsts: tuple[int, ...]
    lasts: tuple[int, ...]
    shift: int

    def first(self, i: int) -> int:
        """The first input pixel that pixel `i` depends on."""
        periods, phase = divmod(i, len(self.firsts))
        return self.firsts[phase] + periods * self.shift

    def last(self, i: int) -> int:
        """The last input pixel that pixel `i` depends on."""
        periods, phase = divmod(i, len(self.lasts))
        return self.lasts[phase] + periods * self.shift

    def then(self, by: Reads) -> AxisField:
        """The field after an operation with these reads."""
        if len(self.firsts) == 1 and isinstance(by.step, int) and isinstance(by.start, int) and isinstance(by.size, int):
            first = self.firsts[0] + by.start * self.shift  # a fast path for the usual case
            last = self.lasts[0] + (by.start + by.size - 1) * self.shift
            return AxisField((first,), (last,), self.shift * by.step)
        step = Fraction(by.step)
        if by.step == 0:  # every pixel reads the same
            first, last = self.first(floor(by.start)), self.last(floor(by.start + by.size - 1))
            return AxisField((first,), (last,), 0)
        period = len(self.firsts) * step.denominator
        period //= gcd(period, step.numerator)
        starts = [by.start + i * step for i in range(_limited(period))]
        return AxisField(
            tuple([self.first(floor(start)) for start in starts]),
            tuple([self.last(floor(start + by.size - 1)) for start in starts]),
            int(period * step) * self.shift // len(self.firsts),
        )

    def over(self, count: int, span: int) -> AxisField:
        """The same field of the pixels 0 to `count - 1`, as one period that advances by `span`."""
        pixels = range(_limited(count))
        return AxisField(tuple([self.first(i) for i in pixels]), tuple([self.last(i) for i in pixels]), span)

    def enclose(self, other: AxisField) -> AxisField:
        """The smallest field that encloses this one and another that advances at the same rate."""
        if len(self.firsts) == len(other.firsts) == 1:
            return AxisField((min(self.firsts[0], other.firsts[0]),), (max(self.lasts[0], other.lasts[0]),), self.shift)
        period = lcm(len(self.firsts), len(other.firsts))
        phases = range(_limited(period))
        return AxisField(
            tuple([min(self.first(i), other.first(i)) for i in phases]),
            tuple([max(self.last(i), other.last(i)) for i in phases]),
            self.shift * (period // len(self.firsts)),
        )

    def keeps_pace(self, other: AxisField) -> bool:
        """Whether two fields advance at the same rate."""
        return self.shift * len(other.firsts) == other.shift * len(self.firsts)

    @property
    def jump(self) -> Fraction:
        """Input pixels from one pixel to the next, on average."""
        return Fraction(self.shift, len(self.firsts))

    @property
    def size(self) -> int:
        """The largest number of input pixels that one pixel depends on."""
        return max(last - first + 1 for first, last in zip(self.firsts, self.lasts, strict=True))


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """Per axis (height, width), in pixels of the input. `whole`: every pixel depends on the whole image."""

    height: AxisField
    width: AxisField
    whole: bool = False

    @property
    def size(self) -> Pair:
        """The largest number of input pixels that one pixel depends on."""
        return self.height.size, self.width.size

    @property
    def jump(self) -> tuple[int | Fraction, int | Fraction]:
        """The distance between the fields of neighboring pixels, on average."""
        height, width = (int(jump) if jump.denominator == 1 else jump for jump in (self.height.jump, self.width.jump))
        return height, width

    @property
    def start(self) -> Pair:
        """Where the field of the first pixel begins."""
        return self.height.first(0), self.width.first(0)

    @property
    def padding(self) -> Pair:
        """How far the field of the first pixel extends beyond the image."""
        return max(0, -self.start[0]), max(0, -self.start[1])

    def of_first_pixel(self) -> ReceptiveField:
        """The field of a value that all have in common: that of the first pixel."""
        height, width = (AxisField((axis.first(0),), (axis.last(0),), 0) for axis in (self.height, self.width))
        return ReceptiveField(height, width, self.whole)


_PIXEL = AxisField((0,), (0,), 1)
_INPUT_FIELD = ReceptiveField(_PIXEL, _PIXEL)


def receptive_fields(
    graph: Graph, input: Shape, shapes: tuple[Shape, ...], gates: Collection[int] = ()
) -> tuple[ReceptiveField, ...]:
    """The field of each node's output, for images of `input` (C, H, W); dependence through the nodes in `gates` is ignored."""
    return tuple(iterate_fields(graph, input, shapes, gates))


def iterate_fields(
    graph: Graph, input: Shape, shapes: tuple[Shape, ...], gates: Collection[int] = ()
) -> Iterator[ReceptiveField]:
    """As `receptive_fields`, one after another: for callers that need those of the first nodes only."""
    height, width = (AxisField((0,), (size - 1,), 0) for size in input[1:])
    whole = ReceptiveField(height, width, whole=True)
    found: list[ReceptiveField] = []
    reads: dict[object, tuple[Reads | None, Reads | None]] = {}
    known: dict[object, ReceptiveField] = {}
    for position, node in enumerate(graph.nodes):
        op, shape = node.op, shapes[position]
        read = node.inputs[:1] if op.takes_like else node.inputs  # of what `like` names, only the size matters
        entering = [_INPUT_FIELD if value == INPUT else found[value] for value in read]
        if len(entering) > 1:
            ungated = [field for value, field in zip(read, entering, strict=True) if value not in gates]
            if len(ungated) == 1:
                found.append(ungated[0])
                yield ungated[0]
                continue
        x = input if node.inputs[0] == INPUT else shapes[node.inputs[0]]
        single: tuple[bool, ...] = ()  # for each input, whether it is a gate of one pixel, which all pixels of the output read
        if op.broadcasts and shape[1:] != (1, 1):
            single = tuple([(input if value == INPUT else shapes[value])[1:] == (1, 1) for value in read])
        key = (id(op), x, shape, single, *map(id, entering))
        field = known.get(key)
        if field is None:
            if len(x) == len(shape) == 3:
                sizes = (id(op), x[1:], shape[1:])
                by = reads.get(sizes)
                if by is None:
                    by = reads[sizes] = (op.reads_between(0, x[1], shape[1]), op.reads_between(1, x[2], shape[2]))
                each = entering
                if any(single):
                    each = [field.of_first_pixel() if one else field for one, field in zip(single, entering, strict=True)]
                try:
                    field = _after(*by, each, whole, shape[1:], input[1:])
                except _TooManyPhasesError:
                    field = whole
            else:
                field = whole
            known[key] = field
        found.append(field)
        yield field


def _after(
    height: Reads | None,
    width: Reads | None,
    inputs: Sequence[ReceptiveField],
    whole: ReceptiveField,
    size: Shape,
    image: Shape,
) -> ReceptiveField:
    """The field after an operation with these reads along each axis, whose output has `size` pixels for an `image`."""
    if height is None or width is None or any(field.whole for field in inputs):
        return whole
    before = inputs[0]
    for other in inputs[1:]:
        tall = _enclose(before.height, other.height, size[0], image[0])
        same = before.height is before.width and other.height is other.width and size[0] == size[1] and image[0] == image[1]
        before = ReceptiveField(tall, tall if same else _enclose(before.width, other.width, size[1], image[1]))
    if height is width is ONE_PIXEL:
        return before
    tall = _bounded(before.height.then(height), size[0], image[0])
    same = before.height is before.width and height == width and size[0] == size[1] and image[0] == image[1]
    return ReceptiveField(tall, tall if same else _bounded(before.width.then(width), size[1], image[1]))


def _enclose(first: AxisField, second: AxisField, count: int, span: int) -> AxisField:
    """The field that encloses two of `count` pixels, for an image of `span`; pixel by pixel if their rates differ."""
    if not first.keeps_pace(second):
        first, second = first.over(count, span), second.over(count, span)
    return _bounded(first.enclose(second), count, span)


def _bounded(field: AxisField, count: int, span: int) -> AxisField:
    """A field whose period is not longer than its `count` pixels."""
    return field if len(field.firsts) <= max(count, 1) else field.over(count, span)
