"""Convolutions. Their multiply-adds are counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Self

from resnet_spec.ops.definition import (
    AxisMap,
    Dependence,
    Family,
    FieldValue,
    Kept,
    Mapped,
    Operation,
    OutputAxis,
    Pair,
    Problem,
    Reads,
    Saved,
    Shape,
    Tensor,
    Window,
    divisors,
    does_not_divide,
    largest_divisor,
    needs_image,
    show,
    spec_field,
)
from resnet_spec.ops.source import SourceCall, make_call
from resnet_spec.ops.windows import both_axes, does_not_fit, pair_text, window_formula, window_map, window_size

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Conv2d(Operation):
    """2-D convolution (torch.nn.Conv2d)"""

    name: ClassVar[str] = "conv2d"
    family: ClassVar[Family] = "convolution"
    depends: ClassVar[Dependence] = "window"
    torch: ClassVar[str] = "Conv2d"
    leading: ClassVar[tuple[str, ...]] = ("in_channels", "out_channels")
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
    weight_standardization: bool = spec_field(
        "bool",
        "whether each filter is normalized to mean 0 and variance 1 before it is applied (Qiao et al. 2019)",
        False,
        added=True,
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
        if self.weight_standardization and self.in_channels == self.groups and self.kernel_size == (1, 1):
            return Problem(
                "too-few-values",
                "`weight_standardization` needs two or more weights in each filter, and a depthwise 1x1 kernel has one",
                "use a larger kernel, or fewer groups",
                ("weight_standardization", "kernel_size", "groups"),
                proposals=((("weight_standardization", "false"),),),
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

    def with_bias(self, output: Shape) -> Self | None:
        return None if self.weight_standardization else replace(self, bias=True)

    def scale_weight(self, weight: Any, factor: Any) -> Any:
        return weight * factor.view(-1, 1, 1, 1)

    def macs(self, output: Shape) -> int:
        return prod(output) * (self.in_channels // self.groups) * prod(self.kernel_size)

    def other_ops(self, output: Shape) -> int:
        return prod(output) if self.bias else 0

    def saved(self, x: Shape, output: Shape) -> Saved:
        saved = self._saved_of_input(x)
        if not self.weight_standardization:
            return saved
        return replace(saved, statistics=2 * self.out_channels, weights=prod(self.tensors()[0].shape))

    def _saved_of_input(self, x: Shape) -> Saved:
        if self.padding_mode != "zeros":  # torch pads first, even by 0 pixels
            padded = x[0] * (x[1] + sum(self.sides(0))) * (x[2] + sum(self.sides(1)))
            return Saved(inputs=self.padding_mode != "circular", values=padded)
        uneven = [after - before for before, after in map(self.sides, (0, 1))]
        if any(uneven):  # `padding: same` with an even kernel: torch pads one side first, and keeps that
            return Saved(values=x[0] * (x[1] + uneven[0]) * (x[2] + uneven[1]))
        return Saved(inputs=True)

    def layer(self, inplace: bool = False) -> nn.Module:
        if not self.weight_standardization:
            return Operation.layer(self, inplace)
        from resnet_spec.ops import layers

        return layers.make_uninitialized(layers.StandardizedConv2d, self.torch_args())

    def module_call(self) -> SourceCall:
        call = Operation.module_call(self)
        return replace(call, callee="StandardizedConv2d") if self.weight_standardization else call

    def torch_args(self) -> dict[str, Any]:
        return {name: value for name, value in Operation.torch_args(self).items() if name != "weight_standardization"}

    def window(self) -> Window:
        return Window(self.kernel_size, self.stride, (self.sides(0)[0], self.sides(1)[0]), self.dilation)

    def channels_field(self) -> tuple[str, int]:
        return "out_channels", self.in_channels

    def caption(self) -> str:
        grouped = f", {self.groups} groups" if self.groups > 1 else ""
        standardized = "standardized " if self.weight_standardization else ""
        return f"{standardized}conv {show(self.kernel_size)}, {self.out_channels}{grouped}"

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


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class ConvTranspose2d(Operation):
    """transposed convolution, which enlarges by its stride (torch.nn.ConvTranspose2d)"""

    name: ClassVar[str] = "conv_transpose2d"
    family: ClassVar[Family] = "convolution"
    depends: ClassVar[Dependence] = "window"
    torch: ClassVar[str] = "ConvTranspose2d"
    leading: ClassVar[tuple[str, ...]] = ("in_channels", "out_channels")
    draws_weight: ClassVar[bool] = True

    in_channels: int
    out_channels: int = spec_field("int", "output channels", least=1, examples=(64, "width // 2"))
    kernel_size: Pair = spec_field("pair", "height and width of the kernel, in pixels", least=1, examples=(2, 4))
    stride: Pair = spec_field("pair", "output pixels from one input pixel to the next", (1, 1), least=1, examples=(2,))
    padding: Pair = spec_field("pair", "pixels removed on each side of the output", (0, 0), least=0, examples=(0, 1))
    output_padding: Pair = spec_field(
        "pair", "pixels added to the output at the end; fewer than `stride` or `dilation`", (0, 0), least=0, examples=(0, 1)
    )
    groups: int = spec_field("int", "groups of channels that are convolved separately", 1, least=1)
    bias: bool = spec_field("bool", "whether a bias is added", True)
    dilation: Pair = spec_field("pair", "distance between the pixels that the kernel writes", (1, 1), least=1)

    @classmethod
    def inferred(cls, x: Shape) -> Mapping[str, FieldValue] | Problem:
        return needs_image("conv_transpose2d", x) or {"in_channels": x[0]}

    def problem(self) -> Problem | None:
        if self.in_channels % self.groups or self.out_channels % self.groups:
            return does_not_divide("conv_transpose2d", "groups", self.groups, self.in_channels, self.out_channels)
        most = tuple(max(s, d) - 1 for s, d in zip(self.stride, self.dilation, strict=True))
        if any(p > limit for p, limit in zip(self.output_padding, most, strict=True)):
            return Problem(
                "padding-too-large",
                f"conv_transpose2d has an `output_padding` of {show(self.output_padding)}, and a stride of {show(self.stride)}",
                f"`output_padding` must be smaller than the stride or the dilation: {pair_text(most)} at most",
                ("output_padding", "stride"),
                proposals=((("output_padding", pair_text(most)),),),
            )
        return None

    def axis_size(self, n: int, axis: int) -> int:
        """Output pixels along one axis, for `n` input pixels; not positive where the padding removes all."""
        reach = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
        return (n - 1) * self.stride[axis] - 2 * self.padding[axis] + reach + self.output_padding[axis]

    def shape(self, *inputs: Shape) -> Shape | Problem:
        (x,) = inputs
        if wrong := needs_image("conv_transpose2d", x):
            return wrong
        if x[0] != self.in_channels:
            message = f"conv_transpose2d was built for {self.in_channels} channels, but its input has {x[0]}"
            return Problem("shape-mismatch", message)
        height, width = self.axis_size(x[1], 0), self.axis_size(x[2], 1)
        if height < 1 or width < 1:
            full = (height + 2 * self.padding[0], width + 2 * self.padding[1])
            most = tuple((n - 1) // 2 for n in full)
            return Problem(
                "padding-too-large",
                f"conv_transpose2d removes {show(self.padding)} on each side of {show(full)} pixels, so nothing is left",
                f"`padding` may be {pair_text(most)} at most here",
                ("padding",),
                by_size=True,
                proposals=((("padding", pair_text(most)),),),
            )
        return (self.out_channels, height, width)

    def along(self, axis: int) -> AxisMap | None:
        stride = self.stride[axis]
        if stride == 1 and self.axis_size(1, axis) == 1:
            return None
        least = max(1, 1 + -((self.axis_size(1, axis) - 1) // stride))
        return AxisMap(lambda n: self.axis_size(n, axis), 1, stride, least)

    def square(self) -> bool:
        pairs = (self.kernel_size, self.stride, self.padding, self.output_padding, self.dilation)
        return all(height == width for height, width in pairs)

    def reads(self, axis: int) -> Reads:
        """Output pixel `i` reads input pixel `j` if the kernel reaches from `j * stride - padding` to `i`."""
        reach = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
        stride, padding = self.stride[axis], self.padding[axis]
        return Reads(Fraction(reach, stride), Fraction(1, stride), Fraction(padding - reach + stride, stride))

    def tensors(self) -> tuple[Tensor, ...]:
        weight = Tensor("weight", (self.in_channels, self.out_channels // self.groups, *self.kernel_size))
        return (weight, Tensor("bias", (self.out_channels,))) if self.bias else (weight,)

    def with_bias(self, output: Shape) -> Self | None:
        return replace(self, bias=True)

    def scale_weight(self, weight: Any, factor: Any) -> Any:
        inputs, outputs, *kernel = weight.shape  # the output channels of one group
        grouped = weight.view(self.groups, inputs // self.groups, outputs, *kernel)
        return (grouped * factor.view(self.groups, 1, outputs, 1, 1)).view_as(weight)

    def macs(self, output: Shape) -> int:
        entering = [(output[1 + axis] - self.axis_size(1, axis)) // self.stride[axis] + 1 for axis in (0, 1)]
        return prod(entering) * self.in_channels * (self.out_channels // self.groups) * prod(self.kernel_size)

    def other_ops(self, output: Shape) -> int:
        return prod(output) if self.bias else 0

    def channels_field(self) -> tuple[str, int]:
        return "out_channels", self.in_channels

    def caption(self) -> str:
        grouped = f", {self.groups} groups" if self.groups > 1 else ""
        times = "" if self.stride == (1, 1) else f", x{pair_text(self.stride)}"
        return f"transposed conv {show(self.kernel_size)}, {self.out_channels}{grouped}{times}"

    def arithmetic(self, x: Shape) -> str:
        def formula(n: int, axis: int) -> str:
            k, s, p, d = self.kernel_size[axis], self.stride[axis], self.padding[axis], self.dilation[axis]
            reach = str(k) if d == 1 else f"{d}*({k} - 1) + 1"
            text = f"({n} - 1)*{s} + {reach}" + (f" - 2*{p}" if p else "")
            text += f" + {self.output_padding[axis]}" if self.output_padding[axis] else ""
            return f"{text} = {self.axis_size(n, axis)}"

        return both_axes(x, formula)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Conv1d(Operation):
    """one filter that slides along the channels of a vector or of each pixel (torch.nn.Conv1d(1, 1); ECA, Wang et al. 2020)"""

    name: ClassVar[str] = "conv1d"
    family: ClassVar[Family] = "convolution"
    depends: ClassVar[Dependence] = "channels"
    draws_weight: ClassVar[bool] = True

    kernel_size: int = spec_field("int", "channels that the filter reads", least=1, examples=(3, 5))
    padding: int = spec_field("int", "zeros added on each side of the channels", 0, least=0, examples=(1, 2))
    bias: bool = spec_field("bool", "whether a bias is added", True)

    def length(self, n: int) -> int:
        """Output channels for `n` input channels."""
        return window_size(n, self.kernel_size, 1, self.padding, self.padding, 1)

    def shape(self, *inputs: Shape) -> Shape | Problem:
        (x,) = inputs
        if len(x) == 2:
            return Problem("wrong-rank", f"conv1d needs a vector or an image, but its input has the shape {show(x)}")
        if self.length(x[0]) < 1:
            return Problem(
                "kernel-too-large",
                f"conv1d has a kernel of {self.kernel_size}, for {x[0]} channels",
                "write the padding that keeps the number of channels, half of the kernel",
                ("kernel_size", "padding"),
                proposals=((("padding", str(self.kernel_size // 2)),),),
            )
        return (self.length(x[0]), *x[1:])

    def axes(self, x: Shape) -> tuple[OutputAxis, ...]:
        if len(x) == 3:
            return (Kept(0), Kept(1), Kept(2))
        return (Mapped(0, AxisMap(self.length, 1, 1, max(1, self.kernel_size - 2 * self.padding))),)

    def tensors(self) -> tuple[Tensor, ...]:
        weight = Tensor("weight", (1, 1, self.kernel_size))
        return (weight, Tensor("bias", (1,))) if self.bias else (weight,)

    def macs(self, output: Shape) -> int:
        return prod(output) * self.kernel_size

    def other_ops(self, output: Shape) -> int:
        return prod(output) if self.bias else 0

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved(inputs=True) if prod(x[1:]) == 1 else Saved(values=prod(x))  # the channels of each pixel are copied

    def layer(self, inplace: bool = False) -> nn.Module:
        from resnet_spec.ops import layers

        return layers.make_uninitialized(layers.ChannelConv1d, self.torch_args())

    def module_call(self) -> SourceCall:
        return make_call("ChannelConv1d", self.torch_args())

    def caption(self) -> str:
        return f"conv1d {self.kernel_size} over channels"

    def arithmetic(self, x: Shape) -> str:
        return window_formula(x[0], self.kernel_size, 1, self.padding, 1, False, self.length(x[0])) + " channels"
