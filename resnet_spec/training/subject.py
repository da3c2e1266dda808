"""What is trained: a module, and what is known about it without running it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from resnet_spec.diagnostics import DataError, Diagnostic, printable
from resnet_spec.training.outputs import main_output


@dataclass(frozen=True, slots=True)
class Subject:
    """A module that takes images `(N, C, H, W)` of `input` (C, H, W) and returns `(N, outputs)`, or a dict of tensors, of which
    `logits` or the first one is that. `named_outputs` are the shapes in such a dict, without the batch.

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
    named_outputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


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
    named = outputs if isinstance(outputs, dict) else {}
    main = main_output(outputs) if named else outputs
    if not isinstance(main, torch.Tensor) or main.ndim != 2:
        raise DataError([Diagnostic("data-classes", "the module does not return one row of numbers for each image", None)])
    count = sum(parameter.numel() for parameter in module.parameters())
    shapes = {name: tuple(each.shape[1:]) for name, each in named.items()}
    return Subject(type(module).__name__, module, input, main.shape[1], count, named_outputs=shapes)
