"""Which input sizes a network accepts: the exact set of (height, width) in pixels on which its module runs.

The length of every axis of every value is a function of the input's height or width (see `axis`), composed of the axis maps
that the operations declare. Sums and concatenations require equal functions; an operation built for a number of features
requires a flattened image of that many; in training, batch norm also requires more than one value in each channel. The number
of channels is that of the spec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from resnet_spec.analysis.axis import (
    ALL,
    IDENTITY,
    NONE,
    Sizes,
    Steps,
    UnsolvedError,
    at_least,
    contains,
    describe,
    intersect,
    simplify,
)
from resnet_spec.diagnostics.arguments import require_height_and_width
from resnet_spec.graph.model import INPUT, Graph, Node
from resnet_spec.ops import Fixed, Joined, Kept, Mapped, Operation, Problem, Shape

MAX_CASES = 64
MAX_RECTANGLES = 128

Rectangle = tuple[Sizes, Sizes]


@dataclass(frozen=True, slots=True)
class Accepted:
    """Input sizes in pixels: any height of a rectangle's first set with any width of its second.

    `squares` are the sizes of square images, `squares_alone` those on which it can also be trained with one image in a batch.
    `unsolved` is the reason if the solver gave up, else empty; if it gave up, `in` runs shape inference at that size.
    """

    rectangles: tuple[Rectangle, ...]
    squares: Sizes
    squares_alone: Sizes
    unsolved: str = ""
    runs: Callable[[int, int], bool] | None = field(default=None, compare=False, repr=False)

    def __contains__(self, size: object) -> bool:
        """Whether images of (height, width) pixels are accepted; one integer is a square. Raises ArgumentError for others."""
        height, width = require_height_and_width(size)
        if self.unsolved and self.runs is not None:
            return self.runs(height, width)
        return any(contains(heights, height) and contains(widths, width) for heights, widths in self.rectangles)

    def __repr__(self) -> str:
        return f"<Accepted: {self.describe()}>"

    def describe(self) -> str:
        """One line: `squares of 219 to 326 pixels`."""
        if self.unsolved:
            return f"not solved ({self.unsolved})"
        text = f"squares of {describe(self.squares)} pixels" if self.squares else "no squares"
        if len(self.rectangles) == 1 and self.rectangles[0][0] == self.rectangles[0][1] == self.squares:
            text = f"height and width of {describe(self.squares)} pixels"
        return text


def accepted_sizes(graph: Graph) -> Accepted:
    """The sizes a network accepts in evaluation, and the squares it can be trained on."""
    try:
        cases = _Solver(graph).solve()
        rectangles = _largest([rectangle for case in cases for rectangle in case.allowed()])
        squares = simplify([piece for heights, widths in rectangles for piece in intersect(heights, widths)])
        alone = simplify([piece for case in cases for piece in case.squares_alone()])
    except UnsolvedError as error:
        return Accepted((), NONE, NONE, str(error), partial(runs_at, graph))
    return Accepted(tuple(rectangles), squares, alone)


def runs_at(graph: Graph, height: int, width: int) -> bool:
    """Whether every operation accepts its input for images of `height` x `width` pixels, by shape inference."""
    return height >= 1 and width >= 1 and refused_at(graph, height, width) is None


def refused_at(graph: Graph, height: int, width: int) -> tuple[int, tuple[Shape, ...]] | None:
    """The position of the first operation that does not accept its inputs for images of `height` x `width` pixels, and the
    shapes of these; None if all do."""
    shapes: list[Shape] = []
    known: dict[tuple[object, ...], Shape | Problem] = {}
    for position, node in enumerate(graph.nodes):
        entering = tuple([(graph.input[0], height, width) if value == INPUT else shapes[value] for value in node.inputs])
        key = (id(node.op), entering)
        shape = known.get(key)
        if shape is None:
            shape = known[key] = node.op.shape(*entering)
        if isinstance(shape, Problem):
            return position, entering
        shapes.append(shape)
    return None


@dataclass(frozen=True, slots=True)
class _Product:
    """The length of an axis that a flatten joined: `factor` times a height times a width."""

    factor: int
    height: Steps
    width: Steps


_ONE = Steps((1,), 0)

# A value by its axes, without the batch. An int does not depend on the size of the input.
_Axis = int | Steps | _Product
_Axes = tuple[_Axis, ...]


@dataclass(frozen=True, slots=True)
class _Conditions:
    """What one operation requires of the input size. `least`: the smallest height and width that it accepts; None: no size."""

    least: tuple[int | None, int | None] = (1, 1)
    heights: Sizes = ALL
    widths: Sizes = ALL
    products: tuple[tuple[_Product, int], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """The conditions of all operations so far: minimum sizes and sets for each axis, products of the axes, norms."""

    least: tuple[int, int] = (1, 1)
    heights: Sizes = ALL
    widths: Sizes = ALL
    products: tuple[tuple[_Product, int], ...] = ()
    two_pixels: frozenset[_Axes] = frozenset()  # images that must each have at least two pixels
    two_in_training: frozenset[_Axes] = frozenset()  # the same, in training with one image in a batch
    never_alone: bool = False  # a norm over vectors: training on a batch of one image is impossible

    def given(self, conditions: _Conditions) -> _Case:
        """The case with further conditions."""
        height, width = conditions.least
        if height is None or width is None:
            return replace(self, heights=NONE)
        least = (max(self.least[0], height), max(self.least[1], width))
        if conditions.heights is ALL and conditions.widths is ALL and not conditions.products:
            return self if least == self.least else replace(self, least=least)
        heights = intersect(self.heights, conditions.heights)
        widths = intersect(self.widths, conditions.widths)
        products = (*self.products, *conditions.products)
        return replace(self, least=least, heights=heights, widths=widths, products=products)

    def allowed(self) -> list[Rectangle]:
        """The rectangles of sizes that meet all conditions."""
        heights = intersect(self.heights, at_least(self.least[0]))
        widths = intersect(self.widths, at_least(self.least[1]))
        found = [(heights, widths)]
        for image in self.two_pixels:
            tall, wide = (_sizes_of_two(axis) for axis in image)
            found = _largest([pair for h, w in found for pair in ((intersect(h, tall), w), (h, intersect(w, wide)))])
        for product, length in dict.fromkeys(self.products):
            pairs = [
                (product.height.level(divisor), product.width.level(length // product.factor // divisor))
                for divisor in _divisors(length // product.factor)
            ]
            found = _largest([(intersect(h, high), intersect(w, wide)) for h, w in found for high, wide in pairs])
        return found

    def squares_alone(self) -> Sizes:
        """The squares that a batch of one can be trained on: every batch norm sees more than one pixel."""
        if self.never_alone:
            return NONE
        squares = simplify([piece for h, w in self.allowed() for piece in intersect(h, w)])
        for image in self.two_in_training:
            starts = [start for axis in image if (start := _reaches_two(axis)) is not None]
            squares = intersect(squares, at_least(min(starts, default=None)))
        return squares


def _largest(rectangles: list[Rectangle]) -> list[Rectangle]:
    """The same sizes without rectangles that are empty or contained in another one."""
    kept: list[Rectangle] = []
    for rectangle in dict.fromkeys(filter(all, rectangles)):
        if any(_within(rectangle, other) for other in kept):
            continue
        kept = [other for other in kept if not _within(other, rectangle)]
        kept.append(rectangle)
        if len(kept) > MAX_RECTANGLES:
            raise UnsolvedError(f"more than {MAX_RECTANGLES} rectangles of sizes")
    return kept


def _within(inner: Rectangle, outer: Rectangle) -> bool:
    return all(small == large or intersect(small, large) == small for small, large in zip(inner, outer, strict=True))


def _reaches_two(axis: _Axis) -> int | None:
    """The input size from which on an axis of an image has two pixels; None if it never has."""
    if isinstance(axis, int):
        return 1 if axis > 1 else None
    assert isinstance(axis, Steps)
    return axis.reaches(2)


def _sizes_of_two(axis: _Axis) -> Sizes:
    return at_least(_reaches_two(axis))


class _Solver:
    """Follows the axes of every value through a graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.known: dict[tuple[int, int], tuple[_Axes, _Conditions | None]] = {}
        self.values: dict[_Axes, _Axes] = {}
        self.cases = 0

    def solve(self) -> list[_Case]:
        return self.run(0, [], _Case())

    def run(self, start: int, values: list[_Axes], case: _Case) -> list[_Case]:
        """Follow the nodes from `start`; there is more than one case where an input of a product may or may not be a gate."""
        self.cases += 1
        if self.cases > MAX_CASES:
            raise UnsolvedError("too many products that may be gates")
        first = self.intern((self.graph.input[0], IDENTITY, IDENTITY))
        nodes = self.graph.nodes
        for position in range(start, len(nodes)):
            node = nodes[position]
            inputs = [first if value == INPUT else values[value] for value in node.inputs]
            if len(inputs) > 1 and node.op.takes_like:
                value = self.intern((node.shape[0], *inputs[1][1:]))
            elif len(inputs) > 1:
                ways = list(self.join(node, inputs, case))
                if len(ways) > 1:
                    return [end for value, way in ways for end in self.run(position + 1, [*values, value], way)]
                value, case = ways[0]
            else:
                value, case = self.step(node, inputs[0], case)
            values.append(value)
        return [case]

    def intern(self, value: _Axes) -> _Axes:
        return self.values.setdefault(value, value)

    def step(self, node: Node, x: _Axes, case: _Case) -> tuple[_Axes, _Case]:
        """One operation on one value."""
        key = (id(node.op), id(x))
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = self.apply(node, x)
        value, conditions = found
        if conditions is not None:
            case = case.given(conditions)
        if node.op.needs_two_pixels(training=True):
            case = self.with_norm(node.op, x, case)
        return value, case

    def with_norm(self, op: Operation, x: _Axes, case: _Case) -> _Case:
        """The case in which a norm sees more than one value in each channel."""
        if not op.needs_two_pixels(training=False):
            if len(x) == 1:
                return case if case.never_alone else replace(case, never_alone=True)
            image = _pixels(x)
            return case if image in case.two_in_training else replace(case, two_in_training=case.two_in_training | {image})
        if all(isinstance(axis, int) for axis in x[1:]):
            return case  # accepted at the graph's input, and so at every other
        return replace(case, two_pixels=case.two_pixels | {_pixels(x)})

    def apply(self, node: Node, x: _Axes) -> tuple[_Axes, _Conditions | None]:
        """Apply an operation to the axes of a value: the axes of its output, and the conditions on the input size."""
        op, built = node.op, self.graph.shape_of(node.inputs[0])
        if len(x) == 3 and op.depends in ("pointwise", "channels") and node.shape[0] == x[0]:
            return x, None
        conditions = _NOTHING
        axes = list(x)
        for axis, length in op.fixes_size(built).items():
            conditions = _require_length(conditions, axes[axis], length)
            axes[axis] = length
        made: list[_Axis] = []
        needed: list[int | None] = [1, 1]  # height and width
        multiples = [ALL, ALL]
        for rule in op.axes(built):
            match rule:
                case Kept(axis):
                    made.append(axes[axis])
                case Fixed(size):
                    made.append(size)
                case Joined(first, last):
                    made.append(_join_axes(axes, first, last))
                case Mapped(axis, by):
                    entering = axes[axis]
                    if isinstance(entering, int):
                        made.append(by.size(entering))
                    elif isinstance(entering, _Product) or len(built) != 3:
                        raise UnsolvedError(f"{op.name} of a flattened image")
                    elif axis == 2 and axes[1] is entering and op.square():
                        made.append(made[1])
                        needed[1] = needed[0]
                        multiples[1] = multiples[0]
                    else:
                        made.append(entering.then(by))
                        needed[axis - 1] = entering.reaches(by.least)
                        if by.multiple > 1:
                            multiples[axis - 1] = entering.divisible(by.multiple)
        if len(made) == 3:
            made[0] = node.shape[0]
        if needed != [1, 1]:
            conditions = replace(conditions, least=(needed[0], needed[1]))
        if multiples != [ALL, ALL]:
            heights, widths = intersect(conditions.heights, multiples[0]), intersect(conditions.widths, multiples[1])
            conditions = replace(conditions, heights=heights, widths=widths)
        return self.intern(tuple(made)), None if conditions is _NOTHING else conditions

    def join(self, node: Node, inputs: list[_Axes], case: _Case) -> Iterator[tuple[_Axes, _Case]]:
        """The ways in which a join can combine values: equal axes, or gates of one pixel or of one channel times an image."""
        first, op = inputs[0], node.op
        if all(value is first for value in inputs) and op.joins != "concatenation":
            yield first, case
            return
        if len(first) != 3:
            yield self.join_vectors(op, inputs), case
            return
        if not op.broadcasts:
            yield self.intern((node.shape[0], *first[1:])), _require_equal(inputs, case)
            return
        whole = [value for value in inputs if value[0] == node.shape[0]]
        if len(whole) < len(inputs):  # the others are gates of 1 x H x W
            gates = [value for value in inputs if value[0] != node.shape[0]]
            for value, way in self.join(node, whole, case):
                yield value, _require_equal([value, *gates], way)
            return
        images = [value for value in inputs if not _is_unit(value)]
        if len(images) < len(inputs):
            if all(image is images[0] for image in images):
                yield (images[0] if images else first), case
            else:
                yield from self.join(node, images, case)
            return
        if len(images) > 2:
            raise UnsolvedError("a product of more than two values that may be gates")
        second = images[1]
        yield first, _require_equal(images, case)
        yield first, _require_one_pixel(second, case)
        yield second, _require_one_pixel(first, case)

    def join_vectors(self, op: Operation, inputs: list[_Axes]) -> _Axes:
        """Combine flattened images. Their lengths are known to be equal if they come from one image, or are fixed."""
        known = [value for value in inputs if all(isinstance(axis, int) for axis in value)]
        if op.joins == "concatenation":
            if len(known) < len(inputs):
                raise UnsolvedError("a concatenation of flattened images")
            return self.intern((sum(value[0] for value in known if isinstance(value[0], int)), *known[0][1:]))
        if any(value != inputs[0] for value in inputs):
            raise UnsolvedError("a sum of flattened images of different origin")
        return inputs[0]


