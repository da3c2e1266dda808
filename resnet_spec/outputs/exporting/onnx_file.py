"""ONNX: a file for onnxruntime and other engines, made by the dynamo exporter of torch."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resnet_spec.diagnostics import ArgumentError, Diagnostic, SpecError, printable
from resnet_spec.outputs.exporting.model import Exportable, Runner, Written, run_quietly
from resnet_spec.outputs.exporting.verify import TRACED, compare, first_line, name_refusals

MOST_BYTES = (1 << 31) - (64 << 20)  # of the tensors in one file: protobuf ends at 2 GB, and the graph needs some of them
LEAST_OPSET, MOST_OPSET = 18, 23  # those that the exporter of torch writes
# What the exporter notes of each node; the rest names files of the machine that it ran on.
_KEPT = ("namespace", "pkg.torch.onnx.name_scopes")


def write(exportable: Exportable, path: Path) -> Written:
    """Write a network as ONNX, check the file, and compare it with the module in onnxruntime.

    Weights of more than 2 GB are in a second file next to it, which a note says.

    Raises:
        SpecError: a layer cannot be exported, or the file computes something else.
        ArgumentError: the exporter does not write that opset.
        OSError: a file cannot be written.
    """
    opset = exportable.opset
    if opset is not None and not LEAST_OPSET <= opset <= MOST_OPSET:
        message = f"ONNX is written with opset {LEAST_OPSET} to {MOST_OPSET}, not {opset}"
        help = f"engines read older files than they know: `--opset {min(max(opset, LEAST_OPSET), MOST_OPSET)}`"
        raise ArgumentError([Diagnostic("export-option", message, None, help=help)])

    def convert(each: Exportable) -> Runner:
        return _start(each, _to_bytes(_convert(each)))

    with name_refusals(exportable, path.name, convert):
        program = _convert(exportable)
    if opset is not None and program.model.opset_imports.get("") != opset:
        message = (
            f"the network cannot be written with opset {opset}: the exporter's converter of versions does not know one of it"
        )
        help = f"without `--opset` it is opset {program.model.opset_imports.get('')}"
        raise ArgumentError([Diagnostic("export-option", message, None, help=help)])
    program.model.metadata_props.update(exportable.metadata)
    size = sum(tensor.nbytes for tensor in exportable.module.state_dict().values())
    outside = size > MOST_BYTES
    with run_quietly():
        program.save(path, external_data=outside)
    data = path.with_name(f"{path.name}.data")
    _check(path)
    with name_refusals(exportable, path.name, convert):
        run = _start(exportable, path)
    checks = compare(exportable, run, path.name, convert)
    notes: tuple[str, ...] = ()
    if outside:
        notes = (f"the weights, {size:,} bytes, are in {data.name}: an ONNX file cannot exceed 2 GB; keep both together",)
    return Written((path, data) if outside else (path,), checks, notes)


def _convert(exportable: Exportable) -> Any:
    """An ONNXProgram of torch."""
    x = exportable.draw_images(TRACED, exportable.size)
    with run_quietly():
        program = torch.onnx.export(
            exportable.module,
            (x,),
            opset_version=exportable.opset,
            dynamic_shapes=(exportable.axes(),),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    _name_values(program.model.graph, exportable)
    for graph in (program.model.graph, *(function.graph for function in program.model.functions.values())):
        for item in (*graph, *graph.inputs, *graph.outputs, *graph.initializers.values()):
            for key in [key for key in item.metadata_props if key not in _KEPT]:
                del item.metadata_props[key]
    return program


def _name_values(graph: Any, exportable: Exportable) -> None:
    """Give input and outputs their names, and other ones to the values inside that have these: the exporter names them by their
    operations, such as `relu`, and does not notice that an output is called so."""
    named = {**dict(zip(graph.outputs, exportable.output_names, strict=True)), graph.inputs[0]: exportable.input_name}
    inside = [value for node in graph for value in node.outputs if value not in named]
    inside += [value for value in graph.initializers.values() if value not in named]
    taken = set(named.values()) | {value.name for value in inside}
    for value in inside:
        if value.name in named.values():
            value.name = next(name for number in count(1) if (name := f"{value.name}_{number}") not in taken)
            taken.add(value.name)
    for value, name in named.items():
        value.name = name


def _to_bytes(program: Any) -> bytes:
    data: bytes = program.model_proto.SerializeToString()
    return data


def _check(path: Path) -> None:
    """Raise SpecError unless onnx accepts a file."""
    import onnx

    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        message = f"{printable(path.name)} is not valid ONNX: {printable(first_line(error))}"
        help = "no file was written; a report of this helps"
        raise SpecError([Diagnostic("export-differs", message, None, help=help)]) from None


def _start(exportable: Exportable, model: Path | bytes) -> Runner:
    """A function that runs a model in onnxruntime. Raises RuntimeError if it does not start."""
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    errors: tuple[type[Exception], ...] = (
        *(state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf, state.NotImplemented),
        *(state.RuntimeException, state.NoModel, state.EngineError),
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    source = model if isinstance(model, bytes) else str(model)
    try:
        session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except errors as error:
        raise RuntimeError(f"onnxruntime: {error}") from None
    names = list(exportable.output_names)

    def run(x: Tensor) -> dict[str, Tensor]:
        try:
            found = session.run(names, {exportable.input_name: x.numpy()})
        except errors as error:
            raise RuntimeError(str(error)) from None
        return {name: torch.from_numpy(value) for name, value in zip(names, found, strict=True)}

    return run
