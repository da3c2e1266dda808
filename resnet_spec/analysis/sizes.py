"""Which input sizes a network accepts: the exact set of (height, width) on which the module built at `input` runs.

Goes in: a graph. Comes out: `Accepted`. Each axis is followed as a step function (see `axis`). Sums and concatenations ask that
functions agree; a linear layer behind a flatten asks that height times width is what it was built for; in training, batch norm
also asks for more than one value per channel. Channels must be those of the spec.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    intersection,
    simplified,
)
from resnet_spec.diagnostics.arguments import require_height_and_width
from resnet_spec.graph.model import INPUT, Graph
from resnet_spec.ops import Operation
from resnet_spec.ops.convolution import Linear
from resnet_spec.ops.normalization import BatchNorm, GroupNorm, LayerNorm
from resnet_spec.ops.reshaping import Flatten

MAX_WORLDS = 64

Rectangle = tuple[Sizes, Sizes]


@dataclass(frozen=True, slots=True)
class Accepted:
    """Input sizes in pixels: any height of a rectangle's first set with any width of its second.

    `squares` are the sizes of square images; `squares_alone` those that also train in a batch of one image. `unsolved` says why
    the solver gave up, and is empty otherwise.
    """

    rectangles: tuple[Rectangle, ...]
    squares: Sizes
    squares_alone: Sizes
    unsolved: str = ""

    def __contains__(self, size: object) -> bool:
        """Whether images of (height, width) pixels are accepted; one integer is a square. Raises ArgumentError for others."""
        height, width = require_height_and_width(size)
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
        worlds = _Solver(graph).solve()
    except UnsolvedError as error:
        return Accepted((), NONE, NONE, str(error))
    rectangles = tuple(dict.fromkeys(rectangle for world in worlds for rectangle in world.allowed() if all(rectangle)))
    squares = simplified([piece for heights, widths in rectangles for piece in intersection(heights, widths)])
    alone = simplified([piece for world in worlds for piece in world.squares_alone()])
    return Accepted(rectangles, squares, alone)


@dataclass(frozen=True, slots=True)
class _Image:
    """A value that still has height and width."""

    height: Steps
    width: Steps


@dataclass(frozen=True, slots=True)
class _Flat:
    """A value with one axis of `factor` times height times width; `fixed` once something asked for its size."""

    factor: int
    image: _Image
    fixed: bool = False


_Value = _Image | _Flat
_UNIT = Steps((1,), 0)


@dataclass(frozen=True, slots=True)
class _Case:
    """Conditions gathered on the way: least sizes and sets for each axis, products of the axes, and images that norms see."""

    least: tuple[int, int] = (1, 1)
    heights: Sizes = ALL
    widths: Sizes = ALL
    products: tuple[tuple[_Image, int], ...] = ()
    normed: frozenset[_Image] = frozenset()
    shared: frozenset[_Image] = frozenset()  # images that must have two pixels or more, in evaluation too
    never_alone: bool = False

    def needing(self, sizes: tuple[int | None, int | None]) -> _Case:
        """The world in which height and width are at least so large."""
        height, width = sizes
        if height is None or width is None:
            return replace(self, heights=NONE)
        if height <= self.least[0] and width <= self.least[1]:
            return self
        return replace(self, least=(max(self.least[0], height), max(self.least[1], width)))

    def allowed(self) -> list[Rectangle]:
        """The rectangles of sizes that meet all conditions."""
        heights = intersection(self.heights, at_least(self.least[0]))
        widths = intersection(self.widths, at_least(self.least[1]))
        found = [(heights, widths)]
        for image in self.shared:
            tall, wide = at_least(image.height.reaches(2)), at_least(image.width.reaches(2))
            found = [pair for h, w in found for pair in ((intersection(h, tall), w), (h, intersection(w, wide))) if all(pair)]
        for image, product in self.products:
            pairs = [(image.height.level(divisor), image.width.level(product // divisor)) for divisor in _divisors(product)]
            found = [
                (both, sides)
                for h, w in found
                for level_h, level_w in pairs
                if (both := intersection(h, level_h)) and (sides := intersection(w, level_w))
            ]
        return found

    def squares_alone(self) -> Sizes:
        """The squares that a batch of one can be trained on: every batch norm sees more than one pixel."""
        if self.never_alone:
            return NONE
        squares = simplified([piece for h, w in self.allowed() for piece in intersection(h, w)])
        for image in self.normed:
            starts = [start for axis in (image.height, image.width) if (start := axis.reaches(2)) is not None]
            squares = intersection(squares, at_least(min(starts, default=None)))
        return squares


class _Solver:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.known: dict[tuple[int, int], tuple[_Image, tuple[int | None, int | None]]] = {}
        self.images: dict[_Image, _Image] = {}
        self.worlds = 0

    def solve(self) -> list[_Case]:
        return self.run(0, [], _Case())

    def run(self, start: int, values: list[_Value], world: _Case) -> list[_Case]:
        """Follow the nodes from `start`; more than one world where a product may or may not be a gate."""
        self.worlds += 1
        if self.worlds > MAX_WORLDS:
            raise UnsolvedError("too many products that may be gates")
        first = self.interned(_Image(IDENTITY, IDENTITY))
        nodes = self.graph.nodes
        for position in range(start, len(nodes)):
            node = nodes[position]
            inputs = [first if value == INPUT else values[value] for value in node.inputs]
            if len(inputs) > 1:
                ways = self.join(node.op, inputs, world)
                if len(ways) > 1:
                    return [end for value, way in ways for end in self.run(position + 1, [*values, value], way)]
                value, world = ways[0]
            else:
                value, world = self.step(node.op, inputs[0], world, position)
            values.append(value)
        return [world]

    def interned(self, image: _Image) -> _Image:
        return self.images.setdefault(image, image)

    def step(self, op: Operation, x: _Value, world: _Case, position: int) -> tuple[_Value, _Case]:
        """One operation on one value."""
        match op:
            case Linear():
                return self.linear(op, x, world)
            case Flatten():
                return self.flatten(op, x, position), world
            case BatchNorm() if isinstance(x, _Flat):
                if op.rank != 1:
                    raise UnsolvedError("a norm over the channels of a flat value")
                return self.fix(x, op.num_features, replace(world, never_alone=True))
            case BatchNorm() if isinstance(x, _Image):
                return x, (world if x in world.normed else replace(world, normed=world.normed | {x}))
            case GroupNorm() if isinstance(x, _Image) and op.num_groups == op.num_channels:
                return x, replace(world, shared=world.shared | {x})
            case LayerNorm() if isinstance(x, _Flat):
                return self.fix(x, op.normalized_shape, world)
        if isinstance(x, _Flat):
            return x, world
        key = (id(op), id(x))
        if key not in self.known:
            self.known[key] = self.windows(op, x)
        made, needed = self.known[key]
        return made, world.needing(needed)

    def windows(self, op: Operation, x: _Image) -> tuple[_Image, tuple[int | None, int | None]]:
        """What an operation does to height and width, and the input sizes from which it runs (None: at none)."""
        axes: list[Steps] = []
        needed: list[int | None] = []
        for axis, steps in enumerate((x.height, x.width)):
            if axis and steps is x.height and op.square():
                axes.append(axes[0])
                needed.append(needed[0])
                continue
            along = op.along(axis)
            axes.append(steps if along is None else steps.then(along.size, along.stride))
            needed.append(1 if along is None else steps.reaches(along.least))
        return self.interned(_Image(axes[0], axes[1])), (needed[0], needed[1])

    def linear(self, op: Linear, x: _Value, world: _Case) -> tuple[_Value, _Case]:
        if isinstance(x, _Flat):
            _, world = self.fix(x, op.in_features, world)
            return _Flat(op.out_features, _Image(_UNIT, _UNIT), fixed=True), world
        widths = intersection(world.widths, x.width.level(op.in_features))
        width = Steps((op.out_features,), 0)
        return self.interned(_Image(x.height, width)), replace(world, widths=widths)

    def flatten(self, op: Flatten, x: _Value, position: int) -> _Flat:
        if isinstance(x, _Flat):
            return x
        entering = self.graph.shape_of(self.graph.nodes[position].inputs[0])
        first, last = op.axes(entering)
        if last != 2 or first not in (0, 1):
            raise UnsolvedError("a flatten of some axes only")
        return _Flat(entering[0] if first == 0 else 1, x)

    def fix(self, x: _Flat, size: int, world: _Case) -> tuple[_Flat, _Case]:
        """Ask that a flat value has just this size, as what follows was built for it."""
        if x.fixed:
            return x, world
        if size % x.factor:
            raise UnsolvedError("a norm over the channels of a flat value")
        condition = (x.image, size // x.factor)
        products = world.products if condition in world.products else (*world.products, condition)
        return replace(x, fixed=True), replace(world, products=products)

    def join(self, op: Operation, inputs: list[_Value], world: _Case) -> list[tuple[_Value, _Case]]:
        """The ways in which values can meet: equal axes, or a gate of one pixel times an image."""
        flats = [value for value in inputs if isinstance(value, _Flat)]
        if flats and op.name == "concat":
            raise UnsolvedError("a concatenation of flat values")
        if any(replace(flat, fixed=True) != replace(flats[0], fixed=True) for flat in flats):
            raise UnsolvedError("a sum of flat values of different origin")
        if flats:
            return [(flats[0], world)]
        images = [value for value in inputs if isinstance(value, _Image)]
        if all(image is images[0] for image in images):
            return [(images[0], world)]
        if op.name != "multiply":
            return [(images[0], _agreeing(images, world))]
        unit = _Image(_UNIT, _UNIT)
        wholes = [image for image in images if image != unit]
        if len(wholes) < len(images):
            if all(image is wholes[0] for image in wholes):
                return [(wholes[0] if wholes else unit, world)]
            return self.join(op, list(wholes), world)
        if len(images) > 2:
            raise UnsolvedError("a product of more than two values that may be gates")
        first, second = images
        return [
            (first, _agreeing(images, world)),
            (first, _one_pixel(second, world)),
            (second, _one_pixel(first, world)),
        ]


def _agreeing(images: list[_Image], world: _Case) -> _Case:
    heights, widths = world.heights, world.widths
    for image in images[1:]:
        heights = intersection(heights, images[0].height.equals(image.height))
        widths = intersection(widths, images[0].width.equals(image.width))
    return replace(world, heights=heights, widths=widths)


def _one_pixel(image: _Image, world: _Case) -> _Case:
    heights = intersection(world.heights, image.height.level(1))
    return replace(world, heights=heights, widths=intersection(world.widths, image.width.level(1)))


def _divisors(number: int) -> list[int]:
    small = [d for d in range(1, int(number**0.5) + 1) if number % d == 0]
    return sorted({*small, *(number // d for d in small)})
