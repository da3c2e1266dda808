"""The layers that torch does not have, and layers of torch with uninitialized weights.

This is the one module of `ops` that imports torch. The layer factories of the operations import it when they are called.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class Add(nn.Module):
    """The sum of values of equal shape. `inplace` overwrites the last of them, as in `out += identity`."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, first: Tensor, *rest: Tensor) -> Tensor:
        if self.inplace:
            (last,) = rest
            last += first
            return last
        for value in rest:
            first = first + value
        return first


class Multiply(nn.Module):
    """The product of values of equal shape, or of `(N, C, H, W)` with a gate of `(N, C, 1, 1)`."""

    def forward(self, first: Tensor, *rest: Tensor) -> Tensor:
        for value in rest:
            first = first * value
        return first


class Concat(nn.Module):
    """Concatenation along the channels."""

    def forward(self, *values: Tensor) -> Tensor:
        return torch.cat(values, dim=1)


class Pad(nn.Module):
    """`torch.nn.functional.pad` as a layer."""

    def __init__(self, padding: tuple[int, ...], mode: str, value: float) -> None:
        super().__init__()
        self.padding, self.mode, self.value = padding, mode, value

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, self.padding, self.mode, self.value if self.mode == "constant" else None)

    def extra_repr(self) -> str:
        return f"{self.padding}" + (f", mode={self.mode}" if self.mode != "constant" else "")


class LayerNorm2d(nn.LayerNorm):
    """LayerNorm over the channels of `(N, C, H, W)`."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        return super().forward(x).permute(0, 3, 1, 2)


class DropPath(nn.Module):
    """Stochastic depth (Huang et al. 2016): in training an image is zero with probability `p`, else times 1 / (1 - p)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if self.p == 0.0 or not self.training:
            return x
        keep = 1 - self.p
        mask = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(keep)
        if keep > 0.0:
            mask.div_(keep)
        return x * mask

    def extra_repr(self) -> str:
        return f"p={self.p}"


class BlurPool2d(nn.Module):
    """A binomial filter on each channel, then the stride (Zhang 2019)."""

    filt: Tensor

    def __init__(self, channels: int, kernel_size: int, stride: int, mode: str) -> None:
        super().__init__()
        self.channels, self.kernel_size, self.stride, self.mode = channels, kernel_size, stride, mode
        self.pad = (stride - 1 + kernel_size - 1) // 2
        row = torch.tensor([math.comb(kernel_size - 1, i) / 2 ** (kernel_size - 1) for i in range(kernel_size)])
        self.register_buffer("filt", (row[:, None] * row[None, :])[None, None].repeat(channels, 1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (self.pad,) * 4, mode=self.mode)
        return F.conv2d(x, self.filt, stride=self.stride, groups=self.channels)

    def extra_repr(self) -> str:
        return f"{self.channels}, kernel_size={self.kernel_size}, stride={self.stride}"


def make_uninitialized(kind: type[nn.Module], arguments: Mapping[str, Any]) -> nn.Module:
    """Make a layer of torch with uninitialized weight and bias, which the caller initializes or loads."""
    layer: nn.Module = _without_reset(kind)(**arguments)
    layer.__class__ = kind
    return layer


def _without_reset(kind: type[nn.Module]) -> type[nn.Module]:
    """A subclass whose constructor does not initialize its parameters."""
    if kind not in _WITHOUT_RESET:
        _WITHOUT_RESET[kind] = type(kind.__name__, (kind,), {"reset_parameters": lambda self: None})
    return _WITHOUT_RESET[kind]


_WITHOUT_RESET: dict[type[nn.Module], type[nn.Module]] = {}
