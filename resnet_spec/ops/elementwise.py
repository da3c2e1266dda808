"""Operations on each value by itself: activations, dropout, identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, ClassVar

from resnet_spec.ops.definition import Dependence, Family, FieldValue, Operation, Problem, Saved, Shape, needs_image, spec_field
from resnet_spec.ops.source import SourceCall, make_call

if TYPE_CHECKING:
    from torch import nn


class Relu(Operation):
    """max(x, 0) (torch.nn.ReLU)"""

    __slots__ = ()
    name: ClassVar[str] = "relu"
    family: ClassVar[Family] = "activation"
    depends: ClassVar[Dependence] = "pointwise"
    torch: ClassVar[str] = "ReLU"
    nonnegative: ClassVar[bool] = True
    keeps_output: ClassVar[bool] = True
    inplace: ClassVar[bool] = True

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved(output=True)


class Relu6(Operation):
    """min(max(x, 0), 6) (torch.nn.ReLU6)"""

    __slots__ = ()
    name: ClassVar[str] = "relu6"
    family: ClassVar[Family] = "activation"
    depends: ClassVar[Dependence] = "pointwise"
    torch: ClassVar[str] = "ReLU6"
    nonnegative: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class LeakyRelu(Operation):
    """x, or x times a small slope below zero (torch.nn.LeakyReLU)"""

    name: ClassVar[str] = "leaky_relu"
    family: ClassVar[Family] = "activation"
    depends: ClassVar[Dependence] = "pointwise"
    torch: ClassVar[str] = "LeakyReLU"
    leading: ClassVar[tuple[str, ...]] = ("negative_slope",)

    negative_slope: float = spec_field("float", "slope below zero", 0.01, least=0)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Elu(Operation):
    """x, or alpha * (exp(x) - 1) below zero (torch.nn.ELU)"""

    name: ClassVar[str] = "elu"
    family: ClassVar[Family] = "activation"
    depends: ClassVar[Dependence] = "pointwise"
    torch: ClassVar[str] = "ELU"
    leading: ClassVar[tuple[str, ...]] = ("alpha",)

    alpha: float = spec_field("float", "scale of the negative part; outputs are above -alpha", 1.0, least=0)


class Selu(Operation):
    """elu with the constants that keep mean and variance (torch.nn.SELU)"""

    __slots__ = ()
    name: ClassVar[str] = "selu"
    family: ClassVar[Family] = "activation"
    depends: ClassVar[Dependence] = "pointwise"
    torch: ClassVar[str] = "SELU"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Softplus(Operation):
    """log(1 + exp(beta * x)) / beta, a smooth relu (torch.nn.Softplus)"""

    name: ClassVar[str] = "softplus"
    family: ClassVar[Family] = "activation"
    depends: ClassVar[Dependence] = "pointwise"
    torch: ClassVar[str] = "Softplus"
    nonnegative: ClassVar[bool] = True

    beta: float = spec_field("float", "how sharp the bend is; above zero", 1.0, least=0)
    threshold: float = spec_field("float", "it is x where beta * x is above this", 20.0)

    def problem(self) -> Problem | None:
        if self.beta == 0:
            message, help = "`beta` of softplus is 0, and it divides by it", "write a positive number; the default is 1"
            return Problem("out-of-range", message, help, ("beta",), proposals=((("beta", "1.0"),),))
        return None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Hardtanh(Operation):
    """min(max(x, min_val), max_val) (torch.nn.Hardtanh)"""

    name: ClassVar[str] = "hardtanh"
    family: ClassVar[Family] = "activation"
    depends: ClassVar[Dependence] = "pointwise"
    torch: ClassVar[str] = "Hardtanh"
    leading: ClassVar[tuple[str, ...]] = ("min_val", "max_val")

    min_val: float = spec_field("float", "smallest output", -1.0)
    max_val: float = spec_field("float", "largest output", 1.0)

    def problem(self) -> Problem | None:
        if self.max_val > self.min_val:
            return None
        return Problem(
            "out-of-range",
            f"`max_val` of hardtanh is {self.max_val:g}, not larger than its `min_val` of {self.min_val:g}",
            "exchange them, or write a larger `max_val`",
            ("max_val", "min_val"),
            proposals=((("min_val", repr(self.max_val)), ("max_val", repr(self.min_val))),)
            if self.max_val < self.min_val
            else (),
        )


class Silu(Operation):
    """x * sigmoid(x), also called swish (torch.nn.SiLU)"""

    __slots__ = ()
    name: ClassVar[str] = "silu"
    family: ClassVar[Family] = "activation"
    depends: ClassVar[Dependence] = "pointwise"
    torch: ClassVar[str] = "SiLU"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Gelu(Operation):
    """Gaussian error linear unit (torch.nn.GELU)"""

    name: ClassVar[str] = "gelu"
    family: ClassVar[Family] = "activation"
    depends: ClassVar[Dependence] = "pointwise"
    torch: ClassVar[str] = "GELU"

    approximate: str = spec_field("word", "whether to approximate by tanh", "none", words=("none", "tanh"))


class Mish(Operation):
    """x * tanh(softplus(x)) (torch.nn.Mish)"""

    __slots__ = ()
    name: ClassVar[str] = "mish"
    family: ClassVar[Family] = "activation"
    depends: ClassVar[Dependence] = "pointwise"
    torch: ClassVar[str] = "Mish"


class Hardswish(Operation):
    """x * relu6(x + 3) / 6 (torch.nn.Hardswish)"""

    __slots__ = ()
    name: ClassVar[str] = "hardswish"
    family: ClassVar[Family] = "activation"
    depends: ClassVar[Dependence] = "pointwise"
    torch: ClassVar[str] = "Hardswish"


class Hardsigmoid(Operation):
    """relu6(x + 3) / 6 (torch.nn.Hardsigmoid)"""

    __slots__ = ()
    name: ClassVar[str] = "hardsigmoid"
    family: ClassVar[Family] = "activation"
    depends: ClassVar[Dependence] = "pointwise"
    torch: ClassVar[str] = "Hardsigmoid"
    nonnegative: ClassVar[bool] = True


class Sigmoid(Operation):
    """1 / (1 + exp(-x)) (torch.nn.Sigmoid)"""

    __slots__ = ()
    name: ClassVar[str] = "sigmoid"
    family: ClassVar[Family] = "activation"
    depends: ClassVar[Dependence] = "pointwise"
    torch: ClassVar[str] = "Sigmoid"
    nonnegative: ClassVar[bool] = True
    keeps_output: ClassVar[bool] = True

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved(output=True)


class Tanh(Operation):
    """hyperbolic tangent (torch.nn.Tanh)"""

    __slots__ = ()
    name: ClassVar[str] = "tanh"
    family: ClassVar[Family] = "activation"
    depends: ClassVar[Dependence] = "pointwise"
    torch: ClassVar[str] = "Tanh"
    keeps_output: ClassVar[bool] = True

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved(output=True)


class Identity(Operation):
    """returns its input (torch.nn.Identity); `norm: identity` means no norm"""

    __slots__ = ()
    name: ClassVar[str] = "identity"
    family: ClassVar[Family] = "identity"
    depends: ClassVar[Dependence] = "pointwise"
    torch: ClassVar[str] = "Identity"

    def other_ops(self, output: Shape) -> int:
        return 0

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved()

    def returns_input(self, training: bool) -> bool:
        return True


def _mask(p: float, values: int) -> Saved:
    """What dropout keeps: its mask. If everything becomes zero, torch multiplies by a single number instead."""
    if p == 1:
        return Saved(statistics=1)
    return Saved(values=values if p else 0)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Dropout(Operation):
    """in training, values become zero with probability p (torch.nn.Dropout)"""

    name: ClassVar[str] = "dropout"
    family: ClassVar[Family] = "regularization"
    depends: ClassVar[Dependence] = "pointwise"
    torch: ClassVar[str] = "Dropout"
    leading: ClassVar[tuple[str, ...]] = ("p",)

    p: float = spec_field("float", "probability of becoming zero", 0.5, least=0, most=1)

    def other_ops(self, output: Shape) -> int:
        return 0

    def saved(self, x: Shape, output: Shape) -> Saved:
        return _mask(self.p, prod(output))

    def returns_input(self, training: bool) -> bool:
        return not (training and self.p > 0)

    def as_drawn(self) -> Operation:
        return replace(self, p=0.0)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Dropout2d(Operation):
    """in training, whole channels become zero with probability p (torch.nn.Dropout2d)"""

    name: ClassVar[str] = "dropout2d"
    family: ClassVar[Family] = "regularization"
    depends: ClassVar[Dependence] = "pointwise"
    torch: ClassVar[str] = "Dropout2d"
    leading: ClassVar[tuple[str, ...]] = ("p",)

    p: float = spec_field("float", "probability of becoming zero", 0.5, least=0, most=1)

    @classmethod
    def inferred(cls, x: Shape) -> Mapping[str, FieldValue] | Problem:
        return needs_image("dropout2d", x) or {}

    def other_ops(self, output: Shape) -> int:
        return 0

    def saved(self, x: Shape, output: Shape) -> Saved:
        return _mask(self.p, output[0])

    def returns_input(self, training: bool) -> bool:
        return not (training and self.p > 0)

    def as_drawn(self) -> Operation:
        return replace(self, p=0.0)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class DropPath(Operation):
    """stochastic depth: in training, a whole image becomes zero with probability p (Huang et al. 2016)"""

    name: ClassVar[str] = "drop_path"
    family: ClassVar[Family] = "regularization"
    depends: ClassVar[Dependence] = "pointwise"

    p: float = spec_field("float", "probability of becoming zero", 0.0, least=0, most=1)

    def other_ops(self, output: Shape) -> int:
        return prod(output) if self.p else 0

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved(values=1 if self.p else 0)

    def returns_input(self, training: bool) -> bool:
        return not (training and self.p > 0)

    def as_drawn(self) -> Operation:
        return replace(self, p=0.0)

    def layer(self, inplace: bool = False) -> nn.Module:
        from resnet_spec.ops import layers

        return layers.DropPath(self.p)

    def module_call(self) -> SourceCall:
        return make_call("DropPath", {"p": self.p}, ("p",))
