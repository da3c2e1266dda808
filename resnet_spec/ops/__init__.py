"""The operations of the language, one file for each family. To add one, write its class and add it to the list below."""

from __future__ import annotations

from resnet_spec.ops.convolution import Conv2d
from resnet_spec.ops.definition import (
    ONE_PIXEL,
    AxisMap,
    Family,
    Field,
    FieldValue,
    Fixed,
    Joined,
    Kept,
    Mapped,
    Operation,
    Pair,
    Problem,
    Reads,
    Saved,
    Shape,
    Tensor,
    Window,
    fields_of,
    show,
)
from resnet_spec.ops.elementwise import (
    Dropout,
    Dropout2d,
    DropPath,
    Elu,
    Gelu,
    Hardsigmoid,
    Hardswish,
    Identity,
    LeakyRelu,
    Mish,
    Relu,
    Relu6,
    Sigmoid,
    Silu,
    Tanh,
)
from resnet_spec.ops.joining import Add, Concat, Multiply
from resnet_spec.ops.linear import Linear
from resnet_spec.ops.normalization import BatchNorm, GroupNorm, LayerNorm
from resnet_spec.ops.pooling import AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, BlurPool2d, MaxPool2d
from resnet_spec.ops.reshaping import Flatten, Pad

OPERATIONS: dict[str, type[Operation]] = {
    operation.name: operation
    for operation in (
        *(Conv2d, Linear),
        *(BatchNorm, GroupNorm, LayerNorm),
        *(Relu, Relu6, LeakyRelu, Elu, Silu, Gelu, Mish, Hardswish, Hardsigmoid, Sigmoid, Tanh),
        *(MaxPool2d, AvgPool2d, AdaptiveAvgPool2d, AdaptiveMaxPool2d, BlurPool2d),
        *(Flatten, Pad, Dropout, Dropout2d, DropPath, Identity),
        *(Add, Multiply, Concat),
    )
}

__all__ = [
    "ONE_PIXEL",
    "OPERATIONS",
    "AxisMap",
    "Family",
    "Field",
    "FieldValue",
    "Fixed",
    "Joined",
    "Kept",
    "Mapped",
    "Operation",
    "Pair",
    "Problem",
    "Reads",
    "Saved",
    "Shape",
    "Tensor",
    "Window",
    "fields_of",
    "show",
]
