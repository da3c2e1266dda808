"""Where torch's layers fail in channels_last on CPUs, so that a run keeps the plain layout there.

`python -m tests.training.layouts` trains every operation in both layouts, and prints which of them crash or differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

_KNOWN = ("torch.nn.", "resnet_spec.")  # where all layers that call a group norm are `nn.GroupNorm`
_GROUP_NORMS = (torch.nn.functional.group_norm, torch.group_norm)


def reason_against_channels_last(module: nn.Module, input: tuple[int, int, int]) -> str | None:
    """Why a module cannot be trained in channels_last on a CPU; None where it can.

    Which parameters are trained is taken from the module. `input` is the size (C, H, W) of an image.
    """
    layers = list(module.modules())
    if any(map(_is_small_strided_convolution, layers)):
        return "torch's 1x1 convolutions with a stride and few channels corrupt memory in it"
    if _crashes_in_group_norm(module, input):
        return "torch's group norm crashes in it where its input needs no gradient"
    return None


def _is_small_strided_convolution(layer: nn.Module) -> bool:
    """Whether the backward pass of a layer corrupts memory on CPUs in channels_last (oneDNN issue 6035).

    That of 1x1 convolutions with a stride does where they have fewer channels than a vector register has numbers: 16, or 8 on
    older CPUs.
    """
    return (
        isinstance(layer, nn.Conv2d)
        and layer.kernel_size == (1, 1)
        and max(layer.stride) > 1
        and layer.in_channels // layer.groups < 16
    )


class _GroupNorms(TorchFunctionMode):
    """Records whether a group norm that has a gradient gets an input that needs none."""

    def __init__(self) -> None:
        super().__init__()
        self.crash = False

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        arguments = dict(kwargs or {})
        output = func(*args, **arguments)
        if func in _GROUP_NORMS and isinstance(output, Tensor):
            x = args[0] if args else arguments["input"]
            self.crash |= output.requires_grad and not x.requires_grad
        return output


def _crashes_in_group_norm(module: nn.Module, input: tuple[int, int, int]) -> bool:
    """Whether a group norm with trained parameters gets an input that needs no gradient.

    Its backward pass then ends the process with a segmentation fault. The module is run on tensors without data, unless its
    layers show that there is no group norm; one that cannot be run is taken to crash where it has one.
    """
    has_group_norm = any(isinstance(layer, nn.GroupNorm) for layer in module.modules())
    if not has_group_norm and all(type(layer).__module__.startswith(_KNOWN) for layer in module.modules()):
        return False
    tensors: dict[str, Tensor] = {
        name: torch.empty_like(each, device="meta", requires_grad=each.requires_grad)
        for name, each in (*module.named_parameters(), *module.named_buffers())
    }
    norms = _GroupNorms()
    training = {layer: layer.training for layer in module.modules()}
    try:
        with norms:
            functional_call(module.train(), tensors, (torch.empty(2, *input, device="meta"),), strict=True)
    except (RuntimeError, ValueError, TypeError, NotImplementedError):
        return has_group_norm
    finally:
        for layer, mode in training.items():
            layer.training = mode
    return norms.crash
