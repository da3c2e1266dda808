"""Norms. They keep the shape; most have a scale and a shift for each channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar

from resnet_spec.ops.definition import (
    Dependence,
    Family,
    FieldValue,
    Operation,
    Problem,
    Saved,
    Shape,
    Tensor,
    divisors,
    largest_divisor,
    needs_image,
    show,
    spec_field,
    written_defaults,
)
from resnet_spec.ops.source import SourceCall, make_call

if TYPE_CHECKING:
    from torch import nn


def _scale_and_shift(channels: int, shift: bool = True) -> tuple[Tensor, ...]:
    scale = Tensor("weight", (channels,))
    return (scale, Tensor("bias", (channels,))) if shift else (scale,)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class BatchNorm(Operation):
    """normalizes each channel over the batch (torch.nn.BatchNorm2d, after a flatten BatchNorm1d)"""

    name: ClassVar[str] = "batch_norm"
    family: ClassVar[Family] = "normalization"
    depends: ClassVar[Dependence] = "pointwise"
    removes_mean: ClassVar[bool] = True

    num_features: int
    rank: int  # axes without the batch: chooses BatchNorm1d or BatchNorm2d
    eps: float = spec_field("float", "added to the variance", 1e-5, least=0)
    momentum: float = spec_field("float", "weight of the new batch in the running statistics", 0.1, least=0, most=1)
    affine: bool = spec_field("bool", "whether a scale and a shift are learned", True)
    track_running_stats: bool = spec_field("bool", "whether statistics are kept for evaluation", True)

    @classmethod
    def inferred(cls, x: Shape) -> Mapping[str, FieldValue] | Problem:
        return {"num_features": x[0], "rank": len(x)}

    def problem(self) -> Problem | None:
        if self.eps == 0:
            return Problem("out-of-range", "`eps` of batch_norm is 0, but torch needs a positive one to train", "", ("eps",))
        return None

    def shape(self, *inputs: Shape) -> Shape | Problem:
        (x,) = inputs
        if x[0] != self.num_features:
            return Problem("shape-mismatch", f"batch_norm was built for {self.num_features} channels, but its input has {x[0]}")
        if not self.track_running_stats and prod(x[1:]) == 1:  # torch rejects a batch of one such image, in evaluation too
            return Problem(
                "too-few-values",
                f"batch_norm without running statistics has one value in each channel of {show(x)}",
                "write `track_running_stats: true`, or move it before the pool",
                ("track_running_stats",),
                by_size=True,
                proposals=((("track_running_stats", "true"),),),
            )
        return x

    def fixes_size(self, x: Shape) -> Mapping[int, int]:
        return {0: self.num_features}

    def needs_two_pixels(self, training: bool) -> bool:
        return training or not self.track_running_stats  # without them it uses the batch's statistics in evaluation too

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved(inputs=True, statistics=2 * self.num_features)

    def scales_channels(self) -> bool:
        return self.track_running_stats

    def factor_and_shift(self, tensors: Mapping[str, Any]) -> tuple[Any, Any]:
        factor = (tensors["running_var"] + self.eps) ** -0.5
        if not self.affine:
            return factor, -tensors["running_mean"] * factor
        factor = factor * tensors["weight"]
        return factor, tensors["bias"] - tensors["running_mean"] * factor

    def layer(self, inplace: bool = False) -> nn.Module:
        from torch import nn

        arguments = self.torch_args()
        return (nn.BatchNorm2d if arguments.pop("rank") == 3 else nn.BatchNorm1d)(**arguments)

    def module_call(self) -> SourceCall:
        arguments = self.torch_args()
        callee = "nn.BatchNorm2d" if arguments.pop("rank") == 3 else "nn.BatchNorm1d"
        return make_call(callee, arguments, ("num_features",), written_defaults(type(self)))

    def tensors(self) -> tuple[Tensor, ...]:
        learned = _scale_and_shift(self.num_features) if self.affine else ()
        if not self.track_running_stats:
            return learned
        mean, var = (Tensor(f"running_{what}", (self.num_features,), buffer=True) for what in ("mean", "var"))
        return (*learned, mean, var, Tensor("num_batches_tracked", (), buffer=True))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class GroupNorm(Operation):
    """normalizes groups of channels of one image (torch.nn.GroupNorm)"""

    name: ClassVar[str] = "group_norm"
    family: ClassVar[Family] = "normalization"
    depends: ClassVar[Dependence] = "channels"
    torch: ClassVar[str] = "GroupNorm"
    leading: ClassVar[tuple[str, ...]] = ("num_groups", "num_channels")
    copies_parts: ClassVar[bool] = True

    num_groups: int = spec_field("int", "groups; must divide the channels", least=1, examples=(32, "channels // 16"))
    num_channels: int
    eps: float = spec_field("float", "added to the variance", 1e-5, least=0)
    affine: bool = spec_field("bool", "whether a scale and a shift are learned", True)

    @classmethod
    def inferred(cls, x: Shape) -> Mapping[str, FieldValue] | Problem:
        return {"num_channels": x[0]}

    def problem(self) -> Problem | None:
        if self.num_channels % self.num_groups:
            return Problem(
                "groups-do-not-divide",
                f"group_norm has {self.num_groups} groups, which do not divide its {self.num_channels} channels",
                f"`num_groups` must divide {self.num_channels}: {divisors(self.num_channels)}",
                ("num_groups",),
                proposals=((("num_groups", str(largest_divisor(self.num_groups, self.num_channels))),),),
            )
        return None

    def shape(self, *inputs: Shape) -> Shape | Problem:
        (x,) = inputs
        if x[0] != self.num_channels:
            return Problem("shape-mismatch", f"group_norm was built for {self.num_channels} channels, but its input has {x[0]}")
        if prod(x) == self.num_groups:  # torch rejects a batch of one such image, in evaluation too
            return Problem(
                "too-few-values",
                f"group_norm of {self.num_groups} groups has one value in each group of {show(x)}",
                "use fewer groups, or move it before the pool",
                ("num_groups",),
                by_size=True,
            )
        return x

    def fixes_size(self, x: Shape) -> Mapping[int, int]:
        return {0: self.num_channels}

    def needs_two_pixels(self, training: bool) -> bool:
        return self.num_groups == self.num_channels

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved(inputs=True, values=2 * self.num_groups)

    def tensors(self) -> tuple[Tensor, ...]:
        return _scale_and_shift(self.num_channels) if self.affine else ()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class LayerNorm(Operation):
    """normalizes the channels of each pixel, or the features of a vector (torch.nn.LayerNorm over C)"""

    name: ClassVar[str] = "layer_norm"
    family: ClassVar[Family] = "normalization"
    depends: ClassVar[Dependence] = "channels"

    normalized_shape: int
    channels_first: bool
    eps: float = spec_field("float", "added to the variance", 1e-5, least=0)
    elementwise_affine: bool = spec_field("bool", "whether a scale and a shift are learned", True)
    bias: bool = spec_field("bool", "whether the shift is learned too", True)

    @classmethod
    def inferred(cls, x: Shape) -> Mapping[str, FieldValue] | Problem:
        return {"normalized_shape": x[0] if len(x) == 3 else x[-1], "channels_first": len(x) == 3}

    def shape(self, *inputs: Shape) -> Shape | Problem:
        (x,) = inputs
        size = x[0] if self.channels_first else x[-1]
        if size != self.normalized_shape:
            message = f"layer_norm was built for {self.normalized_shape} channels, but its input is {show(x)}"
            return Problem("shape-mismatch", message)
        return x

    def fixes_size(self, x: Shape) -> Mapping[int, int]:
        return {0 if self.channels_first else len(x) - 1: self.normalized_shape}

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved(inputs=True, values=2 * prod(x) // self.normalized_shape)

    def layer(self, inplace: bool = False) -> nn.Module:
        from torch import nn

        from resnet_spec.ops import layers

        arguments = self.torch_args()
        return (layers.LayerNorm2d if arguments.pop("channels_first") else nn.LayerNorm)(**arguments)

    def module_call(self) -> SourceCall:
        arguments = self.torch_args()
        callee = "LayerNorm2d" if arguments.pop("channels_first") else "nn.LayerNorm"
        return make_call(callee, arguments, ("normalized_shape",), written_defaults(type(self)))

    def tensors(self) -> tuple[Tensor, ...]:
        return _scale_and_shift(self.normalized_shape, self.bias) if self.elementwise_affine else ()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class InstanceNorm(Operation):
    """normalizes each channel of each image (torch.nn.InstanceNorm2d)"""

    name: ClassVar[str] = "instance_norm"
    family: ClassVar[Family] = "normalization"
    depends: ClassVar[Dependence] = "pointwise"
    torch: ClassVar[str] = "InstanceNorm2d"
    leading: ClassVar[tuple[str, ...]] = ("num_features",)
    copies_parts: ClassVar[bool] = True
    removes_mean: ClassVar[bool] = True

    num_features: int
    eps: float = spec_field("float", "added to the variance", 1e-5, least=0)
    momentum: float = spec_field("float", "weight of the new batch in the running statistics", 0.1, least=0, most=1)
    affine: bool = spec_field("bool", "whether a scale and a shift are learned", False)
    track_running_stats: bool = spec_field("bool", "whether statistics are kept for evaluation", False)

    @classmethod
    def inferred(cls, x: Shape) -> Mapping[str, FieldValue] | Problem:
        return needs_image("instance_norm", x) or {"num_features": x[0]}

    def problem(self) -> Problem | None:
        if self.eps == 0:
            return Problem("out-of-range", "`eps` of instance_norm is 0, but torch needs a positive one to train", "", ("eps",))
        return None

    def shape(self, *inputs: Shape) -> Shape | Problem:
        (x,) = inputs
        if wrong := needs_image("instance_norm", x):
            return wrong
        if x[0] != self.num_features:
            message = f"instance_norm was built for {self.num_features} channels, but its input has {x[0]}"
            return Problem("shape-mismatch", message)
        if not self.track_running_stats and prod(x[1:]) == 1:  # torch refuses it in evaluation too
            return Problem(
                "too-few-values",
                f"instance_norm has one value in each channel of {show(x)}",
                "move it before the pool, or use `batch_norm`",
                by_size=True,
                proposals=((("", "batch_norm"),),),
            )
        return x

    def fixes_size(self, x: Shape) -> Mapping[int, int]:
        return {0: self.num_features}

    def needs_two_pixels(self, training: bool) -> bool:
        return training or not self.track_running_stats

    def saved(self, x: Shape, output: Shape) -> Saved:
        repeated = (1 if self.affine else 0) + (2 if self.track_running_stats else 0)  # for each image of the batch
        return Saved(inputs=True, values=(2 + repeated) * self.num_features)

    def tensors(self) -> tuple[Tensor, ...]:
        learned = _scale_and_shift(self.num_features) if self.affine else ()
        if not self.track_running_stats:
            return learned
        mean, var = (Tensor(f"running_{what}", (self.num_features,), buffer=True) for what in ("mean", "var"))
        return (*learned, mean, var, Tensor("num_batches_tracked", (), buffer=True))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class LocalResponseNorm(Operation):
    """divides each value by those of neighboring channels (torch.nn.LocalResponseNorm; Krizhevsky et al. 2012)"""

    name: ClassVar[str] = "local_response_norm"
    family: ClassVar[Family] = "normalization"
    depends: ClassVar[Dependence] = "channels"
    torch: ClassVar[str] = "LocalResponseNorm"
    leading: ClassVar[tuple[str, ...]] = ("size",)

    size: int = spec_field("int", "neighboring channels, itself included", least=1, examples=(5,))
    alpha: float = spec_field("float", "factor of the mean of the squares", 1e-4)
    beta: float = spec_field("float", "exponent of the divisor", 0.75)
    k: float = spec_field("float", "added to the divisor before the exponent", 1.0)

    @classmethod
    def inferred(cls, x: Shape) -> Mapping[str, FieldValue] | Problem:
        return needs_image("local_response_norm", x) or {}

    def shape(self, *inputs: Shape) -> Shape | Problem:
        return needs_image("local_response_norm", inputs[0]) or inputs[0]

    def other_ops(self, output: Shape) -> int:
        return prod(output) * self.size

    def saved(self, x: Shape, output: Shape) -> Saved:
        padded = (x[0] + self.size - 1) * x[1] * x[2]
        return Saved(inputs=True, values=padded + 2 * prod(x))

    def workspace(self, x: Shape, output: Shape) -> int:
        return (x[0] + self.size - 1) * x[1] * x[2]  # the squares with their padding; the mean is as large as the output
