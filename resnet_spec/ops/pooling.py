"""Pools: windows that choose or average, and pools to a fixed size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar, Self

from resnet_spec.ops.definition import (
    AxisMap,
    Dependence,
    Family,
    FieldValue,
    Fixed,
    Kept,
    Operation,
    OutputAxis,
    Pair,
    Problem,
    Saved,
    Shape,
    Tensor,
    Window,
    needs_image,
    show,
    spec_field,
    written_defaults,
)
from resnet_spec.ops.source import SourceCall, make_call
from resnet_spec.ops.windows import both_axes, does_not_fit, pair_text, window_formula, window_map, window_size

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class WindowPool(Operation):
    """What max_pool2d and avg_pool2d share."""

    family: ClassVar[Family] = "pooling"
    depends: ClassVar[Dependence] = "window"

    kernel_size: Pair = spec_field("pair", "height and width of the window, in pixels", least=1, examples=(3, 2))
    stride: Pair = spec_field(
        "pair", "step of the window, in pixels", (0, 0), default_doc="the kernel size", least=1, examples=(2, 1)
    )
    padding: Pair = spec_field("pair", "pixels added on each side, at most half the kernel", (0, 0), least=0)
    ceil_mode: bool = spec_field("bool", "whether the last window may extend beyond the padding", False)

    @classmethod
    def bind(cls, written: Mapping[str, FieldValue], x: Shape) -> Self | Problem:
        made = cls(**({"stride": written["kernel_size"]} | dict(written)))  # type: ignore[arg-type]
        return needs_image(cls.name, x) or made.problem() or made

    def spread(self) -> Pair:
        """Distance between the pixels that a window reads."""
        return (1, 1)

    def problem(self) -> Problem | None:
        if any(2 * p > k for p, k in zip(self.padding, self.kernel_size, strict=True)):  # of the kernel before it is dilated
            half = f"`padding` may be {show(tuple(k // 2 for k in self.kernel_size))} at most"
            return Problem(
                "padding-too-large",
                f"{self.name} pads by {show(self.padding)}, more than half its kernel of {show(self.kernel_size)}",
                f"write `padding: {self.kernel_size[0] // 2}`" if len(set(self.kernel_size)) == 1 else half,
                ("padding", "kernel_size"),
                proposals=((("padding", pair_text(tuple(k // 2 for k in self.kernel_size))),),),
            )
        return None

    def axis_size(self, n: int, axis: int) -> int:
        """Output pixels along one axis, for `n` input pixels; not positive if the window does not fit."""
        k, s, p, d = self.kernel_size[axis], self.stride[axis], self.padding[axis], self.spread()[axis]
        return window_size(n, k, s, p, p, d, self.ceil_mode)

    def shape(self, *inputs: Shape) -> Shape | Problem:
        (x,) = inputs
        if wrong := needs_image(self.name, x):
            return wrong
        height, width = self.axis_size(x[1], 0), self.axis_size(x[2], 1)
        if height < 1 or width < 1:
            return does_not_fit(self.name, x, self.kernel_size, self.padding, self.spread())
        return (x[0], height, width)

    def other_ops(self, output: Shape) -> int:
        return prod(output) * prod(self.kernel_size)

    def window(self) -> Window:
        return Window(self.kernel_size, self.stride, self.padding, self.spread())

    def along(self, axis: int) -> AxisMap | None:
        k, s, d = self.kernel_size[axis], self.stride[axis], self.spread()[axis]
        return window_map(lambda n: self.axis_size(n, axis), k, s, d)

    def arithmetic(self, x: Shape) -> str:
        def formula(n: int, axis: int) -> str:
            k, s, p, d = self.kernel_size[axis], self.stride[axis], self.padding[axis], self.spread()[axis]
            return window_formula(n, k, s, p, d, self.ceil_mode, self.axis_size(n, axis))

        return both_axes(x, formula)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class MaxPool2d(WindowPool):
    """largest value of each window (torch.nn.MaxPool2d); kernel 1 with a stride only drops pixels"""

    name: ClassVar[str] = "max_pool2d"
    torch: ClassVar[str] = "MaxPool2d"

    dilation: Pair = spec_field("pair", "distance between the pixels that a window reads", (1, 1), least=1)

    def spread(self) -> Pair:
        return self.dilation

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved(inputs=True, indices=prod(output))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class AvgPool2d(WindowPool):
    """mean of each window (torch.nn.AvgPool2d)"""

    name: ClassVar[str] = "avg_pool2d"
    torch: ClassVar[str] = "AvgPool2d"

    count_include_pad: bool = spec_field("bool", "whether padding counts in the mean", True)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class AdaptivePool(Operation):
    """What the adaptive pools share."""

    family: ClassVar[Family] = "pooling"
    depends: ClassVar[Dependence] = "whole"

    output_size: Pair = spec_field(
        "pair", "height and width of the output, in pixels, for any input size", least=1, examples=(1, 7, (1, 2))
    )

    @classmethod
    def inferred(cls, x: Shape) -> Mapping[str, FieldValue] | Problem:
        return needs_image(cls.name, x) or {}

    def shape(self, *inputs: Shape) -> Shape | Problem:
        (x,) = inputs
        return needs_image(self.name, x) or (x[0], *self.output_size)

    def axes(self, x: Shape) -> tuple[OutputAxis, ...]:
        return (Kept(0), *map(Fixed, self.output_size))

    def arithmetic(self, x: Shape) -> str:
        return f"{show(self.output_size)} for any input size, here {show(x[1:])}"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class AdaptiveAvgPool2d(AdaptivePool):
    """mean of each part of an evenly divided image (torch.nn.AdaptiveAvgPool2d)"""

    name: ClassVar[str] = "adaptive_avg_pool2d"
    torch: ClassVar[str] = "AdaptiveAvgPool2d"
    leading: ClassVar[tuple[str, ...]] = ("output_size",)

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved(inputs=self.output_size != (1, 1))  # for one part torch computes a mean, which keeps nothing


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class AdaptiveMaxPool2d(AdaptivePool):
    """largest value of each part of an evenly divided image (torch.nn.AdaptiveMaxPool2d)"""

    name: ClassVar[str] = "adaptive_max_pool2d"
    torch: ClassVar[str] = "AdaptiveMaxPool2d"
    leading: ClassVar[tuple[str, ...]] = ("output_size",)

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved(inputs=True, indices=prod(output))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class BlurPool2d(Operation):
    """binomial blur of each channel before the stride (Zhang 2019, Making Convolutional Networks Shift-Invariant Again)"""

    name: ClassVar[str] = "blur_pool2d"
    family: ClassVar[Family] = "pooling"
    depends: ClassVar[Dependence] = "window"

    channels: int
    kernel_size: int = spec_field("int", "height and width of the filter, in pixels", 3, least=2, most=9)
    stride: int = spec_field("int", "step of the filter, in pixels", 2, least=1)
    mode: str = spec_field("word", "how the padding is filled", "reflect", words=("reflect", "replicate", "constant"))

    @classmethod
    def inferred(cls, x: Shape) -> Mapping[str, FieldValue] | Problem:
        return needs_image("blur_pool2d", x) or {"channels": x[0]}

    @property
    def pad(self) -> int:
        """Pixels added on each side (as timm computes them): half of `stride - 1 + kernel_size - 1`."""
        return (self.stride - 1 + self.kernel_size - 1) // 2

    def axis_size(self, n: int, axis: int) -> int:
        """Output pixels along one axis; not positive if the filter does not fit."""
        return window_size(n, self.kernel_size, self.stride, self.pad, self.pad, 1)

    def shape(self, *inputs: Shape) -> Shape | Problem:
        (x,) = inputs
        if wrong := needs_image("blur_pool2d", x):
            return wrong
        if x[0] != self.channels:
            return Problem("shape-mismatch", f"blur_pool2d was built for {self.channels} channels, but its input has {x[0]}")
        if self.mode == "reflect" and self.pad >= min(x[1:]):
            return Problem(
                "padding-too-large",
                f"blur_pool2d cannot reflect {self.pad} pixels of a {show(x[1:])} image",
                "write `mode: constant`, or blur earlier",
                ("kernel_size", "stride"),
                by_size=True,
                proposals=((("mode", "constant"),),),
            )
        height, width = self.axis_size(x[1], 0), self.axis_size(x[2], 1)
        if height < 1 or width < 1:
            return does_not_fit("blur_pool2d", x, (self.kernel_size,) * 2, (self.pad,) * 2, (1, 1))
        return (x[0], height, width)

    def tensors(self) -> tuple[Tensor, ...]:
        return (Tensor("filt", (self.channels, 1, self.kernel_size, self.kernel_size), buffer=True, persistent=False),)

    def other_ops(self, output: Shape) -> int:
        return prod(output) * self.kernel_size**2

    def saved(self, x: Shape, output: Shape) -> Saved:
        padded = x[0] * (x[1] + 2 * self.pad) * (x[2] + 2 * self.pad)
        return Saved(inputs=self.mode != "constant", values=padded)

    def layer(self, inplace: bool = False) -> nn.Module:
        from resnet_spec.ops import layers

        return layers.BlurPool2d(**self.torch_args())

    def module_call(self) -> SourceCall:
        return make_call("BlurPool2d", self.torch_args(), ("channels",), written_defaults(type(self)))

    def window(self) -> Window:
        return Window((self.kernel_size,) * 2, (self.stride,) * 2, (self.pad,) * 2, (1, 1))

    def along(self, axis: int) -> AxisMap | None:
        least = self.pad + 1 if self.mode == "reflect" else 1
        return window_map(lambda n: self.axis_size(n, axis), self.kernel_size, self.stride, 1, least)

    def arithmetic(self, x: Shape) -> str:
        return both_axes(
            x, lambda n, axis: window_formula(n, self.kernel_size, self.stride, self.pad, 1, False, self.axis_size(n, axis))
        )
