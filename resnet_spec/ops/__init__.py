"""The operations of the language, one file for each family. To add one, write its class and add it to the list below."""

from __future__ import annotations

from resnet_spec.ops.convolution import Conv1d, Conv2d, ConvTranspose2d
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
    Hardtanh,
    Identity,
    LeakyRelu,
    Mish,
    Relu,
    Relu6,
    Selu,
    Sigmoid,
    Silu,
    Softplus,
    Tanh,
)
from resnet_spec.ops.joining import Add, Concat, Multiply, Subtract
from resnet_spec.ops.learned import Prelu, Scale
from resnet_spec.ops.linear import Linear
from resnet_spec.ops.normalization import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, LocalResponseNorm
from resnet_spec.ops.pooling import AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, BlurPool2d, MaxPool2d
from resnet_spec.ops.reductions import Amax, Mean, Sum
from resnet_spec.ops.resampling import PixelShuffle, PixelUnshuffle, Upsample
from resnet_spec.ops.reshaping import ChannelShuffle, Flatten, Pad, Slice
from resnet_spec.ops.softmax import LogSoftmax, Softmax

OPERATIONS: dict[str, type[Operation]] = {
    operation.name: operation
    for operation in (
        *(Conv2d, ConvTranspose2d, Conv1d, Linear),
        *(BatchNorm, GroupNorm, LayerNorm, InstanceNorm, LocalResponseNorm),
        *(Relu, Relu6, LeakyRelu, Prelu, Elu, Selu, Silu, Gelu, Mish, Softplus),
        *(Hardswish, Hardsigmoid, Hardtanh, Sigmoid, Tanh, Softmax, LogSoftmax),
        *(MaxPool2d, AvgPool2d, AdaptiveAvgPool2d, AdaptiveMaxPool2d, BlurPool2d, Mean, Sum, Amax),
        *(Upsample, PixelShuffle, PixelUnshuffle),
        *(Flatten, Pad, Slice, ChannelShuffle, Dropout, Dropout2d, DropPath, Scale, Identity),
        *(Add, Subtract, Multiply, Concat),
    )
}
# A block, an argument or a parameter of a spec that was written before these were added may have their names.
NEW_IN_0_2 = frozenset(
    operation.name
    for operation in (
        *(ConvTranspose2d, Conv1d, InstanceNorm, LocalResponseNorm, Prelu, Selu, Softplus, Hardtanh, Softmax, LogSoftmax),
        *(Mean, Sum, Amax, Upsample, PixelShuffle, PixelUnshuffle, Slice, ChannelShuffle, Scale, Subtract),
    )
)

__all__ = [
    "NEW_IN_0_2",
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
