"""`.safetensors`: the weights of a network alone, with their facts."""

from __future__ import annotations

from pathlib import Path

import torch

from resnet_spec.diagnostics import Diagnostic, SpecError, printable
from resnet_spec.outputs.exporting.model import Exportable, Port, Written
from resnet_spec.weights.file import read_weights, save_weights


def write(exportable: Exportable, path: Path) -> Written:
    """Write the weights of a network, read them back, and compare every bit.

    Raises:
        SpecError: what is read is not what was written.
        OSError: the file cannot be written.
    """
    network = exportable.module.network if isinstance(exportable.module, Port) else exportable.module
    assert isinstance(network, torch.nn.Module)
    save_weights(path, network, exportable.metadata)
    found, metadata = read_weights(path)
    wanted = network.state_dict()
    wrong = [key for key in {**wanted, **found} if key not in wanted or key not in found or not _equal(wanted[key], found[key])]
    if wrong or metadata != dict(exportable.metadata):
        what = f"`{printable(wrong[0])}`" if wrong else "the metadata"
        message = f"{printable(path.name)} does not hold what was written: {what} differs"
        raise SpecError([Diagnostic("export-differs", message, None, help="no file was written; check the disk")])
    return Written((path,), (), (f"each of {len(found):,} tensors was read back bit by bit",))


def _equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether two tensors have equal types, shapes and bits."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return torch.equal(a.contiguous().reshape(-1).view(torch.uint8), b.contiguous().reshape(-1).view(torch.uint8))
