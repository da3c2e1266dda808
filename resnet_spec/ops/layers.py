"""The layers that torch does not have, and layers of torch with uninitialized weights.

This is the one module of `ops` that imports torch. The layer factories of the operations import it when they are called.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
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
    """The product of values of equal shape, or of `(N, C, H, W)` with a gate of `(N, C, 1, 1)` or `(N, 1, H, W)`."""

    def forward(self, first: Tensor, *rest: Tensor) -> Tensor:
        for value in rest:
            first = first * value
        return first


class Subtract(nn.Module):
    """The first value minus the second, of equal shape."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return first - second


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
        value = self.value if self.mode == "constant" else None
        return F.pad(x, self.padding, self.mode, value)

    def extra_repr(self) -> str:
        mode = f", mode={self.mode}" if self.mode != "constant" else ""
        return f"{self.padding}{mode}"


class Slice(nn.Module):
    """The channels `start` to before `stop` of `(N, C, ...)`, a view; None is the end.

    It refuses channels that are not there.
    """

    def __init__(self, start: int, stop: int | None) -> None:
        super().__init__()
        self.start, self.stop = start, stop

    def forward(self, x: Tensor) -> Tensor:
        stop = x.shape[1] if self.stop is None else self.stop
        return x.narrow(1, self.start, stop - self.start)

    def extra_repr(self) -> str:
        return f"{self.start}:{'' if self.stop is None else self.stop}"


class UpsampleLike(nn.Module):
    """The first value `(N, C, H, W)`, resized to the height and width of the second."""

    def __init__(self, mode: str, align_corners: bool | None) -> None:
        super().__init__()
        self.mode, self.align_corners = mode, align_corners

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        size, corners = other.shape[2:], self.align_corners
        return F.interpolate(x, size, mode=self.mode, align_corners=corners)

    def extra_repr(self) -> str:
        corners = ", align_corners=True" if self.align_corners else ""
        return f"mode={self.mode}{corners}"


class Reduction(nn.Module):
    """The mean, sum or largest value of `(N, C, H, W)`.

    Over the channels it is `(N, 1, H, W)`; over the pixels `(N, C, 1, 1)`, or `(N, C)`
    without `keepdim`.
    """

    def __init__(self, name: str, over: str, keepdim: bool) -> None:
        super().__init__()
        self.name, self.over, self.keepdim = name, over, keepdim
        self.axes = [1] if over == "channels" else [2, 3]

    def forward(self, x: Tensor) -> Tensor:
        match self.name:
            case "mean":
                return x.mean(self.axes, self.keepdim)
            case "sum":
                return x.sum(self.axes, self.keepdim)
        return x.amax(self.axes, self.keepdim)

    def extra_repr(self) -> str:
        keepdim = "" if self.keepdim else ", keepdim=False"
        return f"{self.name} over {self.over}{keepdim}"


class PixelSoftmax(nn.Module):
    """Softmax over the pixels of each channel of `(N, C, H, W)`."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).softmax(2).view(x.shape)


class PixelLogSoftmax(nn.Module):
    """Logarithm of the softmax over the pixels of each channel of `(N, C, H, W)`."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).log_softmax(2).view(x.shape)


class GroupSoftmax(nn.Module):
    """Softmax across groups of channels, for each channel of a group.

    Zhang et al. 2020, ResNeSt; `RadixSoftmax` of timm. The channels of `(N, C, ...)` are
    ordered by cardinality, group, channel when they enter, and by group, cardinality,
    channel when they leave.
    """

    def __init__(self, groups: int, cardinality: int) -> None:
        super().__init__()
        self.groups, self.cardinality = groups, cardinality

    def forward(self, x: Tensor) -> Tensor:
        parts = x.reshape(x.shape[0], self.cardinality, self.groups, -1)
        return parts.transpose(1, 2).softmax(1).reshape(x.shape)

    def extra_repr(self) -> str:
        return f"groups={self.groups}, cardinality={self.cardinality}"


class Scale(nn.Module):
    """`function` of a value and a learned factor, as a module of its own. In a network the factor is a parameter of the module
    around."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], shape: tuple[int, ...], init_value: float) -> None:
        super().__init__()
        self.function = function
        self.factor = nn.Parameter(torch.full(shape, init_value))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.factor)


def scale_channels(x: Tensor, factor: Tensor) -> Tensor:
    """Each channel of `(N, C, H, W)` times its number in `factor`, (C,)."""
    return x * factor.view(-1, 1, 1)


def scale_rows(x: Tensor, factor: Tensor) -> Tensor:
    """Each channel of `(N, C, F)` times its number in `factor`, (C,)."""
    return x * factor.view(-1, 1)


def scale_values(x: Tensor, factor: Tensor) -> Tensor:
    """`(N, C, H, W)` times a factor of (C, 1, 1), or `(N, F)` times one of (F,)."""
    return x * factor


class StandardizedConv2d(nn.Conv2d):
    """A convolution whose filters are normalized to mean 0 and variance 1.

    Qiao et al. 2019; `StdConv2d` of timm.
    """

    eps = 1e-6

    def forward(self, x: Tensor) -> Tensor:
        filters = self.weight.reshape(1, self.out_channels, -1)
        filters = F.batch_norm(filters, None, None, None, None, True, 0.0, self.eps)
        weight = filters.reshape_as(self.weight)
        output: Tensor = self._conv_forward(x, weight, self.bias)
        return output


class ChannelConv1d(nn.Conv1d):
    """A convolution along the channels of `(N, C)`, or of the pixels of `(N, C, H, W)`."""

    def __init__(self, kernel_size: int, padding: int, bias: bool) -> None:
        super().__init__(1, 1, kernel_size, padding=padding, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 2:
            return super().forward(x[:, None])[:, 0]
        count, channels, height, width = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(count * height * width, 1, channels)
        rows = super().forward(rows)
        return rows.view(count, height, width, -1).permute(0, 3, 1, 2)


class ChannelLinear(nn.Linear):
    """A linear layer over the channels of each pixel of `(N, C, H, W)`."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class LayerNorm2d(nn.LayerNorm):
    """LayerNorm over the channels of `(N, C, H, W)`."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        return super().forward(x).permute(0, 3, 1, 2)


class DropPath(nn.Module):
    """Stochastic depth (Huang et al. 2016).

    In training, an image is zero with probability `p`, and else times 1 / (1 - p).
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if self.p == 0.0 or not self.training:
            return x
        keep = 1 - self.p
        shape = (x.shape[0],) + (1,) * (x.ndim - 1)
        mask = x.new_empty(shape).bernoulli_(keep)
        if keep > 0.0:
            mask.div_(keep)
        return x * mask

    def extra_repr(self) -> str:
        return f"p={self.p}"


class BlurPool2d(nn.Module):
    """A binomial filter on each channel, then the stride (Zhang 2019)."""

    filt: Tensor

    def __init__(
        self,
        channels: int,
        kernel_size: int = 3,
        stride: int = 2,
        mode: str = "reflect",
    ) -> None:
        super().__init__()
        self.channels, self.kernel_size = channels, kernel_size
        self.stride, self.mode = stride, mode
        self.pad = (stride - 1 + kernel_size - 1) // 2
        last = kernel_size - 1
        row = torch.tensor([math.comb(last, i) / 2**last for i in range(kernel_size)])
        kernel = (row[:, None] * row[None, :])[None, None]
        self.register_buffer("filt", kernel.repeat(channels, 1, 1, 1), persistent=False)

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
