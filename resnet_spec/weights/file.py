"""Safetensors files: reading their tensors and metadata, and writing them so that equal weights give equal bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from resnet_spec._system.files import require_regular, write_atomically
from resnet_spec._system.packages import require_packages
from resnet_spec.diagnostics import ArgumentError, Diagnostic, WeightsError, printable
from resnet_spec.weights.metadata import WeightsFacts, facts_from_metadata, facts_to_metadata


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors of a file, memory-mapped, and its metadata. Raises ArgumentError if it cannot be read."""
    with _open(path) as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118


def read_facts(path: Path) -> WeightsFacts:
    """Read the facts about its weights in a file that `train` wrote.

    Raises ArgumentError if the file cannot be read, WeightsError if the facts are missing or malformed.
    """
    with _open(path) as file:
        metadata = file.metadata() or {}
    try:
        return facts_from_metadata(metadata, path.stem)
    except (KeyError, ValueError, TypeError, OverflowError, RecursionError):
        shown = printable(str(path))
        message = f"{shown} does not contain its classes and how images are prepared"
        help = (
            "use a file that `train` wrote, best.safetensors or last.safetensors in the folder of a run; or name the spec: "
            f"`eval SPEC --weights {shown}`, `predict SPEC --weights {shown} IMAGE`"
        )
        raise WeightsError([Diagnostic("weights-without-facts", message, None, help=help)]) from None


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    """Open a file with safetensors, which has no type annotations. Raises ArgumentError, also for errors inside the `with`."""
    require_packages("reading weights", "safetensors")
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(require_regular(path), framework="pt") as file:
            yield file
    except (SafetensorError, OSError, ValueError) as error:  # ValueError: an impossible path
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        message = f"cannot read weights from {printable(str(path))}: {printable(why)}"
        notes: tuple[str, ...] = ()
        if isinstance(error, SafetensorError):
            message = f"{printable(str(path))} is neither safetensors nor a file of torch.save, or it is damaged"
            notes = (f"safetensors reports: {printable(why)}",)
        help = "" if isinstance(error, OSError) else "name a file of weights"
        raise ArgumentError([Diagnostic("unreadable-file", message, None, help=help, notes=notes)]) from None


def write_weights(path: Path, module: nn.Module, facts: WeightsFacts) -> None:
    """Write the weights of `module` with `facts`. Raises OSError, and then leaves an existing file as it was."""
    save_weights(path, module, facts_to_metadata(facts), durable=True)


def save_weights(path: Path, module: nn.Module, metadata: Mapping[str, str], durable: bool = False) -> int:
    """Write the weights of `module` with `metadata`; returns the size in bytes. Raises OSError as `write_weights` does."""
    require_packages("writing weights", "safetensors")
    from safetensors.torch import save

    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in module.state_dict().items()}
    data = sort_metadata(save(tensors, dict(metadata)))
    write_atomically(path, data, durable)
    return len(data)


def sort_metadata(data: bytes) -> bytes:
    """Sort the metadata in the bytes of a safetensors file by key; the library writes them in random order."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    ordered = {"__metadata__": dict(sorted(metadata.items())), **header}
    text = json.dumps(ordered, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]
