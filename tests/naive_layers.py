"""A second, naive reading of the language's operations: the torch layer that a person would write for the same words.

Written from torch's and timm's documentation, not from `resnet_spec.ops`, and always out of place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from resnet_spec._system.torchvision_import import import_torchvision

import_torchvision()  # timm needs it
from timm.layers.blur_pool import BlurPool2d  # noqa: E402
from timm.layers.drop import DropPath  # noqa: E402

Shape = tuple[int, ...]

PLAIN: dict[str, type[nn.Module]] = {  # operations that need nothing but what the spec writes
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "mish": nn.Mish,
    "hardswish": nn.Hardswish,
    "hardsigmoid": nn.Hardsigmoid,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "max_pool2d": nn.MaxPool2d,
    "avg_pool2d": nn.AvgPool2d,
    "adaptive_avg_pool2d": nn.AdaptiveAvgPool2d,
    "adaptive_max_pool2d": nn.AdaptiveMaxPool2d,
    "flatten": nn.Flatten,
    "dropout": nn.Dropout,
    "dropout2d": nn.Dropout2d,
    "identity": nn.Identity,
}


class ChannelNorm(nn.Module):
    """LayerNorm over the channels of `(N, C, H, W)`, by its formula."""

    def __init__(self, channels: int, eps: float = 1e-5, elementwise_affine: bool = True, bias: bool = True) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels)) if elementwise_affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if elementwise_affine and bias else None

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(1, keepdim=True)
        variance = ((x - mean) ** 2).mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt(variance + self.eps)
        if self.weight is not None:
            x = x * self.weight[:, None, None]
        return x if self.bias is None else x + self.bias[:, None, None]


class Function(nn.Module):
    """A function of tensors as a layer without state."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *values: Tensor) -> Tensor:
        return self.function(*values)


def _sum(*values: Tensor) -> Tensor:
    return torch.stack(values).sum(0)


def _product(*values: Tensor) -> Tensor:
    result = values[0]
    for value in values[1:]:
        result = torch.mul(result, value)
    return result


def _pad(padding: tuple[int, ...], mode: str = "constant", value: float = 0.0) -> Callable[[Tensor], Tensor]:
    return lambda x: F.pad(x, padding, mode, value) if mode == "constant" else F.pad(x, padding, mode)


def naive_layer(name: str, written: Mapping[str, Any], x: Shape) -> nn.Module:
    """The layer for an operation's written fields, for what enters it (without the batch); raises what torch raises."""
    if name in PLAIN:
        return PLAIN[name](**written)
    match name:
        case "conv2d":
            return nn.Conv2d(x[0], **written)
        case "linear":
            return nn.Linear(x[-1], **written)
        case "batch_norm":
            return nn.BatchNorm2d(x[0], **written) if len(x) == 3 else nn.BatchNorm1d(x[0], **written)
        case "group_norm":
            return nn.GroupNorm(num_channels=x[0], **written)
        case "layer_norm":
            return ChannelNorm(x[0], **written) if len(x) == 3 else nn.LayerNorm(x[-1], **written)
        case "blur_pool2d":
            words = {"kernel_size": "filt_size", "mode": "pad_mode"}
            layer: nn.Module = BlurPool2d(x[0], **{words.get(key, key): value for key, value in written.items()})
            return layer
        case "drop_path":
            drop: nn.Module = DropPath(written.get("p", 0.0))
            return drop
        case "pad":
            return Function(_pad(**written))
        case "add":
            return Function(_sum)
        case "multiply":
            return Function(_product)
        case "concat":
            return Function(lambda *values: torch.cat(values, 1))
        case _:
            raise AssertionError(f"no naive layer for {name}: write one")
