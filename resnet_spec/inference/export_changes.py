"""What an export changes of a network, and by how much that changes its outputs: folded batch norm, and another precision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from resnet_spec import compiler
from resnet_spec.compiler import Analysis, ImageSize, Target
from resnet_spec.diagnostics import Diagnostic, Source, SpecError, WeightsError, printable
from resnet_spec.diagnostics.text import count_text, quote_first
from resnet_spec.graph.model import Graph, Node
from resnet_spec.graph.prune import prune
from resnet_spec.outputs.exporting.formats import Dtype
from resnet_spec.outputs.exporting.model import DTYPES, Exportable, Port
from resnet_spec.outputs.exporting.verify import amount, measure
from resnet_spec.outputs.folding import Folded
from resnet_spec.outputs.torch_module import Network, build_module, take_part

# How far the outputs of a file may be from those of the module, as a fraction of the largest output value.
TOLERANCES: Mapping[Dtype, float] = {"fp32": 1e-4, "fp16": 1e-2, "bf16": 3e-2}


def fold_network(network: Network, folded: Folded, text: str, input: ImageSize) -> tuple[Analysis, Network]:
    """The network without the norms that are folded, from its own spec, whose `text` is given, for images of `input`."""
    analysis = compiler.analyze(Target(Source("the folded spec", text), None, None), (), input)
    without = build_module(analysis.graph, None, initialize=False)
    state = network.state_dict()
    tensors = {key: state[key] for key in without.state_dict() if key in state}
    for fold in folded.folds:
        layer, norm = _tensors(state, fold.layer), _tensors(state, fold.norm)
        factor, shift = fold.norm.op.factor_and_shift(norm)
        weight = fold.layer.op.scale_weight(layer["weight"], factor)
        bias = layer["bias"] * factor + shift if "bias" in layer else shift
        name = fold.layer.name
        tensors |= {f"{name}.weight": weight.to(torch.float32), f"{name}.bias": bias.to(torch.float32)}
    without.load_state_dict(tensors, assign=True)
    return analysis, without.eval()


def _tensors(state: Mapping[str, Tensor], node: Node) -> dict[str, Tensor]:
    """The tensors of a layer by the last part of their names, in float64."""
    return {tensor.name: state[node.key(tensor)].double() for tensor in node.op.tensors()}


def check_folding(
    network: Network, folded: Folded, plain: Exportable, images: Tensor, wanted: Mapping[str, Tensor], file: str
) -> Iterator[str]:
    """Compare a folded network with the original; returns what to say. Raises SpecError if they differ."""
    with torch.no_grad():
        original = plain.name_outputs(network(images))
    difference = measure(original, wanted)
    if not difference <= TOLERANCES["fp32"]:
        message = f"with folded batch norm the outputs differ by {amount(difference)} of their largest value"
        help = "no file was written; export it without `--fold-bn`: exporters to ONNX fold by themselves"
        raise SpecError([Diagnostic("export-differs", message, None, help=help)])
    yield (
        f"{count_text(len(folded.folds), 'batch norm')} folded: the outputs differ by {amount(difference)} of their largest "
        f"value; the folded spec is {file}"
    )
    if folded.kept:
        yield f"{count_text(len(folded.kept), 'batch norm')} behind no layer of their own kept: {quote_first(folded.kept)}"


def drop_training_parts(network: Network, graph: Graph) -> Network:
    """A network without the parts that only outputs of training need, such as auxiliary classifiers; it shares the tensors."""
    skipped = graph.skipped_in_evaluation()
    evaluated = tuple(output for output in graph.outputs if not output.training_only)
    if not skipped or not evaluated:
        return network
    part = prune(replace(graph, outputs=evaluated, output=evaluated[0].value))
    if len(part.nodes) + len(skipped) != len(graph.nodes):  # some are inside of what is needed
        return network
    return take_part(network, part).eval()


def convert_dtype(network: Network, dtype: Dtype) -> Network:
    """A network in a precision. Raises WeightsError if a weight is too large for it."""
    reduced = network.to(DTYPES[dtype])
    for name, tensor in reduced.state_dict().items():
        if not bool(tensor.isfinite().all()):
            message = f"`{printable(name)}` has values that {dtype} cannot hold"
            help = "write bf16, which has the range of float32" if dtype == "fp16" else "use other weights"
            raise WeightsError([Diagnostic("weights-not-finite", message, None, help=help)])
    return reduced


def note_dtype(exportable: Exportable, images: Tensor, wanted: Mapping[str, Tensor], dtype: Dtype) -> str:
    port = exportable.module
    assert isinstance(port, Port)
    plain = Port(port.network, port.dtype, False, None).eval()
    with torch.no_grad():
        found = exportable.name_outputs(plain(images))
    require_finite(found, exportable.name, dtype)
    require_finite(exportable.name_outputs(port(exportable.draw_images(2, exportable.size))), exportable.name, dtype)
    return f"in {dtype} the outputs differ by {amount(measure(wanted, found))} of their largest value from those in fp32"


def require_finite(outputs: Mapping[str, Tensor], name: str, dtype: Dtype, trained: bool = True) -> None:
    """Raise WeightsError for outputs that are not finite: they cannot be compared."""
    if all(bool(value.isfinite().all()) for value in outputs.values()):
        return
    message = f"the network {printable(name)} returns values that are not finite"
    help = "its weights are damaged, or of a run that diverged: use others"
    if not trained:
        help = "its weights are freshly initialized, which overflows in a deep network: name trained ones, `--weights FILE`"
    if dtype != "fp32":
        help = f"its values may be too large for {dtype}: use `--dtype {'bf16` or `' if dtype == 'fp16' else ''}fp32`"
    raise WeightsError([Diagnostic("output-not-finite", message, None, help=help)])
