"""The operations of the language, a file a family. Adding one is one class, and its name in the list below."""

from __future__ import annotations

from .convolution import Conv2d, Linear
from .definition import (
    Field,
    Operation,
    Pair,
    Problem,
    Saved,
    Shape,
    Tensor,
    Value,
    Window,
    fields_of,
    show,
)
from .elementwise import (
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
from .joining import Add, Concat, Multiply
from .normalization import BatchNorm, GroupNorm, LayerNorm
from .pooling import AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, BlurPool2d, MaxPool2d
from .reshaping import Flatten, Pad

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
    "OPERATIONS",
    "Field",
    "Operation",
    "Pair",
    "Problem",
    "Saved",
    "Shape",
    "Tensor",
    "Value",
    "Window",
    "fields_of",
    "show",
]
