"""What an operation declares. One class holds everything about an operation; no other part of the package checks its name.

A shape is a tuple without the batch: `(C, H, W)` in pixels, or `(F,)` after a flatten. A violated rule is returned as a
`Problem`; the caller knows the place in the spec and turns it into a diagnostic.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from fractions import Fraction
from math import gcd, isqrt, prod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from resnet_spec.ops.source import SourceCall, make_call

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, ...]
Pair = tuple[int, int]
Family = Literal[
    "convolution",
    "linear",
    "normalization",
    "activation",
    "pooling",
    "reshaping",
    "regularization",
    "scaling",
    "identity",
    "join",
]
Dependence = Literal["pointwise", "channels", "window", "whole"]
Combination = Literal["sum", "difference", "product", "concatenation"]
FieldValue = int | float | bool | str | tuple[int, ...]
FieldKind = Literal["int", "float", "bool", "word", "pair", "ints"]


@dataclass(frozen=True, slots=True)
class Problem:
    """A violated rule, without a place in the spec.

    `fields` are those whose values cause it, the most likely one first. `by_size`: the size of the input, which earlier
    operations determine, is a cause too. `proposals` are values of fields that solve it, as a spec writes them, the best first;
    under an empty name, the whole operation.
    """

    code: str
    message: str
    help: str = ""
    fields: tuple[str, ...] = ()
    by_size: bool = False
    proposals: tuple[tuple[tuple[str, str], ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Field:
    """What the spec may write for one argument of an operation.

    `kind` is its type after evaluation; a pair is written as one number or as two (height, width). `words` are keywords, taken
    literally; any other string is an expression. `least` and `most` are inclusive.
    """

    name: str
    kind: FieldKind
    doc: str
    default: FieldValue | None  # None: must be written
    default_doc: str = ""  # describes a default that is not a constant
    least: float | None = None
    most: float | None = None
    words: tuple[str, ...] = ()
    lengths: tuple[int, ...] = ()
    examples: tuple[FieldValue, ...] = ()  # where the default or the keywords are not good examples
    added: bool = False  # after version 0.1.0, to an operation that was there: at its default, it is not printed in a graph

    @property
    def required(self) -> bool:
        return self.default is None and not self.default_doc


def spec_field(
    kind: FieldKind,
    doc: str,
    default: Any = MISSING,
    *,
    default_doc: str = "",
    least: float | None = None,
    most: float | None = None,
    words: tuple[str, ...] = (),
    lengths: tuple[int, ...] = (),
    examples: tuple[FieldValue, ...] = (),
    added: bool = False,
) -> Any:
    """Declare a dataclass field that a spec may write. `default_doc` describes the default where it is not a constant."""
    facts = {
        "kind": kind,
        "doc": doc,
        "default": None if default is MISSING else default,
        "default_doc": default_doc,
        "least": least,
        "most": most,
        "words": words,
        "lengths": lengths,
        "examples": examples,
        "added": added,
    }
    return dataclasses.field(default=default, metadata={"spec": facts})


@dataclass(frozen=True, slots=True)
class Tensor:
    """A parameter or buffer: `name` is the last part of its `state_dict` key; not persistent means it has no key.

    An empty name: the key is the path of the operation itself (see `Operation.own_tensor`).
    """

    name: str
    shape: Shape
    buffer: bool = False
    persistent: bool = True


@dataclass(frozen=True, slots=True)
class Window:
    """The sliding window of an operation: per axis (height, width), in pixels of its input."""

    kernel: Pair
    stride: Pair
    padding: Pair  # before the first pixel
    dilation: Pair


@dataclass(frozen=True, slots=True)
class Reads:
    """Which pixels of its input an output pixel reads along one axis.

    Output pixel `i` reads the input pixels from `floor(start + i * step)` to `floor(start + i * step + size - 1)`. The step is
    a fraction where an operation enlarges: an upsampling by 2 has `Reads(1, Fraction(1, 2), 0)`.
    """

    size: int | Fraction
    step: int | Fraction
    start: int | Fraction


@dataclass(frozen=True, slots=True)
class Saved:
    """What autograd keeps for the backward pass of an operation, apart from parameters and buffers (on a CPU).

    `values` and `indices` (64-bit) count numbers for one image, `statistics` and `weights` numbers for the whole batch. Weights
    are computed from parameters, in evaluation too.
    """

    inputs: bool = False
    output: bool = False
    values: int = 0
    indices: int = 0
    statistics: int = 0
    weights: int = 0


@dataclass(frozen=True, slots=True)
class AxisMap:
    """The output size along one axis: `size(n)` pixels for `n` input pixels, for every `n` of at least `least`.

    `size(n + period) == size(n) + gain` for every `n`, so the rate is the rational number `gain / period`: 1 / 2 for a stride
    of 2, 2 / 1 for an upsampling by 2, 0 / 1 where the size is always the same. Only multiples of `multiple` are accepted.
    """

    size: Callable[[int], int]
    period: int
    gain: int
    least: int = 1
    multiple: int = 1


@dataclass(frozen=True, slots=True)
class Kept:
    """An output axis that equals the input axis `axis`."""

    axis: int


@dataclass(frozen=True, slots=True)
class Mapped:
    """An output axis whose size is an axis map of the size of the input axis `axis`."""

    axis: int
    by: AxisMap


@dataclass(frozen=True, slots=True)
class Joined:
    """An output axis as long as the product of the input axes `first` to `last`."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Fixed:
    """An output axis of the same `size` for every input."""

    size: int