_NOTHING = _Conditions()


def _pixels(value: _Axes) -> _Axes:
    """The height and width of an image: norms of different channels on one image are one condition."""
    if len(value) != 3:
        raise UnsolvedError("a norm over the channels of a flattened image")
    return value[1:]


def _is_unit(value: _Axes) -> bool:
    return value[1:] == (1, 1)


def _join_axes(axes: list[_Axis], first: int, last: int) -> _Axis:
    """The length of the axes from `first` to `last` as one."""
    factor, height, width = 1, _ONE, _ONE
    for place in range(first, last + 1):
        match axes[place]:
            case int(length):
                factor *= length
            case _Product(inner, inner_height, inner_width) if height is width is _ONE:
                factor, height, width = factor * inner, inner_height, inner_width
            case Steps() as axis if place == len(axes) - 1 and width is _ONE:  # the width is the last axis
                width = axis
            case Steps() as axis if len(axes) == 3 and place == 1:
                height = axis
            case _:
                raise UnsolvedError("a flatten of some axes only")
    return factor if height is width is _ONE else _Product(factor, height, width)


def _require_length(conditions: _Conditions, axis: _Axis, length: int) -> _Conditions:
    """The conditions under which an axis has the length that an operation was built for."""
    match axis:
        case Steps():  # of images only the width can be the last axis
            return replace(conditions, widths=intersect(conditions.widths, axis.level(length)))
        case _Product(factor) if length % factor == 0:
            return replace(conditions, products=(*conditions.products, (axis, length)))
        case _Product():
            return replace(conditions, heights=NONE)
    return conditions


def _require_equal(images: list[_Axes], case: _Case) -> _Case:
    heights, widths = case.heights, case.widths
    for image in images[1:]:
        heights = intersect(heights, _equal(images[0][1], image[1]))
        widths = intersect(widths, _equal(images[0][2], image[2]))
    return replace(case, heights=heights, widths=widths)


def _require_one_pixel(image: _Axes, case: _Case) -> _Case:
    heights = intersect(case.heights, _equal(image[1], 1))
    return replace(case, heights=heights, widths=intersect(case.widths, _equal(image[2], 1)))


def _equal(first: _Axis, second: _Axis) -> Sizes:
    """The input sizes at which two axes of images are equally long."""
    if first is second or first == second:
        return ALL
    match first, second:
        case int(), int():
            return NONE
        case Steps(), int(length):
            return first.level(length)
        case int(length), Steps():
            return second.level(length)
        case Steps(), Steps():
            return first.equals(second)
    raise AssertionError("an axis of an image is no product")


def _divisors(number: int) -> list[int]:
    small = [d for d in range(1, int(number**0.5) + 1) if number % d == 0]
    return sorted({*small, *(number // d for d in small)})
