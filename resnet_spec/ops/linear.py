"""linear: a matrix product. Its multiply-adds are counted, as those of convolutions are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from resnet_spec.ops.definition import (
    Dependence,
    Family,
    FieldValue,
    Fixed,
    Kept,
    Operation,
    OutputAxis,
    Problem,
    Shape,
    Tensor,
    spec_field,
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Linear(Operation):
    """fully connected layer over the last axis (torch.nn.Linear)"""

    name: ClassVar[str] = "linear"
    family: ClassVar[Family] = "linear"
    depends: ClassVar[Dependence] = "whole"
    torch: ClassVar[str] = "Linear"
    draws_weight: ClassVar[bool] = True

    in_features: int
    out_features: int = spec_field("int", "output features", least=1, examples=("classes", 1000))
    bias: bool = spec_field("bool", "whether a bias is added", True)

    @classmethod
    def inferred(cls, x: Shape) -> Mapping[str, FieldValue] | Problem:
        return {"in_features": x[-1]}

    def shape(self, *inputs: Shape) -> Shape | Problem:
        (x,) = inputs
        if x[-1] != self.in_features:
            return Problem(
                "shape-mismatch",
                f"linear was built for {self.in_features} features, but its input has {x[-1]}",
                "pool to a fixed size before the flatten: `{op: adaptive_avg_pool2d, output_size: 1}`",
                by_size=True,
            )
        return (*x[:-1], self.out_features)

    def axes(self, x: Shape) -> tuple[OutputAxis, ...]:
        return (*(Kept(axis) for axis in range(len(x) - 1)), Fixed(self.out_features))

    def fixes_size(self, x: Shape) -> Mapping[int, int]:
        return {len(x) - 1: self.in_features}

    def tensors(self) -> tuple[Tensor, ...]:
        weight = Tensor("weight", (self.out_features, self.in_features))
        return (weight, Tensor("bias", (self.out_features,))) if self.bias else (weight,)

    def macs(self, output: Shape) -> int:
        return prod(output) * self.in_features

    def other_ops(self, output: Shape) -> int:
        return prod(output) if self.bias else 0

    def arithmetic(self, x: Shape) -> str:
        bias, features = (f" + {self.out_features}", self.in_features + 1) if self.bias else ("", self.in_features)
        return f"weights {self.in_features} * {self.out_features}{bias} = {features * self.out_features}"
