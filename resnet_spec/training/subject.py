"""What is trained: a module, and what is known about it without running it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from resnet_spec.diagnostics import DataError, Diagnostic, printable


@dataclass(frozen=True, slots=True)
class Subject:
    """A module that takes images `(N, C, H, W)` of `input` (C, H, W) and returns `(N, outputs)`.

    `spec` is its text and `fingerprint` its hash, both empty for a module that is not from a spec. `memory(batch)` estimates
    the bytes that training takes; it is None where nothing estimates them. `diagram` draws the module as SVG, unless the
    function that it is given returns True meanwhile; it raises ResnetSpecError or OSError if it cannot.
    """

    name: str
    module: nn.Module
    input: tuple[int, int, int]
    outputs: int
    params: int
    macs: int | None = None
    spec: str = ""
    fingerprint: str = ""
    memory: Callable[[int], int] | None = None
    diagram: Callable[[Callable[[], bool]], bytes] | None = None


def subject_of_module(module: nn.Module, input: tuple[int, int, int]) -> Subject:
    """A module that is not from a spec. It is run once, in evaluation mode, to count its outputs. Raises DataError."""
    parameter = next(module.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    training = module.training
    try:
        with torch.no_grad():
            outputs = module.eval()(torch.zeros(1, *input, device=device))
    except (RuntimeError, ValueError) as error:
        size = "x".join(map(str, input))
        message = f"{type(module).__name__} does not run on {size}: {printable(str(error).splitlines()[0])}"
        raise DataError([Diagnostic("data-size", message, None)]) from None
    finally:
        module.train(training)
    if not isinstance(outputs, torch.Tensor) or outputs.ndim != 2:
        raise DataError([Diagnostic("data-classes", "the module does not return one row of numbers for each image", None)])
    count = sum(parameter.numel() for parameter in module.parameters())
    return Subject(type(module).__name__, module, input, outputs.shape[1], count)
