"""Activation checkpointing in segments: a network keeps less for the backward pass, and computes it a second time.

Values and gradients are the same, and statistics of norms are updated once, as without segments. About the square root of the
number of layers is the number of segments that keeps the least (Chen et al. 2016).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import pairwise

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def layers_in_order(module: nn.Module) -> list[nn.Module]:
    """The modules that `module` runs one after the other, nested sequences flattened; itself where it is not a sequence.

    A sequence is an `nn.Sequential`, a module with a true attribute `_runs_in_order`, or one with the names of its sequence in
    `_sequence`.
    """
    if sequence := getattr(module, "_sequence", ()):
        return [layer for name in sequence for layer in layers_in_order(module.get_submodule(name))]
    plain = isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward
    if not plain and not getattr(module, "_runs_in_order", False):
        return [module]
    children = [child for child in module._modules.values() if child is not None]  # `children()` yields a shared one once
    return [layer for child in children for layer in layers_in_order(child)]


class Segmented(nn.Module):
    """`module`, run in `segments` parts (-1: about the square root of the number of its layers).

    Raises ValueError where the module is not a sequence that could be cut.
    """

    def __init__(self, module: nn.Module, segments: int) -> None:
        super().__init__()
        self.module = module
        layers = layers_in_order(module)
        if len(layers) < 2:
            raise ValueError("its forward is not a sequence of its children, so it cannot be cut into segments")
        count = round(math.sqrt(len(layers))) if segments < 0 else min(segments, len(layers))
        bounds = [len(layers) * number // count for number in range(count + 1)]
        self._parts = tuple(tuple(layers[start:stop]) for start, stop in pairwise(bounds))  # a tuple does not register them

    def forward(self, x: Tensor) -> Tensor:
        for part in self._parts[:-1]:
            x = _checkpointed(part, x)
        return _run(self._parts[-1], x)  # its backward pass comes first, so its values are kept


def _run(layers: tuple[nn.Module, ...], x: Tensor) -> Tensor:
    for layer in layers:
        x = layer(x)
    return x


def _run_on_copy(layers: tuple[nn.Module, ...], x: Tensor) -> Tensor:
    """Run a segment without changing its input, from which it is run a second time."""
    if any(getattr(part, "inplace", False) for part in layers[0].modules()):
        x = x.clone()
    return _run(layers, x)


def _checkpointed(layers: tuple[nn.Module, ...], x: Tensor) -> Tensor:
    contexts: Callable[[], tuple[AbstractContextManager[None], AbstractContextManager[None]]]
    contexts = lambda: (nullcontext(), _statistics_kept(layers))  # noqa: E731
    found = checkpoint(_run_on_copy, layers, x, use_reentrant=False, context_fn=contexts)
    assert isinstance(found, Tensor)
    return found


@contextmanager
def _statistics_kept(layers: tuple[nn.Module, ...]) -> Iterator[None]:
    """Leave running statistics as they are: the first pass has updated them."""
    norms = [m for layer in layers for m in layer.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
    tracked = [norm for norm in norms if norm.training and norm.track_running_stats]
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in tracked]
    for norm, _, count in before:
        norm.momentum = 0.0  # the new statistic is (1 - 0) times the old one
        norm.num_batches_tracked = None if count is None else count.clone()
    try:
        yield
    finally:
        for norm, momentum, count in before:
            norm.momentum = momentum
            norm.num_batches_tracked = count
