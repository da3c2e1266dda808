"""Operations that make one number of many: mean, sum and amax, over channels or over pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

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
    needs_image,
    spec_field,
)
from resnet_spec.ops.source import SourceCall, make_call

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Reduction(Operation):
    """What mean, sum and amax share."""

    family: ClassVar[Family] = "pooling"
    depends: ClassVar[Dependence] = "whole"

    over: str = spec_field(
        "word", "`channels`: the output is 1 x H x W; `pixels`: it is C x 1 x 1", words=("channels", "pixels")
    )
    keepdim: bool = spec_field("bool", "whether axes of one are kept; if not, `over: pixels` gives a vector of C", True)

    @classmethod
    def inferred(cls, x: Shape) -> Mapping[str, FieldValue] | Problem:
        return needs_image(cls.name, x) or {}

    def problem(self) -> Problem | None:
        if self.over == "channels" and not self.keepdim:
            return Problem(
                "conflicting-fields",
                f"{self.name} over channels keeps its axis: a map without channels is no image",
                "leave `keepdim` out, or write `over: pixels`",
                ("keepdim", "over"),
                proposals=((("keepdim", "true"),), (("over", "pixels"),)),
            )
        return None

    def shape(self, *inputs: Shape) -> Shape | Problem:
        (x,) = inputs
        if wrong := needs_image(self.name, x):
            return wrong
        if self.over == "channels":
            return (1, *x[1:])
        return (x[0], 1, 1) if self.keepdim else (x[0],)

    def axes(self, x: Shape) -> tuple[OutputAxis, ...]:
        if self.over == "channels":
            return (Fixed(1), Kept(1), Kept(2))
        return (Kept(0), Fixed(1), Fixed(1)) if self.keepdim else (Kept(0),)

    def reads(self, axis: int) -> Reads | None:
        return ONE_PIXEL if self.over == "channels" else None

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved()

    def layer(self, inplace: bool = False) -> nn.Module:
        from resnet_spec.ops import layers

        return layers.Reduction(self.name, self.over, self.keepdim)

    def module_call(self) -> SourceCall:
        return make_call("Reduction", self.torch_args() | {"name": self.name}, ("name", "over", "keepdim"))

    def expression(self, *values: str) -> str:
        axes = "1" if self.over == "channels" else "(2, 3)"
        return f"{values[0]}.{self.name}({axes}{', keepdim=True' if self.keepdim else ''})"

    def caption(self) -> str:
        return f"{self.name} over {self.over}"

    def arithmetic(self, x: Shape) -> str:
        count, what = (x[0], "channels of each pixel") if self.over == "channels" else (x[1] * x[2], "pixels of each channel")
        return f"over {count} {what}"


class Mean(Reduction):
    """mean over the channels of each pixel, or over the pixels of each channel (torch.mean)"""

    __slots__ = ()
    name: ClassVar[str] = "mean"


class Sum(Reduction):
    """sum over the channels of each pixel, or over the pixels of each channel (torch.sum)"""

    __slots__ = ()
    name: ClassVar[str] = "sum"


class Amax(Reduction):
    """largest value over the channels of each pixel, or over the pixels of each channel (torch.amax)"""

    __slots__ = ()
    name: ClassVar[str] = "amax"
    keeps_output: ClassVar[bool] = True

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved(inputs=True, output=True)
