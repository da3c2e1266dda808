"""The device of a run: which one, and how much of its memory is free."""

from __future__ import annotations

import torch

from resnet_spec._system.machine import available_memory
from resnet_spec.diagnostics import ArgumentError, Diagnostic, printable
from resnet_spec.training.world import processes_here

DEVICES = ("cpu", "cuda", "mps")


def find_device(name: str) -> torch.device:
    """The device of a name; `auto` takes a GPU where there is one. Raises ArgumentError where there is no such device."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    help = "`--device auto` takes a GPU where there is one"
    if name.partition(":")[0] not in DEVICES:
        message = f"there is no kind of device called `{printable(name)}`; there are {', '.join(DEVICES)}"
        raise ArgumentError([Diagnostic("missing-device", message, None, help=help)])
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        message = f"this machine has no device `{printable(name)}`: {str(error).splitlines()[0]}"
        raise ArgumentError([Diagnostic("missing-device", message, None, help=help)]) from None
    return device


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free on a device for this process; None where that is not known."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = available_memory() if device.type == "cpu" else None
    return None if free is None else free // processes_here()
