"""linear: a matrix product. Its multiply-adds are counted, as those of convolutions are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Self

from resnet_spec.ops.definition import (
    ONE_PIXEL,
    Dependence,
    Family,
    FieldValue,
    Fixed,
    Kept,
    Operation,
    OutputAxis,
    Problem,
    Reads,
    Saved,
    Shape,
    Tensor,
    needs_image,
    spec_field,
)
from resnet_spec.ops.source import SourceCall

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Linear(Operation):
    """fully connected layer over the last axis, or over the channels of each pixel (torch.nn.Linear)"""

    name: ClassVar[str] = "linear"
    family: ClassVar[Family] = "linear"
    depends: ClassVar[Dependence] = "whole"
    torch: ClassVar[str] = "Linear"
    leading: ClassVar[tuple[str, ...]] = ("in_features", "out_features")
    draws_weight: ClassVar[bool] = True

    in_features: int
    out_features: int = spec_field("int", "output features", least=1, examples=("classes", 1000))
    bias: bool = spec_field("bool", "whether a bias is added", True)
    over: str = spec_field(
        "word",
        "the axis: `features` is the last one; `channels` the first one of an image, as a 1x1 convolution",
        "features",
        words=("features", "channels"),
        added=True,
    )

    @classmethod
    def bind(cls, written: Mapping[str, FieldValue], x: Shape) -> Self | Problem:
        over_channels = written.get("over") == "channels"
        if over_channels and (wrong := needs_image("linear over channels", x)) is not None:
            return wrong
        return cls(**written, in_features=x[0] if over_channels else x[-1])  # type: ignore[arg-type]

    @property
    def axis(self) -> int:
        """The axis of the features, counted from the end."""
        return -3 if self.over == "channels" else -1

    def shape(self, *inputs: Shape) -> Shape | Problem:
        (x,) = inputs
        if self.over == "channels":
            if wrong := needs_image("linear over channels", x):
                return wrong
            if x[0] != self.in_features:
                return Problem("shape-mismatch", f"linear was built for {self.in_features} channels, but its input has {x[0]}")
            return (self.out_features, *x[1:])
        if x[-1] != self.in_features:
            return Problem(
                "shape-mismatch",
                f"linear was built for {self.in_features} features, but its input has {x[-1]}",
                "pool to a fixed size before the flatten: `{op: adaptive_avg_pool2d, output_size: 1}`",
                by_size=True,
            )
        return (*x[:-1], self.out_features)

    def axes(self, x: Shape) -> tuple[OutputAxis, ...]:
        if self.over == "channels":
            return (Fixed(self.out_features), Kept(1), Kept(2))
        return (*(Kept(axis) for axis in range(len(x) - 1)), Fixed(self.out_features))

    def fixes_size(self, x: Shape) -> Mapping[int, int]:
        return {len(x) + self.axis: self.in_features}

    def reads(self, axis: int) -> Reads | None:
        return ONE_PIXEL if self.over == "channels" else None

    def tensors(self) -> tuple[Tensor, ...]:
        weight = Tensor("weight", (self.out_features, self.in_features))
        return (weight, Tensor("bias", (self.out_features,))) if self.bias else (weight,)

    def with_bias(self, output: Shape) -> Self | None:
        return replace(self, bias=True) if len(output) == 1 or self.over == "channels" else None

    def scale_weight(self, weight: Any, factor: Any) -> Any:
        return weight * factor.view(-1, 1)

    def macs(self, output: Shape) -> int:
        return prod(output) * self.in_features

    def other_ops(self, output: Shape) -> int:
        return prod(output) if self.bias else 0

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved(values=prod(x)) if self.over == "channels" else Saved(inputs=True)  # torch copies the permuted image

    def workspace(self, x: Shape, output: Shape) -> int:
        return 0  # of a single image nothing is copied

    def torch_args(self) -> dict[str, Any]:
        return {"in_features": self.in_features, "out_features": self.out_features, "bias": self.bias}

    def layer(self, inplace: bool = False) -> nn.Module:
        if self.over == "features":
            return Operation.layer(self, inplace)
        from resnet_spec.ops import layers

        return layers.make_uninitialized(layers.ChannelLinear, self.torch_args())

    def module_call(self) -> SourceCall:
        call = Operation.module_call(self)
        return call if self.over == "features" else replace(call, callee="ChannelLinear")

    def caption(self) -> str:
        return "linear" if self.over == "features" else f"linear over channels, {self.out_features}"

    def arithmetic(self, x: Shape) -> str:
        bias, features = (f" + {self.out_features}", self.in_features + 1) if self.bias else ("", self.in_features)
        return f"weights {self.in_features} * {self.out_features}{bias} = {features * self.out_features}"
