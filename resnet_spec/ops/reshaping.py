"""Operations that only select and move values or add zeros: flatten, pad, slice, channel_shuffle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar

from resnet_spec.ops.definition import (
    AxisMap,
    Dependence,
    Family,
    FieldValue,
    Joined,
    Kept,
    Mapped,
    Operation,
    OutputAxis,
    Problem,
    Reads,
    Saved,
    Shape,
    does_not_divide,
    needs_image,
    show,
    spec_field,
)
from resnet_spec.ops.source import SourceCall, make_call

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Flatten(Operation):
    """joins axes into one (torch.nn.Flatten); axis 0 is the batch"""

    name: ClassVar[str] = "flatten"
    family: ClassVar[Family] = "reshaping"
    depends: ClassVar[Dependence] = "whole"
    torch: ClassVar[str] = "Flatten"
    leading: ClassVar[tuple[str, ...]] = ("start_dim", "end_dim")

    start_dim: int = spec_field("int", "first axis to join, counting the batch as 0", 1)
    end_dim: int = spec_field("int", "last axis to join; -1 is the last axis", -1)

    def expression(self, *values: str) -> str:
        end = "" if self.end_dim == -1 else f", {self.end_dim}"
        return f"torch.flatten({values[0]}, {self.start_dim}{end})"

    def joined(self, x: Shape) -> tuple[int, int]:
        """First and last axis of the shape `x` without the batch, as non-negative numbers."""
        rank = len(x) + 1
        first, last = (axis + rank if axis < 0 else axis for axis in (self.start_dim, self.end_dim))
        return first - 1, last - 1

    def shape(self, *inputs: Shape) -> Shape | Problem:
        (x,) = inputs
        first, last = self.joined(x)
        fields = ("start_dim", "end_dim")
        if not (-1 <= first < len(x) and -1 <= last < len(x)):
            fix = f"axes are 0 (the batch) to {len(x)}; without fields, flatten joins all but the batch"
            axes = f"{len(x) + 1} axes: N x {show(x)}"
            message = f"flatten from axis {self.start_dim} to {self.end_dim}, but its input has {axes}"
            return Problem("wrong-axis", message, fix, fields)
        if first == -1:
            return Problem("wrong-axis", "flatten from axis 0 would join the images of a batch", "start at axis 1", fields)
        if first > last:
            message = f"flatten from axis {self.start_dim} to {self.end_dim}: the first is after the last"
            return Problem("wrong-axis", message, "write `start_dim: 1`, and leave `end_dim` out", fields)
        return (*x[:first], prod(x[first : last + 1]), *x[last + 1 :])

    def axes(self, x: Shape) -> tuple[OutputAxis, ...]:
        first, last = self.joined(x)
        before, after = range(first), range(last + 1, len(x))
        return (*map(Kept, before), Joined(first, last), *map(Kept, after))

    def other_ops(self, output: Shape) -> int:
        return 0

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved()

    def returns_input(self, training: bool) -> bool:
        return True

    def arithmetic(self, x: Shape) -> str:
        first, last = self.joined(x)
        joined = x[first : last + 1]
        return f"{' * '.join(map(str, joined))} = {prod(joined)}" if len(joined) > 1 else ""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Pad(Operation):
    """adds values around an image (torch.nn.functional.pad); with six numbers also around the channels"""

    name: ClassVar[str] = "pad"
    family: ClassVar[Family] = "reshaping"
    depends: ClassVar[Dependence] = "window"

    padding: tuple[int, ...] = spec_field(
        "ints",
        "left, right, top, bottom, and channels before and after",
        least=0,
        lengths=(2, 4, 6),
        examples=((1, 1, 1, 1),),
    )
    mode: str = spec_field("word", "what is added", "constant", words=("constant", "reflect", "replicate", "circular"))
    value: float = spec_field("float", "the constant", 0.0)

    @classmethod
    def bind(cls, written: Mapping[str, FieldValue], x: Shape) -> Pad | Problem:
        made = cls(**written)  # type: ignore[arg-type]
        result = made.shape(x)
        return result if isinstance(result, Problem) else made

    def sides(self, axis: int) -> tuple[int, int]:
        """What is added before and after an axis: -1 is the width, -2 the height, -3 the channels."""
        at = 2 * (-axis - 1)
        return (self.padding[at], self.padding[at + 1]) if at < len(self.padding) else (0, 0)

    def shape(self, *inputs: Shape) -> Shape | Problem:
        (x,) = inputs
        if len(self.padding) // 2 > len(x):
            message = f"pad has {len(self.padding)} numbers, for {len(self.padding) // 2} axes, but its input is {show(x)}"
            return Problem("wrong-rank", message, f"write {2 * len(x)} numbers or fewer, two for each axis", ("padding",))
        if self.mode != "constant" and (wrong := self._mode_problem(x)) is not None:
            return wrong
        return tuple(n + sum(self.sides(axis - len(x))) for axis, n in enumerate(x))

    def _mode_problem(self, x: Shape) -> Problem | None:
        if len(x) + 1 not in (len(self.padding) // 2 + 1, len(self.padding) // 2 + 2):
            return Problem(
                "wrong-rank",
                f"`mode: {self.mode}` cannot pad {len(self.padding) // 2} axes of {show(x)}",
                "use `mode: constant`",
                ("mode", "padding"),
            )
        slack = {"reflect": 1, "circular": 0}.get(self.mode)
        if slack is not None:
            for axis in range(-len(self.padding) // 2, 0):
                if max(self.sides(axis)) > x[axis] - slack:
                    return Problem(
                        "padding-too-large",
                        f"`mode: {self.mode}` cannot add {max(self.sides(axis))} to {x[axis]} values",
                        f"add {x[axis] - slack} or less, or use `mode: constant`",
                        ("padding", "mode"),
                        by_size=True,
                    )
        return None

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved(inputs=self.mode in ("reflect", "replicate"))

    def axes(self, x: Shape) -> tuple[OutputAxis, ...]:
        return tuple(Mapped(axis, self.along(axis - len(x) + 2)) for axis in range(len(x)))

    def along(self, axis: int) -> AxisMap:
        before, after = self.sides(axis - 2)
        least = {"reflect": max(before, after) + 1, "circular": max(before, after)}.get(self.mode, 1)
        return AxisMap(lambda n: n + before + after, 1, 1, max(least, 1))

    def reads(self, axis: int) -> Reads:
        return Reads(1, 1, -self.sides(axis - 2)[0])

    def layer(self, inplace: bool = False) -> nn.Module:
        from resnet_spec.ops import layers

        return layers.Pad(self.padding, self.mode, self.value)

    def module_call(self) -> SourceCall:
        return make_call("Pad", self.torch_args(), ("padding", "mode", "value"))

    def expression(self, *values: str) -> str:
        if self.mode != "constant":
            return f"F.pad({values[0]}, {self.padding}, mode={json.dumps(self.mode)})"
        return f"F.pad({values[0]}, {self.padding}" + (f", value={self.value!r})" if self.value else ")")

    def arithmetic(self, x: Shape) -> str:
        parts = [
            f"{n} + {before} + {after} = {n + before + after}"
            for n, (before, after) in ((n, self.sides(axis - len(x))) for axis, n in enumerate(x))
            if before or after
        ]
        return "; ".join(parts)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Slice(Operation):
    """some of the channels, or of the features of a vector: from `start` to before `stop`, as `x[:, start:stop]`"""

    name: ClassVar[str] = "slice"
    family: ClassVar[Family] = "reshaping"
    depends: ClassVar[Dependence] = "channels"

    start: int = spec_field("int", "the first channel, counted from 0", 0, least=0, examples=(0, "channels // 2"))
    stop: int = spec_field(
        "int", "the channel before which it ends", 0, default_doc="the end", least=1, examples=("channels // 2", 32)
    )

    def length(self, n: int) -> int:
        """Output channels for `n` input channels."""
        return (self.stop or n) - self.start

    def shape(self, *inputs: Shape) -> Shape | Problem:
        (x,) = inputs
        if self.stop > x[0]:
            return Problem(
                "out-of-range",
                f"slice stops before channel {self.stop}, but its input has {x[0]} channels",
                f"write `stop: {x[0]}`, or leave `stop` out for all channels up to the end",
                ("stop",),
                proposals=((("stop", "channels"),),) if self.start < x[0] else (),
            )
        if self.length(x[0]) < 1:
            end = self.stop or x[0]
            return Problem(
                "out-of-range",
                f"slice from channel {self.start} to before channel {end} is empty",
                f"`start` must be smaller than {end}",
                ("start", "stop"),
                proposals=((("start", str(end - 1)),),),
            )
        return (self.length(x[0]), *x[1:])

    def axes(self, x: Shape) -> tuple[OutputAxis, ...]:
        others = tuple(Kept(axis) for axis in range(1, len(x)))
        if len(x) == 3:
            return (Kept(0), *others)
        least = self.stop or self.start + 1
        return (Mapped(0, AxisMap(self.length, 1, 0 if self.stop else 1, least)), *others)

    def other_ops(self, output: Shape) -> int:
        return 0

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved()

    def returns_input(self, training: bool) -> bool:
        return True

    def layer(self, inplace: bool = False) -> nn.Module:
        from resnet_spec.ops import layers

        return layers.Slice(self.start, self.stop or None)

    def module_call(self) -> SourceCall:
        return make_call("Slice", {"start": self.start, "stop": self.stop or None}, ("start", "stop"))

    def expression(self, *values: str) -> str:
        return f"{values[0]}[:, {self.start or ''}:{self.stop or ''}]"

    def caption(self) -> str:
        return f"channels {self.start}:{self.stop or ''}"

    def arithmetic(self, x: Shape) -> str:
        return f"{self.stop or x[0]} - {self.start} = {self.length(x[0])} channels"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class ChannelShuffle(Operation):
    """deals the channels of each group out to all groups (torch.nn.ChannelShuffle)"""

    name: ClassVar[str] = "channel_shuffle"
    family: ClassVar[Family] = "reshaping"
    depends: ClassVar[Dependence] = "channels"
    torch: ClassVar[str] = "ChannelShuffle"
    leading: ClassVar[tuple[str, ...]] = ("groups",)

    groups: int = spec_field("int", "groups of channels; must divide the channels", least=1, examples=(2,))

    def shape(self, *inputs: Shape) -> Shape | Problem:
        (x,) = inputs
        if wrong := needs_image("channel_shuffle", x):
            return wrong
        return does_not_divide("channel_shuffle", "groups", self.groups, x[0]) if x[0] % self.groups else x

    def other_ops(self, output: Shape) -> int:
        return 0

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved()

    def caption(self) -> str:
        return f"channel shuffle, {self.groups} groups"
