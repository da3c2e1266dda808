"""Operations that change the number of pixels by copying, interpolating or moving values: upsample, pixel_(un)shuffle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt, prod
from typing import TYPE_CHECKING, Any, ClassVar

from resnet_spec.ops.definition import (
    MOST_TRIED,
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
    Reads,
    Saved,
    Shape,
    Window,
    needs_image,
    show,
    spec_field,
)
from resnet_spec.ops.source import SourceCall, make_call
from resnet_spec.ops.windows import pair_text

if TYPE_CHECKING:
    from torch import nn

_NEAREST = ("nearest", "nearest-exact")
_TAPS = {"nearest": 0, "nearest-exact": 0, "bilinear": 2, "bicubic": 4}  # pixels that are weighted, along each axis
_NONE = (0, 0)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Upsample(Operation):
    """enlarges an image by a factor, or to a size, or to that of another value: `like: NAME` (torch.nn.Upsample)"""

    name: ClassVar[str] = "upsample"
    family: ClassVar[Family] = "reshaping"
    depends: ClassVar[Dependence] = "window"
    takes_like: ClassVar[bool] = True

    scale_factor: Pair = spec_field(
        "pair", "how many times as high and as wide the output is", _NONE, default_doc="none", least=1, examples=(2, (1, 2))
    )
    size: Pair = spec_field(
        "pair", "height and width of the output, in pixels", _NONE, default_doc="none", least=1, examples=(56, (28, 56))
    )
    mode: str = spec_field(
        "word", "how pixels are computed", "nearest", words=("nearest", "bilinear", "bicubic", "nearest-exact")
    )
    align_corners: bool = spec_field(
        "bool", "whether the centers of the corner pixels stay in the corners; bilinear and bicubic only", False
    )
    like: bool = False  # whether there is a second input, whose height and width the output gets

    @classmethod
    def inferred(cls, x: Shape) -> Mapping[str, FieldValue] | Problem:
        return needs_image("upsample", x) or {}

    def problem(self) -> Problem | None:
        given = [
            name
            for name, is_given in (
                ("scale_factor", self.scale_factor != _NONE),
                ("size", self.size != _NONE),
                ("like", self.like),
            )
            if is_given
        ]
        if not given:
            return Problem(
                "missing-field",
                "upsample needs `scale_factor`, `size` or `like`",
                "write `scale_factor: 2`, or `like:` with the name of a value that has the height and width",
                proposals=((("scale_factor", "2"),),),
            )
        if len(given) > 1:
            names = " and ".join(f"`{name}`" for name in given)
            return Problem(
                "conflicting-fields",
                f"upsample has {names}, and each of them determines the size of its output",
                f"keep one of {names}",
                tuple(given),
                proposals=() if self.like else tuple(((("", self._written(name)),)) for name in given),
            )
        if self.align_corners and self.mode in _NEAREST:
            return Problem(
                "conflicting-fields",
                f"`align_corners` has no meaning with `mode: {self.mode}`, which computes nothing between pixels",
                "write `mode: bilinear`, or leave `align_corners` out",
                ("align_corners", "mode"),
                proposals=((("align_corners", "false"),), (("mode", "bilinear"),)),
            )
        return None

    def _written(self, name: str) -> str:
        """The operation with one of the fields that determine its size."""
        more = "" if self.mode == "nearest" else f", mode: {self.mode}"
        more += ", align_corners: true" if self.align_corners else ""
        return f"{{op: upsample, {name}: {pair_text(getattr(self, name))}{more}}}"

    def shape(self, *inputs: Shape) -> Shape | Problem:
        x = inputs[0]
        for each in inputs:
            if wrong := needs_image("upsample", each):
                return wrong
        if self.like:
            return (x[0], *inputs[1][1:])
        if self.size != _NONE:
            return (x[0], *self.size)
        return (x[0], x[1] * self.scale_factor[0], x[2] * self.scale_factor[1])

    def along(self, axis: int) -> AxisMap | None:
        factor = self.scale_factor[axis]
        return None if factor <= 1 else AxisMap(lambda n: n * factor, 1, factor)

    def axes(self, x: Shape) -> tuple[OutputAxis, ...]:
        return Operation.axes(self, x) if self.size == _NONE else (Kept(0), *map(Fixed, self.size))

    def square(self) -> bool:
        return self.scale_factor[0] == self.scale_factor[1]

    def reads(self, axis: int) -> Reads:
        return self.reads_between(axis, 1, 1)

    def reads_between(self, axis: int, before: int, after: int) -> Reads:
        taps = _TAPS[self.mode]
        if taps and self.align_corners:
            step = Fraction(before - 1, after - 1) if after > 1 else Fraction(0)
            return _between(Fraction(0), step, step.denominator, taps)
        step = Fraction(1, self.scale_factor[axis]) if self.scale_factor != _NONE else Fraction(before, after)
        if not taps:
            return Reads(1, step, 0 if self.mode == "nearest" else step / 2)
        start = step / 2 - Fraction(1, 2)
        return _between(start, step, 2 * step.denominator, taps)

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved()

    def other_ops(self, output: Shape) -> int:
        return prod(output) * _TAPS[self.mode] ** 2

    def layer(self, inplace: bool = False) -> nn.Module:
        from torch import nn

        from resnet_spec.ops import layers

        corners = None if self.mode in _NEAREST else self.align_corners
        if self.like:
            return layers.UpsampleLike(self.mode, corners)
        sizes: dict[str, Any] = {"size": self.size} if self.size != _NONE else {"scale_factor": self.scale_factor}
        return nn.Upsample(**sizes, mode=self.mode, align_corners=corners)

    def module_call(self) -> SourceCall:
        corners = None if self.mode in _NEAREST else self.align_corners
        more = {"mode": self.mode, "align_corners": corners}
        defaults = {"mode": "nearest", "align_corners": None}
        if self.like:
            return make_call("UpsampleLike", more, ("mode", "align_corners"))
        sizes = {"size": self.size} if self.size != _NONE else {"scale_factor": self.scale_factor}
        return make_call("nn.Upsample", sizes | more, (), defaults)

    def expression(self, *values: str) -> str:
        if not self.like:
            return ""
        corners = "" if self.mode in _NEAREST else f", align_corners={self.align_corners}"
        return f"F.interpolate({values[0]}, {values[1]}.shape[2:], mode={json.dumps(self.mode)}{corners})"

    def caption(self) -> str:
        mode = "" if self.mode == "nearest" else f" {self.mode}"
        if self.like:
            return f"upsample{mode}"
        if self.size != _NONE:
            return f"upsample{mode} to {show(self.size)}"
        return f"upsample{mode} {_times(self.scale_factor)}"

    def arithmetic(self, x: Shape) -> str:
        if self.like:
            return "the height and width of the second input"
        if self.size != _NONE:
            return f"{show(self.size)} for any input size, here {show(x[1:])}"
        parts = [f"{n} * {factor} = {n * factor}" for n, factor in zip(x[1:], self.scale_factor, strict=True)]
        return parts[0] if parts[0] == parts[1] else f"height: {parts[0]}; width: {parts[1]}"


def _between(start: Fraction, step: Fraction, denominator: int, taps: int) -> Reads:
    """What is read around the point `start + i * step`, whose denominator divides `denominator`: `taps / 2` on each side.

    From its floor to its ceiling, and so on. At the center of a pixel, torch weights the others by zero; for four, this is not
    taken into account.
    """
    more = taps // 2 - 1
    return Reads(1 + Fraction(denominator - 1, denominator) + 2 * more, step, start - more)


def _times(factors: Pair) -> str:
    """`x2`, or `x1x2` for height and width."""
    return f"x{factors[0]}" if factors[0] == factors[1] else f"x{show(factors)}"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class PixelShuffle(Operation):
    """moves channels into pixels: C r r x H x W becomes C x H r x W r (torch.nn.PixelShuffle)"""

    name: ClassVar[str] = "pixel_shuffle"
    family: ClassVar[Family] = "reshaping"
    depends: ClassVar[Dependence] = "window"
    torch: ClassVar[str] = "PixelShuffle"
    leading: ClassVar[tuple[str, ...]] = ("upscale_factor",)

    upscale_factor: int = spec_field(
        "int", "how many times as high and as wide the output is; its square must divide the channels", least=1, examples=(2,)
    )

    def shape(self, *inputs: Shape) -> Shape | Problem:
        (x,) = inputs
        factor = self.upscale_factor
        if wrong := needs_image("pixel_shuffle", x):
            return wrong
        if x[0] % factor**2:
            fits = max(n for n in range(1, min(factor, isqrt(x[0]), MOST_TRIED) + 1) if x[0] % n**2 == 0)
            return Problem(
                "groups-do-not-divide",
                f"pixel_shuffle by {factor} makes one channel of {factor**2}, which does not divide its {x[0]} channels",
                f"give it a multiple of {factor**2} channels, such as {-(-x[0] // factor**2) * factor**2}",
                ("upscale_factor",),
                proposals=((("upscale_factor", str(fits)),),) if fits > 1 else (),
            )
        return (x[0] // factor**2, x[1] * factor, x[2] * factor)

    def along(self, axis: int) -> AxisMap:
        return AxisMap(lambda n: n * self.upscale_factor, 1, self.upscale_factor)

    def square(self) -> bool:
        return True

    def reads(self, axis: int) -> Reads:
        return Reads(1, Fraction(1, self.upscale_factor), 0)

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved()

    def other_ops(self, output: Shape) -> int:
        return 0

    def caption(self) -> str:
        return f"pixel shuffle x{self.upscale_factor}"

    def arithmetic(self, x: Shape) -> str:
        factor = self.upscale_factor
        return f"{x[0]} / {factor}^2 = {x[0] // factor**2} channels; {show(x[1:])} * {factor} = " + show(
            (x[1] * factor, x[2] * factor)
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class PixelUnshuffle(Operation):
    """moves pixels into channels: C x H r x W r becomes C r r x H x W (torch.nn.PixelUnshuffle)"""

    name: ClassVar[str] = "pixel_unshuffle"
    family: ClassVar[Family] = "reshaping"
    depends: ClassVar[Dependence] = "window"
    torch: ClassVar[str] = "PixelUnshuffle"
    leading: ClassVar[tuple[str, ...]] = ("downscale_factor",)

    downscale_factor: int = spec_field(
        "int", "how many times as high and as wide the input is; must divide its height and width", least=1, examples=(2,)
    )

    def shape(self, *inputs: Shape) -> Shape | Problem:
        (x,) = inputs
        factor = self.downscale_factor
        if wrong := needs_image("pixel_unshuffle", x):
            return wrong
        if x[1] % factor or x[2] % factor:
            return Problem(
                "size-not-divisible",
                f"pixel_unshuffle by {factor} needs a height and a width that are multiples of {factor}, not {show(x[1:])}",
                f"use an `input` whose size is a multiple of {factor} here, or a `pad` before it",
                ("downscale_factor",),
                by_size=True,
            )
        return (x[0] * factor**2, x[1] // factor, x[2] // factor)

    def along(self, axis: int) -> AxisMap:
        factor = self.downscale_factor
        return AxisMap(lambda n: n // factor, factor, 1, factor, factor)

    def window(self) -> Window:
        pair = (self.downscale_factor, self.downscale_factor)
        return Window(pair, pair, (0, 0), (1, 1))

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved()

    def other_ops(self, output: Shape) -> int:
        return 0

    def caption(self) -> str:
        return "pixel unshuffle"

    def arithmetic(self, x: Shape) -> str:
        factor = self.downscale_factor
        return f"{x[0]} * {factor}^2 = {x[0] * factor**2} channels; {show(x[1:])} / {factor} = " + show(
            (x[1] // factor, x[2] // factor)
        )
