"""Operations on each value by itself: activations, dropout, identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from .definition import Operation, Problem, Saved, Shape, Value, needs_image, spec_field


@dataclass(frozen=True, kw_only=True, slots=True)
class Relu(Operation):
    name: ClassVar[str] = "relu"
    about: ClassVar[str] = "max(x, 0) (torch.nn.ReLU)"
    torch: ClassVar[str] = "ReLU"
    keeps_output: ClassVar[bool] = True
    inplace: ClassVar[bool] = True

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved(output=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Relu6(Operation):
    name: ClassVar[str] = "relu6"
    about: ClassVar[str] = "min(max(x, 0), 6) (torch.nn.ReLU6)"
    torch: ClassVar[str] = "ReLU6"


@dataclass(frozen=True, kw_only=True, slots=True)
class LeakyRelu(Operation):
    name: ClassVar[str] = "leaky_relu"
    about: ClassVar[str] = "x, or x times a small slope below zero (torch.nn.LeakyReLU)"
    torch: ClassVar[str] = "LeakyReLU"

    negative_slope: float = spec_field("float", "slope below zero", 0.01, least=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Elu(Operation):
    name: ClassVar[str] = "elu"
    about: ClassVar[str] = "x, or alpha * (exp(x) - 1) below zero (torch.nn.ELU)"
    torch: ClassVar[str] = "ELU"

    alpha: float = spec_field("float", "how far below zero it can go", 1.0, least=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Silu(Operation):
    name: ClassVar[str] = "silu"
    about: ClassVar[str] = "x * sigmoid(x), also called swish (torch.nn.SiLU)"
    torch: ClassVar[str] = "SiLU"


@dataclass(frozen=True, kw_only=True, slots=True)
class Gelu(Operation):
    name: ClassVar[str] = "gelu"
    about: ClassVar[str] = "Gaussian error linear unit (torch.nn.GELU)"
    torch: ClassVar[str] = "GELU"

    approximate: str = spec_field("word", "whether to approximate by tanh", "none", words=("none", "tanh"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Mish(Operation):
    name: ClassVar[str] = "mish"
    about: ClassVar[str] = "x * tanh(softplus(x)) (torch.nn.Mish)"
    torch: ClassVar[str] = "Mish"


@dataclass(frozen=True, kw_only=True, slots=True)
class Hardswish(Operation):
    name: ClassVar[str] = "hardswish"
    about: ClassVar[str] = "x * relu6(x + 3) / 6 (torch.nn.Hardswish)"
    torch: ClassVar[str] = "Hardswish"


@dataclass(frozen=True, kw_only=True, slots=True)
class Hardsigmoid(Operation):
    name: ClassVar[str] = "hardsigmoid"
    about: ClassVar[str] = "relu6(x + 3) / 6 (torch.nn.Hardsigmoid)"
    torch: ClassVar[str] = "Hardsigmoid"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sigmoid(Operation):
    name: ClassVar[str] = "sigmoid"
    about: ClassVar[str] = "1 / (1 + exp(-x)) (torch.nn.Sigmoid)"
    torch: ClassVar[str] = "Sigmoid"
    keeps_output: ClassVar[bool] = True

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved(output=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tanh(Operation):
    name: ClassVar[str] = "tanh"
    about: ClassVar[str] = "hyperbolic tangent (torch.nn.Tanh)"
    torch: ClassVar[str] = "Tanh"
    keeps_output: ClassVar[bool] = True

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved(output=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity(Operation):
    name: ClassVar[str] = "identity"
    about: ClassVar[str] = "hands its input on (torch.nn.Identity); `norm: identity` means no norm"
    torch: ClassVar[str] = "Identity"
    returns_input: ClassVar[bool] = True

    def other_ops(self, output: Shape) -> int:
        return 0

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved()


@dataclass(frozen=True, kw_only=True, slots=True)
class Dropout(Operation):
    name: ClassVar[str] = "dropout"
    about: ClassVar[str] = "in training, values become zero with probability p (torch.nn.Dropout)"
    torch: ClassVar[str] = "Dropout"
    returns_input: ClassVar[bool] = True

    p: float = spec_field("float", "probability of a zero", 0.5, least=0, most=1)

    def other_ops(self, output: Shape) -> int:
        return 0

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved(values=prod(output) if 0 < self.p < 1 else 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Dropout2d(Operation):
    name: ClassVar[str] = "dropout2d"
    about: ClassVar[str] = "in training, whole channels become zero with probability p (torch.nn.Dropout2d)"
    torch: ClassVar[str] = "Dropout2d"
    returns_input: ClassVar[bool] = True

    p: float = spec_field("float", "probability of a zero", 0.5, least=0, most=1)

    @classmethod
    def inferred(cls, x: Shape) -> Mapping[str, Value] | Problem:
        return needs_image("dropout2d", x) or {}

    def other_ops(self, output: Shape) -> int:
        return 0

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved(values=output[0] if 0 < self.p < 1 else 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class DropPath(Operation):
    name: ClassVar[str] = "drop_path"
    about: ClassVar[str] = "stochastic depth: in training, a whole image becomes zero with probability p (Huang et al. 2016)"
    returns_input: ClassVar[bool] = True

    p: float = spec_field("float", "probability of a zero", 0.0, least=0, most=1)

    def other_ops(self, output: Shape) -> int:
        return prod(output) if self.p else 0

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved(values=1 if self.p else 0)
