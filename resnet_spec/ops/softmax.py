"""Softmax over channels, over pixels, or across groups of channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from resnet_spec.ops.definition import (
    ONE_PIXEL,
    AxisMap,
    Dependence,
    Family,
    Kept,
    Mapped,
    Operation,
    OutputAxis,
    Problem,
    Reads,
    Saved,
    Shape,
    divisors,
    largest_divisor,
    needs_image,
    spec_field,
)
from resnet_spec.ops.source import SourceCall, make_call

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Softmax(Operation):
    """softmax over the channels of each pixel, the pixels of each channel, or across groups of channels (torch.softmax)"""

    name: ClassVar[str] = "softmax"
    family: ClassVar[Family] = "activation"
    depends: ClassVar[Dependence] = "whole"
    nonnegative: ClassVar[bool] = True
    keeps_output: ClassVar[bool] = True

    over: str = spec_field(
        "word",
        "what adds up to one: the channels of each pixel, the pixels of each channel, or the same channel of all groups",
        "channels",
        words=("channels", "pixels", "groups"),
    )
    groups: int = spec_field("int", "with `over: groups`: how many groups of channels compete (ResNeSt: the radix)", 1, least=1)
    cardinality: int = spec_field(
        "int", "with `over: groups`: in how many parts of the channels they do so separately (ResNeSt)", 1, least=1
    )

    def problem(self) -> Problem | None:
        if self.over == "groups" and self.groups == 1:
            return Problem(
                "missing-field",
                "softmax across groups needs two groups or more, since one group alone is 1 everywhere",
                "write how many: `groups: 2`",
                ("groups",),
                proposals=((("groups", "2"),),),
            )
        if self.over != "groups" and (self.groups, self.cardinality) != (1, 1):
            name = "groups" if self.groups > 1 else "cardinality"
            return Problem(
                "conflicting-fields",
                f"`{name}` has no meaning with `over: {self.over}`",
                "write `over: groups`, or leave it out",
                (name, "over"),
                proposals=((("over", "groups"),), (("groups", "1"), ("cardinality", "1"))),
            )
        return None

    def shape(self, *inputs: Shape) -> Shape | Problem:
        (x,) = inputs
        if self.over == "pixels" and (wrong := needs_image("softmax", x)) is not None:
            return wrong
        return self._groups_problem(x) or x

    def _groups_problem(self, x: Shape) -> Problem | None:
        parts = self.groups * self.cardinality
        if x[0] % parts == 0:
            return None
        fits = largest_divisor(self.groups, x[0] // self.cardinality) if x[0] % self.cardinality == 0 else 1
        product = f"{self.groups} * {self.cardinality} = {parts}" if self.cardinality > 1 else str(parts)
        return Problem(
            "groups-do-not-divide",
            f"softmax across {product} groups, which do not divide its {x[0]} channels",
            f"`groups` times `cardinality` must divide {x[0]}: {divisors(x[0])}",
            ("groups", "cardinality"),
            proposals=((("groups", str(fits)),),) if fits > 1 else (),
        )

    def axes(self, x: Shape) -> tuple[OutputAxis, ...]:
        parts = self.groups * self.cardinality
        if parts == 1 or len(x) == 3:
            return Operation.axes(self, x)
        return (Mapped(0, AxisMap(lambda n: n, 1, 1, 1, parts)), *(Kept(axis) for axis in range(1, len(x))))

    def reads(self, axis: int) -> Reads | None:
        return None if self.over == "pixels" else ONE_PIXEL

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved(output=True)

    def layer(self, inplace: bool = False) -> nn.Module:
        from torch import nn

        from resnet_spec.ops import layers

        if self.over == "groups":
            return layers.GroupSoftmax(self.groups, self.cardinality)
        return nn.Softmax(1) if self.over == "channels" else layers.PixelSoftmax()

    def module_call(self) -> SourceCall:
        if self.over == "groups":
            arguments = {"groups": self.groups, "cardinality": self.cardinality}
            return make_call("GroupSoftmax", arguments, ("groups", "cardinality"))
        return make_call("nn.Softmax", {"dim": 1}) if self.over == "channels" else SourceCall("PixelSoftmax")

    def caption(self) -> str:
        return "softmax" if self.over == "channels" else f"softmax over {self.over}"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class LogSoftmax(Operation):
    """logarithm of the softmax over the channels of each pixel, or over the pixels of each channel (torch.log_softmax)"""

    name: ClassVar[str] = "log_softmax"
    family: ClassVar[Family] = "activation"
    depends: ClassVar[Dependence] = "whole"
    keeps_output: ClassVar[bool] = True

    over: str = spec_field(
        "word",
        "what adds up to one: the channels of each pixel, or the pixels of each channel",
        "channels",
        words=("channels", "pixels"),
    )

    def shape(self, *inputs: Shape) -> Shape | Problem:
        (x,) = inputs
        return (needs_image("log_softmax", x) if self.over == "pixels" else None) or x

    def reads(self, axis: int) -> Reads | None:
        return None if self.over == "pixels" else ONE_PIXEL

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved(output=True)

    def layer(self, inplace: bool = False) -> nn.Module:
        from torch import nn

        from resnet_spec.ops import layers

        return nn.LogSoftmax(1) if self.over == "channels" else layers.PixelLogSoftmax()

    def module_call(self) -> SourceCall:
        return make_call("nn.LogSoftmax", {"dim": 1}) if self.over == "channels" else SourceCall("PixelLogSoftmax")

    def caption(self) -> str:
        return "log_softmax" if self.over == "channels" else "log_softmax over pixels"
