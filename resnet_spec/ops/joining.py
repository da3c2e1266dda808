"""Operations on two or more values: add, subtract, multiply, concat. Only the gates of multiply broadcast."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, ClassVar

from resnet_spec.ops.definition import Combination, Dependence, Family, Operation, Problem, Saved, Shape, show

if TYPE_CHECKING:
    from torch import nn


def _unequal(what: str, inputs: tuple[Shape, ...], needs: str = "equal shapes") -> Problem:
    shapes = " and ".join(dict.fromkeys(map(show, inputs)))
    fix = "give all of them the same strides and paddings"
    if what != "concat" and len({x[0] for x in inputs}) > 1:
        fix = "give all of them the same channels (a 1x1 conv2d changes them)"
        fix += ", or join with `concat`, which concatenates channels" if len({x[1:] for x in inputs}) == 1 else " and strides"
    return Problem("shape-mismatch", f"{what} needs {needs}, but its inputs are {shapes}", fix)


class Add(Operation):
    """sum of values of equal shape"""

    __slots__ = ()
    name: ClassVar[str] = "add"
    family: ClassVar[Family] = "join"
    depends: ClassVar[Dependence] = "pointwise"
    joins: ClassVar[Combination | None] = "sum"
    symbol: ClassVar[str] = "+"
    inplace: ClassVar[bool] = True

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved()

    def shape(self, *inputs: Shape) -> Shape | Problem:
        return inputs[0] if all(x == inputs[0] for x in inputs) else _unequal("add", inputs)

    def layer(self, inplace: bool = False) -> nn.Module:
        from resnet_spec.ops import layers

        return layers.Add(inplace)

    def expression(self, *values: str) -> str:
        return " + ".join(values)

    def arithmetic(self, x: Shape) -> str:
        return f"{show(x)} + {show(x)}"


class Subtract(Operation):
    """the first of two values of equal shape minus the second"""

    __slots__ = ()
    name: ClassVar[str] = "subtract"
    family: ClassVar[Family] = "join"
    depends: ClassVar[Dependence] = "pointwise"
    joins: ClassVar[Combination | None] = "difference"
    symbol: ClassVar[str] = "−"  # noqa: RUF001

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved()

    def shape(self, *inputs: Shape) -> Shape | Problem:
        if len(inputs) != 2:
            message = f"subtract takes two inputs, the first minus the second, but it has {len(inputs)}"
            return Problem("wrong-length", message, "add the values that are subtracted first, with `add`")
        return inputs[0] if inputs[0] == inputs[1] else _unequal("subtract", inputs)

    def layer(self, inplace: bool = False) -> nn.Module:
        from resnet_spec.ops import layers

        return layers.Subtract()

    def expression(self, *values: str) -> str:
        return " - ".join(values)

    def arithmetic(self, x: Shape) -> str:
        return f"{show(x)} - {show(x)}"


class Multiply(Operation):
    """product of values of equal shape, or of C x H x W with a gate of C x 1 x 1 or of 1 x H x W"""

    __slots__ = ()
    name: ClassVar[str] = "multiply"
    family: ClassVar[Family] = "join"
    depends: ClassVar[Dependence] = "pointwise"
    joins: ClassVar[Combination | None] = "product"
    symbol: ClassVar[str] = "×"  # noqa: RUF001
    broadcasts: ClassVar[bool] = True

    def shape(self, *inputs: Shape) -> Shape | Problem:
        whole = max(inputs, key=prod)
        fitting = {whole, (whole[0], 1, 1), (1, *whole[1:])} if len(whole) == 3 else {whole}
        return whole if fitting.issuperset(inputs) else _unequal("multiply", inputs)

    def layer(self, inplace: bool = False) -> nn.Module:
        from resnet_spec.ops import layers

        return layers.Multiply()

    def expression(self, *values: str) -> str:
        return " * ".join(values)


class Concat(Operation):
    """concatenation along the channels; the other axes must be equal"""

    __slots__ = ()
    name: ClassVar[str] = "concat"
    family: ClassVar[Family] = "join"
    depends: ClassVar[Dependence] = "pointwise"
    joins: ClassVar[Combination | None] = "concatenation"
    symbol: ClassVar[str] = "||"

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved()

    def shape(self, *inputs: Shape) -> Shape | Problem:
        first = inputs[0]
        if any(x[1:] != first[1:] or len(x) != len(first) for x in inputs):
            return _unequal("concat", inputs, "equal height and width")
        return (sum(x[0] for x in inputs), *first[1:])

    def other_ops(self, output: Shape) -> int:
        return 0

    def layer(self, inplace: bool = False) -> nn.Module:
        from resnet_spec.ops import layers

        return layers.Concat()

    def expression(self, *values: str) -> str:
        return f"torch.cat(({', '.join(values)}), 1)"