OutputAxis = Kept | Mapped | Joined | Fixed


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Operation:
    """One operation with all its arguments known. Subclasses are the definitions; instances are in the graph.

    Fields made by `spec_field` are written in specs; the others are inferred from the input shape (`inferred`). A definition
    must declare `name`, `family` and `depends`, which have no defaults; the other declarations default to an operation that
    works on each value by itself, has no tensors, and keeps the shape.
    """

    name: ClassVar[str]
    family: ClassVar[Family]
    depends: ClassVar[Dependence]
    """What an output value at a pixel is computed from: the same value; all channels of the same pixel; a window of pixels (see
    `reads`); or the whole input. The statistics of norms do not count, as in the literature on receptive fields. Where that
    depends on a field, it is the last of these that a value of the field leads to, and `reads` is exact."""

    torch: ClassVar[str] = ""  # the name of the layer in torch.nn; empty: the class defines `layer`
    joins: ClassVar[Combination | None] = None  # how it combines two or more inputs; None: it takes one input
    takes_like: ClassVar[bool] = False  # it may have a second input, of which only height and width are read (`like: NAME`)
    own_tensor: ClassVar[bool] = False  # it is a parameter: its tensor has the key of the operation, and no part behind it
    broadcasts: ClassVar[bool] = False  # an input of C x 1 x 1 or of 1 x H x W may scale another of C x H x W
    leading: ClassVar[tuple[str, ...]] = ()  # the arguments of its torch layer that source has without their names
    symbol: ClassVar[str] = ""  # what diagrams show instead of a name
    draws_weight: ClassVar[bool] = False  # `init` applies to its weight, which the layer leaves uninitialized
    nonnegative: ClassVar[bool] = False  # no output value is below zero
    removes_mean: ClassVar[bool] = False  # subtracts the mean of each channel, so that a bias before it has no effect
    keeps_output: ClassVar[bool] = False  # its backward pass reads its output, which therefore may not be overwritten
    copies_parts: ClassVar[bool] = False  # copies an input that is a part of a larger value, such as a slice of its channels
    inplace: ClassVar[bool] = False  # can write its output over its last input (of at most two), and its layer takes `inplace`

    # Written once here instead of generated for each class, which took a tenth of the start-up time.
    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        arguments = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in fields(self))
        return f"{type(self).__name__}({arguments})"

    def _values(self) -> tuple[object, ...]:
        kind = type(self)
        names = _NAMES.get(kind)
        if names is None:
            names = _NAMES[kind] = tuple(field.name for field in fields(kind))
        return tuple([getattr(self, name) for name in names])

    @classmethod
    def inferred(cls, x: Shape) -> Mapping[str, FieldValue] | Problem:
        """The arguments that follow from the input shape."""
        return {}

    @classmethod
    def bind(cls, written: Mapping[str, FieldValue], x: Shape) -> Self | Problem:
        """Make the operation from the written arguments and its input shape."""
        inferred = cls.inferred(x)
        if isinstance(inferred, Problem):
            return inferred
        made = cls(**written, **inferred)
        return made.problem() or made

    def problem(self) -> Problem | None:
        """What is wrong with the arguments, for any size of the input."""
        return None

    # --- shapes -----------------------------------------------------------------------------------------------------------

    def shape(self, *inputs: Shape) -> Shape | Problem:
        """The shape of the output, exactly as torch computes it."""
        return inputs[0]

    def along(self, axis: int) -> AxisMap | None:
        """How the height (axis 0) or the width (axis 1) of an image changes; None if every size is kept."""
        return None

    def axes(self, x: Shape) -> tuple[OutputAxis, ...]:
        """Where each axis of the output comes from, for an input with the rank of `x`; not used for joins.

        The number of channels of an image does not depend on its size, so that entry is ignored.
        """
        if len(x) != 3:
            return tuple(Kept(axis) for axis in range(len(x)))
        maps = [self.along(axis) for axis in (0, 1)]
        return (Kept(0), *(Kept(axis) if by is None else Mapped(axis, by) for axis, by in enumerate(maps, 1)))

    def fixes_size(self, x: Shape) -> Mapping[int, int]:
        """The input axes that must have the length the operation was built for, with that length; for the rank of `x`."""
        return {}

    def needs_two_pixels(self, training: bool) -> bool:
        """Whether torch refuses a single image with one value in each channel, in training or in evaluation."""
        return False

    def square(self) -> bool:
        """Whether height and width are treated alike."""
        window = self.window()
        return window is not None and all(a == b for a, b in (window.kernel, window.stride, window.padding, window.dilation))

    # --- what an output pixel reads ---------------------------------------------------------------------------------------

    def window(self) -> Window | None:
        """The sliding window, where there is one: for tables, diagrams and warnings."""
        return None

    def reads(self, axis: int) -> Reads | None:
        """The pixels that an output pixel reads along the height (axis 0) or the width (axis 1); None: the whole image."""
        if self.depends == "whole":
            return None
        window = self.window()
        if window is None:
            return ONE_PIXEL
        size = window.dilation[axis] * (window.kernel[axis] - 1) + 1
        return Reads(size, window.stride[axis], -window.padding[axis])

    def reads_between(self, axis: int, before: int, after: int) -> Reads | None:
        """The same where `before` pixels enter along that axis and `after` leave, if it depends on them."""
        return self.reads(axis)

    def channels_field(self) -> tuple[str, int] | None:
        """The field of the spec that sets the channels of the output, and the channels that enter; None if there is none."""
        return None

    # --- costs ------------------------------------------------------------------------------------------------------------

    def tensors(self) -> tuple[Tensor, ...]:
        """Parameters and buffers, in the order of the `state_dict`."""
        return ()

    def initial_value(self) -> float:
        """The initial value of the tensor of an operation that is no module (`own_tensor`)."""
        raise NotImplementedError(f"{self.name} has no tensor of its own")

    def function(self) -> Callable[..., Any]:
        """What an operation that is no module (`own_tensor`) computes from a value and its tensor."""
        raise NotImplementedError(f"{self.name} is a module")

    def macs(self, output: Shape) -> int:
        """Multiply-adds of matrix work for one image; only convolutions and linear layers have any."""
        return 0

    def other_ops(self, output: Shape) -> int:
        """Other arithmetic for one image, not counted in `macs`: elements written, times the elements read for each."""
        return prod(output)

    def saved(self, x: Shape, output: Shape) -> Saved:
        """What is kept for the backward pass in training."""
        return Saved(inputs=True)

    def workspace(self, x: Shape, output: Shape) -> int:
        """The numbers for one image that are allocated in evaluation besides the output, and freed with the operation."""
        return self.saved(x, output).values

    def returns_input(self, training: bool) -> bool:
        """Whether the output shares the memory of the input: it is the input, or a view of it."""
        return False

    # --- folding in evaluation ----------------------------------------------------------------------------------------------

    def scales_channels(self) -> bool:
        """Whether all it does in evaluation is to multiply each channel by a factor and add a number, both from its tensors."""
        return False

    def factor_and_shift(self, tensors: Mapping[str, Any]) -> tuple[Any, Any]:
        """The factor and the number that such an operation multiplies by and adds in evaluation, both of shape (channels,)."""
        raise NotImplementedError(f"{self.name} does more than scale channels")

    def with_bias(self, output: Shape) -> Self | None:
        """The operation with a bias for each channel of its `output`, in which a factor and a summand of each channel can be
        folded; None where they cannot."""
        return None

    def scale_weight(self, weight: Any, factor: Any) -> Any:
        """The weight of such an operation, with the filter of each output channel multiplied by its factor."""
        raise NotImplementedError(f"{self.name} folds nothing")

    # --- its layer and texts -----------------------------------------------------------------------------------------------

    def torch_args(self) -> dict[str, Any]:
        """The keyword arguments of the torch layer."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def layer(self, inplace: bool = False) -> nn.Module:
        """Make the torch layer. If `draws_weight`, weight and bias are left uninitialized, for the caller to fill."""
        from torch import nn

        arguments = self.torch_args() | ({"inplace": True} if inplace else {})
        kind: type[nn.Module] = getattr(nn, self.torch)
        if self.draws_weight:
            from resnet_spec.ops.layers import make_uninitialized

            return make_uninitialized(kind, arguments)
        return kind(**arguments)

    def module_call(self) -> SourceCall:
        """The call that makes the torch layer, for source: of a class of `torch.nn`, or of one of `ops.layers`."""
        if not self.torch:
            raise NotImplementedError(f"{self.name} defines a layer, and no call that makes it")
        return make_call(f"nn.{self.torch}", self.torch_args(), self.leading, written_defaults(type(self)))

    def expression(self, *values: str) -> str:
        """The operation as an expression of variables, where that is plainer than a module; empty if it is not."""
        return ""

    def caption(self) -> str:
        """A short text for diagrams, without the stride: `conv 3x3, 64`."""
        window = self.window()
        return self.name if window is None else f"{self.name.removesuffix('2d').replace('_', ' ')} {show(window.kernel)}"

    def as_drawn(self) -> Operation:
        """The operation without the fields that diagrams ignore: blocks that differ only in these are drawn once."""
        return self

    def arithmetic(self, x: Shape) -> str:
        """The worked formula of the output size for `summary --arithmetic`; empty where nothing is computed."""
        return ""


ONE_PIXEL = Reads(1, 1, 0)
MOST_TRIED = 50_000  # numbers that are tried as divisors


def fields_of(operation: type[Operation]) -> dict[str, Field]:
    """The fields that a spec may write for an operation, in order."""
    found = _FIELDS.get(operation)
    if found is None:
        found = {
            field.name: Field(field.name, **field.metadata["spec"])
            for field in dataclasses.fields(operation)
            if "spec" in field.metadata
        }
        _FIELDS[operation] = found
    return found


def written_defaults(operation: type[Operation]) -> dict[str, FieldValue]:
    """The constant defaults of the fields that a spec may write. For a layer of torch, its own defaults are the same."""
    return {name: field.default for name, field in fields_of(operation).items() if field.default is not None}


_FIELDS: dict[type[Operation], dict[str, Field]] = {}
_NAMES: dict[type[Operation], tuple[str, ...]] = {}  # of all fields, for comparisons


def show(shape: Shape) -> str:
    """`64x56x56`."""
    return "x".join(map(str, shape))


def needs_image(what: str, x: Shape) -> Problem | None:
    """The problem if the input of an operation on `(C, H, W)` has another rank; None otherwise."""
    if len(x) == 3:
        return None
    return Problem(
        "wrong-rank",
        f"{what} needs an image (channels x height x width), but its input has the shape {show(x)}",
        "move it before the flatten" if len(x) == 1 else "",
    )


def largest_divisor(most: int, *numbers: int) -> int:
    """The largest common divisor of some numbers that is at most `most`.

    For huge numbers only those divisors are considered that are small, or that leave a small quotient.
    """
    common = gcd(*numbers)
    small = [n for n in range(1, min(isqrt(common), MOST_TRIED) + 1) if common % n == 0]
    return max(n for n in (*small, *(common // n for n in small)) if n <= most)


def divisors(*numbers: int) -> str:
    """The common divisors of some numbers, as text: `1, 2, 4, 8 or 16`."""
    common = gcd(*numbers)
    found = [n for n in range(1, min(common, 4096) + 1) if common % n == 0]
    shown = found if len(found) <= 8 else [*found[:4], *found[-3:]]
    text = ", ".join(map(str, shown))
    return " or ".join(text.rsplit(", ", 1))


def does_not_divide(what: str, name: str, groups: int, *numbers: int) -> Problem:
    """The problem of a field `name` whose number of groups does not divide some numbers of channels."""
    (wrong, *_) = [number for number in numbers if number % groups]
    shown = " and ".join(map(str, dict.fromkeys(numbers)))
    return Problem(
        "groups-do-not-divide",
        f"{what} has {groups} groups, which do not divide its {wrong} channels",
        f"`{name}` must divide {shown}: {divisors(*numbers)}",
        (name,),
        proposals=(((name, str(largest_divisor(groups, *numbers))),),),
    )
