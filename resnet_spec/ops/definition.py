"""What an operation is: one class says its fields, shape rule, cost, tensors and torch layer, and everything else derives.

A shape is a tuple without the batch: `(C, H, W)` in pixels, or `(F,)` after a flatten. A rule that does not hold returns a
`Problem`; who asked knows the place and makes a diagnostic of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass
from math import gcd, prod
from typing import Any, ClassVar, Literal, Self

Shape = tuple[int, ...]
Pair = tuple[int, int]
FieldValue = int | float | bool | str | tuple[int, ...]
FieldKind = Literal["int", "float", "bool", "word", "pair", "ints"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a rule does not hold, without a place.

    `fields` are those whose values are to blame, the first one most. `by_size`: so is the size that enters, which earlier
    operations made.
    """

    code: str
    message: str
    help: str = ""
    fields: tuple[str, ...] = ()
    by_size: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """What the spec may write for one argument of an operation.

    `kind` is what it is after evaluation; a pair is written as one number or as two (height, width). `words` are taken as
    they stand, anything else written as a string is an expression. `least` and `most` are inclusive.
    """

    name: str
    kind: FieldKind
    doc: str
    default: FieldValue | None  # None: must be written
    default_doc: str = ""  # where the default is not a constant
    least: float | None = None
    most: float | None = None
    words: tuple[str, ...] = ()
    lengths: tuple[int, ...] = ()
    examples: tuple[FieldValue, ...] = ()  # where the default or the words are none

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
) -> Any:
    """A dataclass field that the spec may write. `default_doc` says in words what a missing value becomes."""
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
    }
    return dataclasses.field(default=default, metadata={"spec": facts})


@dataclass(frozen=True, slots=True)
class Tensor:
    """A parameter or buffer: `name` is the last part of its `state_dict` key; not persistent means it has no key."""

    name: str
    shape: Shape
    buffer: bool = False
    persistent: bool = True


@dataclass(frozen=True, slots=True)
class Window:
    """How an operation reads its input: per axis (height, width), in pixels of its input."""

    kernel: Pair
    stride: Pair
    padding: Pair  # before the first pixel
    dilation: Pair


@dataclass(frozen=True, slots=True)
class Saved:
    """What torch's autograd keeps of an operation until its backward pass, beside parameters and buffers (on a CPU).

    `values` and `indices` (64-bit) count numbers for one image, `statistics` numbers for the whole batch.
    """

    inputs: bool = False
    output: bool = False
    values: int = 0
    indices: int = 0
    statistics: int = 0


@dataclass(frozen=True, slots=True)
class AxisMap:
    """What an operation makes of one axis: `size(n)` pixels of `n`, for every `n` of at least `least`.

    Exactly one pixel more leaves for every `stride` more that enter; with stride 0 the size is always the same.
    """

    size: Callable[[int], int]
    stride: int
    least: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One operation with all its arguments known. Subclasses are the definitions; instances are in the graph.

    Fields made by `spec_field` are written in specs; the others are inferred from what enters (`inferred`).
    """

    name: ClassVar[str] = ""
    torch: ClassVar[str] = ""  # the layer in torch.nn; empty: `outputs.torch_module` has an entry of its own
    joins: ClassVar[bool] = False  # takes two or more inputs
    keeps_output: ClassVar[bool] = False  # its backward reads its output, so nobody may overwrite that
    returns_input: ClassVar[bool] = False  # its output may share memory with its input
    inplace: ClassVar[bool] = False  # the torch layer takes `inplace`, and its backward needs only the output

    @classmethod
    def inferred(cls, x: Shape) -> Mapping[str, FieldValue] | Problem:
        """The arguments that follow from the shape that enters."""
        return {}

    @classmethod
    def bind(cls, written: Mapping[str, FieldValue], x: Shape) -> Self | Problem:
        """The operation for the written arguments and the shape that enters it."""
        inferred = cls.inferred(x)
        if isinstance(inferred, Problem):
            return inferred
        made = cls(**written, **inferred)
        return made.problem() or made

    def problem(self) -> Problem | None:
        """What is wrong with the arguments, whatever the size of the input."""
        return None

    def shape(self, *inputs: Shape) -> Shape | Problem:
        """The shape of the output, exactly as torch computes it."""
        return inputs[0]

    def tensors(self) -> tuple[Tensor, ...]:
        """Parameters and buffers, in the order of the `state_dict`."""
        return ()

    def macs(self, output: Shape) -> int:
        """Multiply-adds of matrix work for one image; only conv2d and linear have any."""
        return 0

    def other_ops(self, output: Shape) -> int:
        """Arithmetic beside `macs` for one image: elements written, times the elements read for each."""
        return prod(output)

    def saved(self, x: Shape, output: Shape) -> Saved:
        """What is kept for the backward pass in training."""
        return Saved(inputs=True)

    def window(self) -> Window | None:
        """Which input pixels an output pixel reads; None where each reads its own only, or all."""
        return None

    def along(self, axis: int) -> AxisMap | None:
        """What becomes of the height (axis 0) or the width (axis 1) of an image; None where it is kept, whatever it is."""
        return None

    def square(self) -> bool:
        """Whether height and width are treated alike."""
        window = self.window()
        return window is not None and all(a == b for a, b in (window.kernel, window.stride, window.padding, window.dilation))

    def arithmetic(self, x: Shape) -> str:
        """The worked formula of the output size for the lesson `summary --arithmetic`; empty where nothing is computed."""
        return ""

    def torch_args(self) -> dict[str, object]:
        """The keyword arguments of the torch layer."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


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


_FIELDS: dict[type[Operation], dict[str, Field]] = {}


def show(shape: Shape) -> str:
    """`64x56x56`."""
    return "x".join(map(str, shape))


def needs_image(what: str, x: Shape) -> Problem | None:
    """A problem where something that works on C x H x W is given anything else."""
    if len(x) == 3:
        return None
    return Problem(
        "wrong-rank",
        f"{what} works on channels x height x width, and {show(x)} enters",
        "put it before the flatten" if len(x) == 1 else "",
    )


def divisors(*numbers: int) -> str:
    """The numbers that divide all of these, as words: `1, 2, 4, 8 or 16`."""
    common = gcd(*numbers)
    found = [n for n in range(1, min(common, 4096) + 1) if common % n == 0]
    shown = found if len(found) <= 8 else [*found[:4], *found[-3:]]
    text = ", ".join(map(str, shown))
    return " or ".join(text.rsplit(", ", 1))
