"""`.py`: a network as plain PyTorch source, which needs torch alone, and its weights as a file of torch."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from resnet_spec.diagnostics import ArgumentError, Diagnostic, SpecError, printable
from resnet_spec.outputs.exporting.model import Exportable, Runner, Written
from resnet_spec.outputs.exporting.verify import compare
from resnet_spec.outputs.python_check import LARGEST, SourceDiffers, load_source, verify_source
from resnet_spec.outputs.python_source import python_source


def write(exportable: Exportable, path: Path) -> Written:
    """Write the source of a network, and `NAME.pth` with its weights unless they are those of a seed.

    The source is run: its keys, initial weights, outputs and gradients must be those of the module, bit by bit.

    Raises:
        SpecError: the source is another network.
        ArgumentError: a file of this name would hide a module that it imports.
        OSError: a file cannot be written.
    """
    if path.stem in (*sys.stdlib_module_names, "torch"):
        message = f"a file called {printable(path.name)} hides the module `{path.stem}` of Python from whatever is next to it"
        raise ArgumentError([Diagnostic("export-option", message, None, help="choose another name")])
    text = python_source(exportable.analysis)
    try:
        verify_source(text, exportable.analysis)
    except SourceDiffers as error:
        message = f"{printable(path.name)} is another network: {printable(str(error))}"
        notes = (f"the first name that differs is {printable(error.place)}",) if error.place else ()
        help = "no file was written; another format may do, and a report of this helps"
        raise SpecError([Diagnostic("export-differs", message, None, notes=notes, help=help)]) from None
    path.write_text(text, encoding="utf-8")
    note = "the source has the keys, initial weights, outputs and gradients of the module, bit by bit"
    if exportable.analysis.total.params > LARGEST:
        note = (
            f"the source has the keys and shapes of the module; of more than {LARGEST:,} parameters no gradients are compared"
        )
    if not exportable.trained:
        return Written((path,), (), (note,))
    weights = path.with_suffix(".pth")
    archive = io.BytesIO()  # in memory: where torch writes a file and the disk is full, it ends the process
    torch.save(exportable.module.state_dict(), archive)
    weights.write_bytes(archive.getbuffer())
    with load_source(path.read_text(encoding="utf-8")) as source:
        module = cast(nn.Module, source.build(weights=weights)).eval()
        checks = compare(replace(exportable, tolerance=0.0), _run(exportable, module), path.name, _convert)
    return Written((path, weights), checks, (note, f"the weights are in {weights.name}: `build(weights={weights.name!r})`"))


def _run(exportable: Exportable, module: nn.Module) -> Runner:
    def run(x: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            return exportable.name_outputs(module(x))

    return run


def _convert(exportable: Exportable) -> Runner:
    raise NotImplementedError("a module that is not of a graph has no source")
