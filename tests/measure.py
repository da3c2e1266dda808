"""What a real torch module says of itself: the oracle for everything that is computed without torch.

Nothing here knows the compiler. Shapes come from forward hooks, counts from the tensors a module owns, and multiply-adds from
the shapes of weights and outputs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

REFUSALS = (RuntimeError, ValueError, IndexError)  # how torch says no to a geometry


@dataclass(frozen=True)
class Measured:
    """A module that was run: the shape that left it (without the batch), what it owns, and what it multiplied for one image."""

    output: tuple[int, ...]
    params: int
    buffers: int
    macs: int
    convs: int
    linears: int
    layers: dict[str, tuple[int, ...]]  # by dotted name, without the batch


def owned(module: nn.Module) -> tuple[int, int]:
    """Numbers in parameters, and in buffers that have a key in the `state_dict`."""
    parameters = dict(module.named_parameters())
    stored = module.state_dict()
    return sum(p.numel() for p in parameters.values()), sum(t.numel() for k, t in stored.items() if k not in parameters)


def main(output: Tensor | dict[str, Tensor]) -> Tensor:
    """The only output of a module, or the first of several."""
    return output if isinstance(output, Tensor) else next(iter(output.values()))


def measure(module: nn.Module, size: tuple[int, ...], batch: int = 2, device: str = "meta") -> Measured:
    """Run `module` on an empty batch of `size` and write down what it did. The module is left in the mode it was in."""
    layers: dict[str, tuple[int, ...]] = {}
    macs = 0

    def watch(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(layer: nn.Module, args: Any, output: Any) -> None:
            nonlocal macs
            layers[name] = tuple(main(output).shape[1:])
            if isinstance(
                layer, (nn.Conv2d, nn.Conv1d, nn.Linear)
            ):  # each number that leaves is one dot product with one filter
                macs += output[0].numel() * layer.weight[0].numel()
            if isinstance(layer, nn.ConvTranspose2d):  # each number that enters is multiplied by one filter
                macs += args[0][0].numel() * layer.weight[0].numel()

        return hook

    hooks = [layer.register_forward_hook(watch(name)) for name, layer in module.named_modules()]
    try:
        with torch.no_grad():
            output = main(module(torch.empty((batch, *size), device=device)))
    finally:
        for handle in hooks:
            handle.remove()
    params, buffers = owned(module)
    kinds = [type(layer) for layer in module.modules()]
    convs, linears = kinds.count(nn.Conv2d), kinds.count(nn.Linear)
    return Measured(tuple(output.shape[1:]), params, buffers, macs, convs, linears, layers)


class CountOperators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the ATen operators that run inside it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts[str(func)] += 1
        return func(*args, **(kwargs or {}))
