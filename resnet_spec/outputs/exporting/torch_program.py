"""`.pt2`: a program of torch.export, which runs wherever torch is, without this package."""

from __future__ import annotations

import io
import json
from pathlib import Path

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from resnet_spec.outputs.exporting.model import Exportable, Runner, Written, run_quietly
from resnet_spec.outputs.exporting.verify import TRACED, compare, name_refusals

METADATA = "resnet_spec.json"  # the extra file in the archive


def write(exportable: Exportable, path: Path) -> Written:
    """Write a network as a program of torch.export, load it, and compare it with the module.

    Raises:
        SpecError: a layer cannot be exported, or the file computes something else.
        OSError: the file cannot be written.
    """

    def convert(each: Exportable) -> Runner:
        return _run(each, _convert(each))

    with name_refusals(exportable, path.name, convert):
        program = _convert(exportable)
    # In memory: where torch writes a file and the disk is full, it ends the process.
    archive = io.BytesIO()
    with run_quietly():
        torch.export.save(program, archive, extra_files={METADATA: json.dumps(dict(exportable.metadata), ensure_ascii=False)})
    path.write_bytes(archive.getbuffer())
    del archive
    with run_quietly():
        loaded = torch.export.load(path)
    return Written((path,), compare(exportable, _run(exportable, loaded), path.name, convert))


def _convert(exportable: Exportable) -> ExportedProgram:
    x = exportable.draw_images(TRACED, exportable.size)
    axes = {axis: Dim("batch") if axis == 0 else Dim.DYNAMIC for axis in exportable.axes()}
    with run_quietly(), torch.no_grad():
        program = torch.export.export(exportable.module, (x,), dynamic_shapes=(axes,))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it names files of this machine
    return program


def _run(exportable: Exportable, program: ExportedProgram) -> Runner:
    module = program.module()

    def run(x: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            return exportable.name_outputs(module(x))

    return run
