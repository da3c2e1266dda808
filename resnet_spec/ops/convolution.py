"""Convolutions. Their multiply-adds are counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from resnet_spec.ops.definition import (
    AxisMap,
    Dependence,
    Family,
    FieldValue,
    Operation,
    Pair,
    Problem,
    Saved,
    Shape,
    Tensor,
    Window,
    divisors,
    largest_divisor,
    needs_image,
    show,
    spec_field,
)
from resnet_spec.ops.windows import both_axes, does_not_fit, window_formula, window_map, window_size


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Conv2d(Operation):
    """2-D convolution (torch.nn.Conv2d)"""

    name: ClassVar[str] = "conv2d"
    family: ClassVar[Family] = "convolution"
    depends: ClassVar[Dependence] = "window"
    torch: ClassVar[str] = "Conv2d"
    draws_weight: ClassVar[bool] = True

    in_channels: int
    out_channels: int = spec_field("int", "output channels", least=1, examples=(64, "width * expansion"))
    kernel_size: Pair = spec_field("pair", "height and width of the kernel, in pixels", least=1, examples=(3, (1, 7)))
    stride: Pair = spec_field("pair", "step of the window, in pixels", (1, 1), least=1, examples=(2, "stride"))
    padding: Pair | str = spec_field(
        "pair",
        "pixels added on each side, or `same`, or `valid`",
        (0, 0),
        least=0,
        words=("same", "valid"),
        examples=(1, "same", "valid"),
    )
    dilation: Pair = spec_field("pair", "distance between the pixels that the kernel reads", (1, 1), least=1)
    groups: int = spec_field("int", "groups of channels that are convolved separately", 1, least=1, examples=(32, "channels"))
    bias: bool = spec_field("bool", "whether a bias is added", True)
    padding_mode: str = spec_field(
        "word", "how the padding is filled", "zeros", words=("zeros", "reflect", "replicate", "circular")
    )

    @classmethod
    def inferred(cls, x: Shape) -> Mapping[str, FieldValue] | Problem:
        return needs_image("conv2d", x) or {"in_channels": x[0]}

    def problem(self) -> Problem | None:
        both = self.in_channels, self.out_channels
        for what, channels in zip(("in", "out"), both, strict=True):
            if channels % self.groups:
                return Problem(
                    "groups-do-not-divide",
                    f"conv2d has {self.groups} groups, which do not divide its {channels} {what}put channels",
                    f"`groups` must divide {self.in_channels} and {self.out_channels}: {divisors(*both)}",
                    ("groups", "out_channels"),
                    proposals=((("groups", str(largest_divisor(self.groups, *both))),),),
                )
        if self.padding == "same" and self.stride != (1, 1):
            return Problem(
                "same-padding-stride",
                f"`padding: same` needs stride 1, but the stride is {show(self.stride)}",
                f"write the padding in pixels: `padding: {self.kernel_size[0] // 2}`",
                ("padding", "stride"),
                proposals=((("padding", str(self.kernel_size[0] // 2)),), (("stride", "1"),)),
            )
        return None

    def sides(self, axis: int) -> tuple[int, int]:
        """Pixels of padding before and after, along one axis (0: height, 1: width)."""
        if isinstance(self.padding, tuple):
            return self.padding[axis], self.padding[axis]
        if self.padding == "valid":
            return 0, 0
        total = self.dilation[axis] * (self.kernel_size[axis] - 1)
        return total // 2, total - total // 2

    def axis_size(self, n: int, axis: int) -> int:
        """Output pixels along one axis, for `n` input pixels; not positive if the kernel does not fit."""
        before, after = self.sides(axis)
        return window_size(n, self.kernel_size[axis], self.stride[axis], before, after, self.dilation[axis])

    def shape(self, *inputs: Shape) -> Shape | Problem:
        (x,) = inputs
        if wrong := needs_image("conv2d", x):
            return wrong
        if x[0] != self.in_channels:
            return Problem("shape-mismatch", f"conv2d was built for {self.in_channels} channels, but its input has {x[0]}")
        if (wrong := self._padding_problem(x)) is not None:
            return wrong
        height, width = self.axis_size(x[1], 0), self.axis_size(x[2], 1)
        if height < 1 or width < 1:
            before = (self.sides(0)[0], self.sides(1)[0])
            return does_not_fit("conv2d", x, self.kernel_size, before, self.dilation)
        return (self.out_channels, height, width)

    def _padding_problem(self, x: Shape) -> Problem | None:
        if self.padding_mode in ("zeros", "replicate"):
            return None
        pad = max(max(self.sides(0)), 0), max(max(self.sides(1)), 0)
        slack = 1 if self.padding_mode == "reflect" else 0
        if any(p > n - slack for p, n in zip(pad, x[1:], strict=True)):
            return Problem(
                "padding-too-large",
                f"`padding_mode: {self.padding_mode}` cannot pad a {show(x[1:])} image by {show(pad)}",
                f"write a padding of {min(x[1:]) - slack} or less, or `padding_mode: zeros`",
                ("padding", "padding_mode"),
                by_size=True,
                proposals=((("padding_mode", "zeros"),),),
            )
        return None

    def tensors(self) -> tuple[Tensor, ...]:
        weight = Tensor("weight", (self.out_channels, self.in_channels // self.groups, *self.kernel_size))
        return (weight, Tensor("bias", (self.out_channels,))) if self.bias else (weight,)

    def macs(self, output: Shape) -> int:
        return prod(output) * (self.in_channels // self.groups) * prod(self.kernel_size)

    def other_ops(self, output: Shape) -> int:
        return prod(output) if self.bias else 0

    def saved(self, x: Shape, output: Shape) -> Saved:
        if self.padding_mode != "zeros":  # torch pads first, even by 0 pixels
            padded = x[0] * (x[1] + sum(self.sides(0))) * (x[2] + sum(self.sides(1)))
            return Saved(inputs=self.padding_mode != "circular", values=padded)
        uneven = [after - before for before, after in map(self.sides, (0, 1))]
        if any(uneven):  # `padding: same` with an even kernel: torch pads one side first, and keeps that
            return Saved(values=x[0] * (x[1] + uneven[0]) * (x[2] + uneven[1]))
        return Saved(inputs=True)

    def window(self) -> Window:
        return Window(self.kernel_size, self.stride, (self.sides(0)[0], self.sides(1)[0]), self.dilation)

    def channels_field(self) -> tuple[str, int]:
        return "out_channels", self.in_channels

    def caption(self) -> str:
        grouped = f", {self.groups} groups" if self.groups > 1 else ""
        return f"conv {show(self.kernel_size)}, {self.out_channels}{grouped}"

    def along(self, axis: int) -> AxisMap | None:
        pad = max(self.sides(axis))
        least = {"reflect": pad + 1, "circular": pad}.get(self.padding_mode, 1)
        k, s, d = self.kernel_size[axis], self.stride[axis], self.dilation[axis]
        return window_map(lambda n: self.axis_size(n, axis), k, s, d, least)

    def arithmetic(self, x: Shape) -> str:
        if self.padding == "same":
            return f"padding: same keeps {show(x[1:])}"

        def formula(n: int, axis: int) -> str:
            k, s, p, d = self.kernel_size[axis], self.stride[axis], self.sides(axis)[0], self.dilation[axis]
            return window_formula(n, k, s, p, d, False, self.axis_size(n, axis))

        return both_axes(x, formula)
