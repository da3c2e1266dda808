"""Operations on each value by itself with a learned number: prelu, scale."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from resnet_spec.ops.definition import (
    Dependence,
    Family,
    FieldValue,
    Operation,
    Problem,
    Shape,
    Tensor,
    needs_image,
    spec_field,
)
from resnet_spec.ops.source import SourceCall, make_call

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Prelu(Operation):
    """x, or x times a learned slope below zero (torch.nn.PReLU)"""

    name: ClassVar[str] = "prelu"
    family: ClassVar[Family] = "activation"
    depends: ClassVar[Dependence] = "pointwise"
    torch: ClassVar[str] = "PReLU"

    num_parameters: int = spec_field("int", "1 slope for all channels, or one for each", 1, least=1, examples=(1, "channels"))
    init_value: float = spec_field("float", "slope before training", 0.25)

    def shape(self, *inputs: Shape) -> Shape | Problem:
        (x,) = inputs
        if self.num_parameters in (1, x[0]):
            return x
        return Problem(
            "shape-mismatch",
            f"prelu has {self.num_parameters} slopes, for an input of {x[0]} channels",
            "write `num_parameters: channels` for a slope for each channel, or 1 for all",
            ("num_parameters",),
            proposals=((("num_parameters", "channels"),), (("num_parameters", "1"),)),
        )

    def fixes_size(self, x: Shape) -> Mapping[int, int]:
        return {} if self.num_parameters == 1 else {0: self.num_parameters}

    def tensors(self) -> tuple[Tensor, ...]:
        return (Tensor("weight", (self.num_parameters,)),)

    def torch_args(self) -> dict[str, Any]:
        return {"num_parameters": self.num_parameters, "init": self.init_value}

    def module_call(self) -> SourceCall:
        return make_call("nn.PReLU", self.torch_args(), (), {"num_parameters": 1, "init": 0.25})


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Scale(Operation):
    """multiplies each channel by a learned factor, whose key is the name of the operation (LayerScale, Touvron et al. 2021)"""

    name: ClassVar[str] = "scale"
    family: ClassVar[Family] = "scaling"
    depends: ClassVar[Dependence] = "pointwise"
    own_tensor: ClassVar[bool] = True

    num_channels: int
    rank: int  # axes without the batch
    init_value: float = spec_field("float", "factors before training", 1.0, examples=(1.0, 1e-6))
    tensor_shape: str = spec_field(
        "word",
        "shape of the tensor: `vector` is [C], as in timm; `map` is [C, 1, 1], as in torchvision",
        "vector",
        words=("vector", "map"),
    )

    @classmethod
    def inferred(cls, x: Shape) -> Mapping[str, FieldValue] | Problem:
        return {"num_channels": x[0], "rank": len(x)}

    def shape(self, *inputs: Shape) -> Shape | Problem:
        (x,) = inputs
        if self.tensor_shape == "map" and (wrong := needs_image("scale with `tensor_shape: map`", x)) is not None:
            return wrong
        if x[0] != self.num_channels:
            return Problem("shape-mismatch", f"scale was built for {self.num_channels} channels, but its input has {x[0]}")
        return x

    def fixes_size(self, x: Shape) -> Mapping[int, int]:
        return {0: self.num_channels}

    def tensors(self) -> tuple[Tensor, ...]:
        more = (1, 1) if self.tensor_shape == "map" else ()
        return (Tensor("", (self.num_channels, *more)),)

    def initial_value(self) -> float:
        return self.init_value

    def function(self) -> Callable[..., Any]:
        from resnet_spec.ops import layers

        if self.tensor_shape == "map":
            return layers.scale_values
        return {1: layers.scale_values, 2: layers.scale_rows, 3: layers.scale_channels}[self.rank]

    def layer(self, inplace: bool = False) -> nn.Module:
        from resnet_spec.ops import layers

        (tensor,) = self.tensors()
        return layers.Scale(self.function(), tensor.shape, self.init_value)

    def module_call(self) -> SourceCall:
        return make_call("torch.full", {"size": self.tensors()[0].shape, "fill_value": self.init_value}, ("size", "fill_value"))

    def expression(self, *values: str) -> str:
        value, factor = values
        if self.tensor_shape == "map" or self.rank == 1:
            return f"{value} * {factor}"
        return f"{value} * {factor}.view({', '.join(['-1', *['1'] * (self.rank - 1)])})"
