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
    "selu": nn.SELU,
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


class StandardizedConv(nn.Conv2d):
    """A convolution with filters of mean 0 and variance 1, by the formula (Qiao et al. 2019)."""

    def forward(self, x: Tensor) -> Tensor:
        if self.weight[0].numel() == 1:
            raise ValueError("one weight has no variance")
        mean = self.weight.mean((1, 2, 3), keepdim=True)
        variance = ((self.weight - mean) ** 2).mean((1, 2, 3), keepdim=True)
        weight = (self.weight - mean) / torch.sqrt(variance + 1e-6)
        output: Tensor = self._conv_forward(x, weight, self.bias)
        return output


class RowConv(nn.Conv1d):
    """One filter along the channels: a 2-d convolution with a kernel of one column over channels x pixels."""

    def __init__(self, kernel_size: int, padding: int = 0, bias: bool = True) -> None:
        super().__init__(1, 1, kernel_size, padding=padding, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 3:
            raise ValueError("neither a vector nor an image")
        table = x.reshape(x.shape[0], 1, x.shape[1], -1)
        output = F.conv2d(table, self.weight[..., None], self.bias, padding=(int(self.padding[0]), 0))
        return output.reshape(x.shape[0], -1, *x.shape[2:])


class PixelLinear(nn.Linear):
    """A matrix product over the channels of each pixel."""

    def forward(self, x: Tensor) -> Tensor:
        output = torch.einsum("nchw,oc->nohw", x, self.weight)
        return output if self.bias is None else output + self.bias[:, None, None]


class ChannelScale(nn.Module):
    """A factor for each channel."""

    def __init__(self, channels: int, init_value: float = 1.0, tensor_shape: str = "vector") -> None:
        super().__init__()
        if tensor_shape not in ("vector", "map"):
            raise ValueError(tensor_shape)
        self.is_map = tensor_shape == "map"
        self.factor = nn.Parameter(init_value * torch.ones(channels, *(1, 1) if self.is_map else ()))

    def forward(self, x: Tensor) -> Tensor:
        if self.is_map:
            require_image(x)
        return torch.einsum("nc...,c->nc...", x, self.factor.flatten())


def require_image(x: Tensor) -> None:
    """Refuse what is no batch of images; torch would take `(N, C, L)` for one image."""
    if x.ndim != 4:
        raise ValueError(f"no image: {tuple(x.shape)}")


def _resize(
    scale_factor: tuple[int, int] = (0, 0), size: tuple[int, int] = (0, 0), mode: str = "nearest", align_corners: bool = False
) -> Callable[..., Tensor]:
    """To a size; a factor of (0, 0) or a size of (0, 0) is none, and a second value gives its own."""

    def resize(x: Tensor, *other: Tensor) -> Tensor:
        require_image(x)
        if (scale_factor != (0, 0)) + (size != (0, 0)) + len(other) != 1:
            raise ValueError("one of them")
        sides = [n * factor for n, factor in zip(x.shape[2:], scale_factor, strict=True)] if scale_factor != (0, 0) else size
        corners = (align_corners or None) if mode.startswith("nearest") else align_corners
        return F.interpolate(x, size=other[0].shape[2:] if other else tuple(sides), mode=mode, align_corners=corners)

    return resize


def _to_pixels(upscale_factor: int) -> Callable[[Tensor], Tensor]:
    def shuffle(x: Tensor) -> Tensor:
        require_image(x)
        r = upscale_factor
        if x.shape[1] % r**2:
            raise ValueError("the square of the factor does not divide the channels")
        output = x.new_empty(x.shape[0], x.shape[1] // r**2, x.shape[2] * r, x.shape[3] * r)
        for row in range(r):
            for column in range(r):
                output[:, :, row::r, column::r] = x[:, row * r + column :: r**2]
        return output

    return shuffle


def _to_channels(downscale_factor: int) -> Callable[[Tensor], Tensor]:
    def unshuffle(x: Tensor) -> Tensor:
        require_image(x)
        r = downscale_factor
        if x.shape[2] % r or x.shape[3] % r:
            raise ValueError("the factor does not divide the size")
        parts = [x[:, :, row::r, column::r] for row in range(r) for column in range(r)]
        return torch.stack(parts, 2).flatten(1, 2)

    return unshuffle


def _deal(groups: int) -> Callable[[Tensor], Tensor]:
    def shuffle(x: Tensor) -> Tensor:
        require_image(x)
        if x.shape[1] % groups:
            raise ValueError("the groups do not divide the channels")
        each = x.shape[1] // groups
        return x[:, [group * each + place for place in range(each) for group in range(groups)]]

    return shuffle


def _slice(start: int = 0, stop: int = 0) -> Callable[[Tensor], Tensor]:
    def part(x: Tensor) -> Tensor:
        end = stop or x.shape[1]
        if end > x.shape[1] or end <= start:
            raise IndexError("no such channels")
        return x[:, start:end]

    return part


def _distribution(x: Tensor, axis: int) -> Tensor:
    """Softmax by its formula."""
    powers = torch.exp(x - x.max(axis, keepdim=True).values)
    return powers / powers.sum(axis, keepdim=True)


def _softmax(over: str = "channels", groups: int = 1, cardinality: int = 1) -> Callable[[Tensor], Tensor]:
    def softmax(x: Tensor) -> Tensor:
        if (over == "groups") != (groups > 1) or (over != "groups" and cardinality > 1):
            raise ValueError("groups, and nothing over them")
        if over == "channels":
            return _distribution(x, 1)
        if over == "pixels":
            require_image(x)
            return _distribution(x.reshape(*x.shape[:2], -1), 2).reshape(x.shape)
        if over != "groups" or x.shape[1] % (groups * cardinality):
            raise ValueError(over)
        each = x.shape[1] // groups // cardinality
        parts = [  # of the input: cardinality, group, channel
            [x[:, (part * groups + group) * each :][:, :each] for group in range(groups)] for part in range(cardinality)
        ]
        shares = [_distribution(torch.stack(part), 0) for part in parts]
        return torch.cat([shares[part][group] for group in range(groups) for part in range(cardinality)], 1)

    return softmax


def _log_softmax(over: str = "channels") -> Callable[[Tensor], Tensor]:
    if over not in ("channels", "pixels"):
        raise ValueError(over)

    def log_softmax(x: Tensor) -> Tensor:
        if over == "pixels":
            require_image(x)
        rows = x if over == "channels" else x.reshape(x.shape[0], -1, x.shape[2] * x.shape[3]).transpose(1, 2)
        logs = rows - torch.logsumexp(rows, 1, keepdim=True)
        return logs if over == "channels" else logs.transpose(1, 2).reshape(x.shape)

    return log_softmax


def _reduce(name: str, over: str, keepdim: bool = True) -> Callable[[Tensor], Tensor]:
    def reduce(x: Tensor) -> Tensor:
        require_image(x)
        if over not in ("channels", "pixels") or (over == "channels" and not keepdim):
            raise ValueError(over)
        rows = x.transpose(1, 2).transpose(2, 3) if over == "channels" else x.flatten(2)
        if name == "amax":  # equal ones share the gradient
            largest = (rows == rows.detach().max(-1, keepdim=True).values).to(rows.dtype)
            values = (rows * largest).sum(-1) / largest.sum(-1)
        else:
            values = rows.sum(-1) / (rows.shape[-1] if name == "mean" else 1)
        return values[:, None] if over == "channels" else values[..., None, None] if keepdim else values

    return reduce


def _only_images(layer: nn.Module) -> nn.Module:
    """A layer of torch that refuses a batch of rows, `(N, C, L)`, which it would take for one image, and an empty output."""

    def refuse_nothing(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if output.numel() == 0:  # some backends of torch do, others return it
            raise ValueError("nothing is left")

    layer.register_forward_pre_hook(lambda module, inputs: require_image(inputs[0]))
    layer.register_forward_hook(refuse_nothing)
    return layer


def naive_layer(name: str, written: Mapping[str, Any], x: Shape) -> nn.Module:
    """The layer for an operation's written fields, for what enters it (without the batch); raises what torch raises."""
    if name in PLAIN:
        return PLAIN[name](**written)
    match name:
        case "conv2d":
            fields = {key: value for key, value in written.items() if key != "weight_standardization"}
            return (StandardizedConv if written.get("weight_standardization") else nn.Conv2d)(x[0], **fields)
        case "conv_transpose2d":
            layer = nn.ConvTranspose2d(x[0], **written)
            steps = zip(layer.output_padding, layer.stride, layer.dilation, strict=True)
            if any(more >= max(stride, dilation) for more, stride, dilation in steps):
                raise ValueError("torch's backends refuse it, and its meta device does not")
            return _only_images(layer)
        case "conv1d":
            return RowConv(**written)
        case "linear":
            fields = {key: value for key, value in written.items() if key != "over"}
            if written.get("over", "features") == "features":
                return nn.Linear(x[-1], **fields)
            if len(x) != 3 or written["over"] != "channels":
                raise ValueError("no channels")
            return PixelLinear(x[0], **fields)
        case "prelu":
            return nn.PReLU(written.get("num_parameters", 1), written.get("init_value", 0.25))
        case "softplus":
            if written.get("beta") == 0:
                raise ValueError("torch divides by zero")
            return nn.Softplus(**written)
        case "hardtanh":
            if written.get("max_val", 1.0) <= written.get("min_val", -1.0):
                raise ValueError("torch has an assertion here")
            return nn.Hardtanh(**written)
        case "local_response_norm":
            return _only_images(nn.LocalResponseNorm(**written))
        case "instance_norm":
            return _only_images(nn.InstanceNorm2d(x[0], **written))
        case "scale":
            return ChannelScale(x[0], **written)
        case "upsample":
            return Function(_resize(**written))
        case "pixel_shuffle":
            return Function(_to_pixels(**written))
        case "pixel_unshuffle":
            return Function(_to_channels(**written))
        case "channel_shuffle":
            return Function(_deal(**written))
        case "slice":
            return Function(_slice(**written))
        case "softmax":
            return Function(_softmax(**written))
        case "log_softmax":
            return Function(_log_softmax(**written))
        case "mean" | "sum" | "amax":
            return Function(_reduce(name, **written))
        case "batch_norm":
            return nn.BatchNorm2d(x[0], **written) if len(x) == 3 else nn.BatchNorm1d(x[0], **written)
        case "group_norm":
            return nn.GroupNorm(num_channels=x[0], **written)
        case "layer_norm":
            return ChannelNorm(x[0], **written) if len(x) == 3 else nn.LayerNorm(x[-1], **written)
        case "blur_pool2d":
            words = {"kernel_size": "filt_size", "mode": "pad_mode"}
            blur: nn.Module = BlurPool2d(x[0], **{words.get(key, key): value for key, value in written.items()})
            return blur
        case "drop_path":
            drop: nn.Module = DropPath(written.get("p", 0.0))
            return drop
        case "pad":
            return Function(_pad(**written))
        case "add":
            return Function(_sum)
        case "subtract":
            return Function(lambda first, second: torch.add(first, second, alpha=-1))
        case "multiply":
            return Function(_product)
        case "concat":
            return Function(lambda *values: torch.cat(values, 1))
        case _:
            raise AssertionError(f"no naive layer for {name}: write one")
