"""Exports networks: finds the network and its weights, prepares it as asked, and writes it whole or not at all.

A file appears under its name only when it was read back and computes what the module computes.
"""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from resnet_spec import compiler
from resnet_spec._system.files import make_folder_of
from resnet_spec._system.packages import require_packages
from resnet_spec.compiler import Analysis, Outputs, Target
from resnet_spec.data.preparation import Preparation
from resnet_spec.diagnostics import ArgumentError, Diagnostic, Source, SpecError, WeightsError, printable
from resnet_spec.diagnostics.arguments import as_integer, quote, require_choice, wrong_argument
from resnet_spec.diagnostics.text import count_text, quote_first
from resnet_spec.inference.trained import load_trained
from resnet_spec.graph.model import Node
from resnet_spec.language.writer import write_data
from resnet_spec.ops import show
from resnet_spec.outputs.exporting.formats import Dtype, Dynamic, Format, Layout, find_format, refuse_option
from resnet_spec.outputs.exporting.model import DTYPES, Check, Exportable, Port, Written
from resnet_spec.outputs.exporting.snippet import write_snippet
from resnet_spec.outputs.exporting.verify import amount, measure, run_module
from resnet_spec.outputs.folding import Folded, fold_norms
from resnet_spec.outputs.torch_module import Network, build_module
from resnet_spec.weights.loading import load_weights, refuse_beyond_memory
from resnet_spec.weights.metadata import (
    WeightsFacts,
    facts_from_metadata,
    facts_to_metadata,
    from_metadata,
    to_metadata,
)
from resnet_spec.weights.reading import RUN_FILE, find_file, open_weights

# How far the outputs of a file may be from those of the module, as a fraction of the largest output value.
TOLERANCES: Mapping[Dtype, float] = {"fp32": 1e-4, "fp16": 1e-2, "bf16": 3e-2}
STEPS = (-32, 32, -16, 16, -8, 8, 64, -64, -4, 4, -2, 2, -1, 1)  # pixels from the size of an export to another size


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How a network is exported; `resnet_spec.export` describes each."""

    weights: Path | None = None
    weights_key: str | None = None
    seed: int | None = None
    fold_bn: bool = False
    dtype: Dtype = "fp32"
    channels_last: bool = False
    dynamic: Dynamic = "batch"
    opset: int | None = None
    preprocessing: Layout | None = None
    snippet: bool = False
    force: bool = False

    def chosen(self) -> Iterator[str]:
        """The names of the options that only some formats take, and that are not at their defaults."""
        default = ExportOptions()
        for name in ("dynamic", "opset", "dtype", "channels_last", "preprocessing", "snippet"):
            if getattr(self, name) != getattr(default, name):
                yield name


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        path: the file.
        files: all files, this one first.
        size: of the file, in bytes.
        checks: how it was compared with the module.
        tolerance: the difference that is accepted, as a fraction of the largest output value.
        notes: what there is to know about it.
    """

    path: Path
    files: tuple[Path, ...]
    size: int
    checks: tuple[Check, ...]
    tolerance: float
    notes: tuple[str, ...]

    @property
    def difference(self) -> float:
        """The largest difference of an output value, as a fraction of the largest value of that output."""
        return max((check.difference for check in self.checks), default=0.0)


@dataclass(frozen=True, slots=True)
class _Subject:
    """A network with weights, in evaluation on the CPU, and what is known about them."""

    analysis: Analysis
    network: Network
    size: tuple[int, int]
    facts: WeightsFacts | None
    stated: Mapping[str, str]  # the license and the source of the weights
    notes: tuple[str, ...]


def check_options(path: Path, options: ExportOptions) -> Format:
    """The format of a file. Raises ArgumentError for an option that it does not take, and for a package that is missing."""
    form = find_format(path)
    for option in options.chosen():
        if option not in form.options:
            raise refuse_option(form, option)
    if form.suffix == "onnx" and options.dtype == "bf16":
        message = "onnxruntime computes no convolution in bfloat16 on a CPU, so the file could not be verified"
        raise ArgumentError([Diagnostic("export-option", message, None, help="write fp16, or `.pt2` for bf16")])
    if options.opset is not None and as_integer(options.opset) is None:
        raise wrong_argument(f"`opset` takes an integer, not {quote(options.opset)}")
    require_packages(f"writing .{form.suffix}", *form.modules, extra=form.extra)
    return form


def export_spec(
    target: Target | Analysis,
    path: Path,
    options: ExportOptions,
    *,
    set: tuple[str, ...] = (),
    input: str | compiler.ImageSize | None = None,
    outputs: Outputs | None = None,
) -> Exported:
    """Export the network of a spec. Raises as `resnet_spec.export`."""
    form = check_options(path, options)
    analysis = target if isinstance(target, Analysis) else compiler.analyze(target, set, input)
    if not options.force:
        refuse_beyond_memory(analysis)
    facts, stated, notes = None, {}, ()
    if options.weights is None:
        if options.weights_key is not None:
            raise wrong_argument("`weights_key` chooses a part of a checkpoint, and no `weights` are named")
        seed = 0 if options.seed is None else options.seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = build_module(analysis.graph)
        notes = (f"the weights are freshly initialized (seed {seed}): --weights names trained ones",)
    else:
        if options.seed is not None:
            raise wrong_argument("`seed` is of fresh weights, and `weights` are named", "leave one of them out")
        _refuse_own_source(path, find_file(options.weights))
        network = build_module(analysis.graph, None, initialize=False)
        notes = load_weights(network, analysis, options.weights, key=options.weights_key)
        facts, stated = _read_facts(options.weights, options.weights_key, analysis)
    if outputs is not None:
        assert isinstance(target, Target)
        analysis, network = _take_outputs(compiler.analyze(target, set, input, outputs=outputs), network)
    own = input is not None or facts is None
    size = analysis.input[1:] if own or facts is None else facts.preparation.size
    if size not in analysis.accepted:
        size = analysis.input[1:]
    return _export(_Subject(analysis, network.eval(), size, facts, stated, tuple(notes)), path, form, options)


def export_run(
    run: Path,
    path: Path,
    options: ExportOptions,
    *,
    input: str | compiler.ImageSize | None = None,
    outputs: Outputs | None = None,
) -> Exported:
    """Export the network of a run folder, or of a file of weights that `train` wrote. Raises as `resnet_spec.export`."""
    form = check_options(path, options)
    for name in ("weights", "weights_key", "seed"):
        if getattr(options, name) is not None:
            message = f"`{name}` does not apply to a run, which has weights"
            raise wrong_argument(message, "name the spec instead of the run to export other weights")
    trained = load_trained(run, "cpu", options.force)
    analysis, network = trained.analysis, trained.module
    assert analysis is not None
    assert isinstance(network, Network)
    target = Target(Source(f"the spec in {run}", trained.facts.spec), None, None)
    size = trained.facts.preparation.size
    if input is not None:
        analysis = compiler.analyze(target, (), input)
        size = analysis.input[1:]
    if outputs is not None:
        analysis, network = _take_outputs(compiler.analyze(target, (), input, outputs=outputs), network)
    file = find_file(run)
    _refuse_own_source(path, file)
    stated = _stated(from_metadata(open_weights(file).metadata))
    return _export(_Subject(analysis, network.eval(), size, trained.facts, stated, ()), path, form, options)


def is_run(target: object) -> bool:
    """Whether an argument names a run folder, or a file of weights, and not a spec."""
    if not isinstance(target, str | os.PathLike) or (isinstance(target, str) and "\n" in target):
        return False
    path = Path(target)
    with suppress(OSError, ValueError):
        return (path / RUN_FILE).is_file() or path.suffix == ".safetensors"
    return False


def refuse_for_run(set: tuple[str, ...], spec_root: object) -> None:
    """Raise ArgumentError for arguments that change how a spec is read, where a run is exported."""
    if set or spec_root is not None:
        what = "`set` changes" if set else "`spec_root` is about files of"
        raise wrong_argument(f"{what} a spec, and that of a run is fixed", "name the spec, and its weights by `weights`")


def _take_outputs(analysis: Analysis, network: Network) -> tuple[Analysis, Network]:
    """The part of a network that some outputs need, with the same weights."""
    part = build_module(analysis.graph, None, initialize=False)
    state = network.state_dict()
    part.load_state_dict({key: state[key] for key in part.state_dict()}, assign=True)
    return analysis, part


def _read_facts(path: Path, key: str | None, analysis: Analysis) -> tuple[WeightsFacts | None, Mapping[str, str]]:
    """What a file of weights states about them; facts that are not of this network are left out."""
    metadata = open_weights(path, key).metadata
    facts = None
    with suppress(KeyError, ValueError, TypeError, OverflowError, RecursionError):
        facts = facts_from_metadata(metadata, analysis.spec.name)
    if facts is not None and (facts.preparation.channels != analysis.input[0] or analysis.output != (len(facts.classes),)):
        facts = None
    return facts, _stated(from_metadata(metadata))


def _stated(values: Mapping[str, str]) -> dict[str, str]:
    return {name: values[name] for name in ("license", "source") if name in values}


def _refuse_own_source(path: Path, source: Path) -> None:
    """Raise ArgumentError if a file would be written over the weights that it is made of."""
    with suppress(OSError):
        if path.samefile(source):
            message = f"{printable(str(path))} is the file that the weights are read from"
            raise ArgumentError([Diagnostic("cannot-write", message, None, help="choose another name for the export")])


def _export(subject: _Subject, path: Path, form: Format, options: ExportOptions) -> Exported:
    """Prepare a network as asked, and write it."""
    analysis, notes = subject.analysis, list(subject.notes)
    preparation = None if subject.facts is None else subject.facts.preparation
    if options.preprocessing is not None and preparation is None:
        message = "nothing says how images are normalized for these weights, so that cannot be a part of the file"
        help = "name a run, or weights that `train` wrote; others are exported without preprocessing"
        raise WeightsError([Diagnostic("weights-without-facts", message, None, help=help)])
    other = find_other_size(analysis, subject.size) if options.dynamic == "size" else None
    if options.dynamic == "size" and other is None:
        message = f"the network accepts no other size near {show(subject.size)}: {analysis.accepted.describe()}"
        help = "leave `--dynamic size` out: the batch is dynamic in any case"
        raise ArgumentError([Diagnostic("export-option", message, None, help=help)])
    network, folded, sides = subject.network, None, {}
    if options.fold_bn:
        folded = fold_norms(analysis.graph)
        text = write_data(folded.spec)
        analysis, network = _fold(subject, folded, text)
        sides[f"{path.stem}.folded.yaml"] = text
    plain = _exportable(subject, analysis, network, options, other)
    images = plain.draw_images(2, subject.size)
    wanted = run_module(plain, images)
    _require_finite(wanted, subject, "fp32")
    if folded is not None:
        notes += _check_folding(subject, folded, plain, images, wanted, f"{path.stem}.folded.yaml")
    needs_port = options.dtype != "fp32" or options.channels_last or options.preprocessing is not None
    exportable = plain
    if needs_port:
        mean, std = ((), ()) if preparation is None else (preparation.mean, preparation.std)
        reduced = _convert_dtype(network, options.dtype)
        if options.channels_last:
            reduced = reduced.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        port = Port(reduced, DTYPES[options.dtype], options.channels_last, options.preprocessing, mean, std).eval()
        exportable = replace(plain, module=port, layout=options.preprocessing)
        if options.dtype != "fp32":
            notes.append(_note_dtype(subject, exportable, images, wanted, options.dtype))
        if options.preprocessing is not None:
            shown = "NxHxWxC" if options.preprocessing == "nhwc" else "NxCxHxW"
            notes.append(f"the file takes images of {show(subject.size)} pixels as bytes, {shown}; it does not resize them")
    facts = _metadata(subject, analysis, options, sides.get(f"{path.stem}.folded.yaml", ""))
    exportable = replace(exportable, metadata=facts)
    if options.snippet:
        classes = subject.facts is not None and analysis.output == (len(subject.facts.classes),)
        sides[f"{path.stem}_example.py"] = write_snippet(exportable, form, path.name, preparation, classes)
    write = importlib.import_module(form.module).write
    written, files = _write_whole(path, lambda file: write(exportable, file), sides)
    return Exported(path, files, path.stat().st_size, written.checks, exportable.tolerance, (*notes, *written.notes))


def _exportable(
    subject: _Subject, analysis: Analysis, network: Network, options: ExportOptions, other: tuple[int, int] | None
) -> Exportable:
    graph = analysis.graph
    skipped = graph.skipped_in_evaluation()
    run = [node for position, node in enumerate(graph.nodes) if position not in skipped and not node.op.own_tensor]
    return Exportable(
        name=analysis.spec.name,
        module=network.eval(),
        channels=analysis.input[0],
        size=subject.size,
        layout=None,
        outputs=tuple([output.name for output in graph.outputs if not output.training_only]),
        layers=tuple([(node.name, node.op.name) for node in run]),
        other_size=other,
        opset=options.opset,
        tolerance=TOLERANCES[options.dtype],
        metadata={},
    )


def find_other_size(analysis: Analysis, size: tuple[int, int]) -> tuple[int, int] | None:
    """A size (height, width) near `size` that a network accepts, not square if there is one; None if it accepts no other."""
    height, width = size
    near = [(height + step, width) for step in STEPS] + [(height, width + step) for step in STEPS]
    near += [(height + step, width + step) for step in STEPS]
    return next((each for each in near if min(each) > 0 and each in analysis.accepted), None)


def _fold(subject: _Subject, folded: Folded, text: str) -> tuple[Analysis, Network]:
    """The network without its norms, from its own spec."""
    analysis = compiler.analyze(Target(Source("the folded spec", text), None, None), (), subject.analysis.input)
    network = build_module(analysis.graph, None, initialize=False)
    state = subject.network.state_dict()
    tensors = {key: state[key] for key in network.state_dict() if key in state}
    for fold in folded.folds:
        layer, norm = _tensors(state, fold.layer), _tensors(state, fold.norm)
        factor, shift = fold.norm.op.factor_and_shift(norm)
        weight = fold.layer.op.scale_weight(layer["weight"], factor)
        bias = layer["bias"] * factor + shift if "bias" in layer else shift
        name = fold.layer.name
        tensors |= {f"{name}.weight": weight.to(torch.float32), f"{name}.bias": bias.to(torch.float32)}
    network.load_state_dict(tensors, assign=True)
    return analysis, network.eval()


def _tensors(state: Mapping[str, Tensor], node: Node) -> dict[str, Tensor]:
    """The tensors of a layer by the last part of their names, in float64."""
    return {tensor.name: state[f"{node.name}.{tensor.name}"].double() for tensor in node.op.tensors()}


def _check_folding(
    subject: _Subject, folded: Folded, plain: Exportable, images: Tensor, wanted: Mapping[str, Tensor], file: str
) -> Iterator[str]:
    """Compare a folded network with the original; returns what to say. Raises SpecError if they differ."""
    with torch.no_grad():
        original = plain.name_outputs(subject.network(images))
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


def _convert_dtype(network: Network, dtype: Dtype) -> Network:
    """A network in a precision. Raises WeightsError if a weight is too large for it."""
    reduced = network.to(DTYPES[dtype])
    for name, tensor in reduced.state_dict().items():
        if not bool(tensor.isfinite().all()):
            message = f"`{printable(name)}` has values that {dtype} cannot hold"
            help = "write bf16, which has the range of float32" if dtype == "fp16" else "use other weights"
            raise WeightsError([Diagnostic("weights-not-finite", message, None, help=help)])
    return reduced


def _note_dtype(
    subject: _Subject, exportable: Exportable, images: Tensor, wanted: Mapping[str, Tensor], dtype: Dtype
) -> str:
    port = exportable.module
    assert isinstance(port, Port)
    plain = Port(port.network, port.dtype, False, None).eval()
    with torch.no_grad():
        found = exportable.name_outputs(plain(images))
    _require_finite(found, subject, dtype)
    return f"in {dtype} the outputs differ by {amount(measure(wanted, found))} of their largest value from those in fp32"


def _require_finite(outputs: Mapping[str, Tensor], subject: _Subject, dtype: Dtype) -> None:
    """Raise WeightsError for outputs that are not finite: they cannot be compared."""
    if all(bool(value.isfinite().all()) for value in outputs.values()):
        return
    message = f"the network {printable(subject.analysis.spec.name)} returns values that are not finite"
    help = "its weights are damaged, or of a run that diverged: use others"
    if dtype != "fp32":
        help = f"its values may be too large for {dtype}: use `--dtype {'bf16` or `' if dtype == 'fp16' else ''}fp32`"
    raise WeightsError([Diagnostic("output-not-finite", message, None, help=help)])


def _metadata(subject: _Subject, analysis: Analysis, options: ExportOptions, spec: str) -> dict[str, str]:
    """What a file says about its network: strings by name, which are data for whoever reads them."""
    from resnet_spec import __version__

    facts = subject.facts
    values = {"name": analysis.spec.name, "fingerprint": analysis.fingerprint, "spec": spec, **subject.stated}
    if facts is None:
        stored = to_metadata(values)
    else:
        of_run = replace(facts, fingerprint=analysis.fingerprint, spec=spec or facts.spec)
        stored = facts_to_metadata(of_run) | to_metadata(values)
    layout = "float32 NCHW, normalized" if options.preprocessing is None else f"uint8 {options.preprocessing.upper()}"
    about = {"version": __version__, "input": show((analysis.input[0], *subject.size)), "layout": layout, "dtype": options.dtype}
    return dict(sorted((stored | to_metadata(about)).items()))


@contextmanager
def _folder_beside(path: Path) -> Iterator[Path]:
    """A temporary folder in the folder of a file, which is removed. Raises ArgumentError if it cannot be made."""
    try:
        make_folder_of(path)
        if path.exists() and not path.is_file():
            raise OSError(None, "it is no regular file", str(path))
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name[:80]}.", suffix=".tmp", dir=path.parent))
    except OSError as error:
        raise _cannot_write(path, error) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_whole(
    path: Path, write: Callable[[Path], Written], sides: Mapping[str, str]
) -> tuple[Written, tuple[Path, ...]]:
    """Write a file and the texts beside it in a temporary folder, where `write` verifies it, then move all to their places.

    Raises ArgumentError if they cannot be written; nothing new is left then.
    """
    with _folder_beside(path) as folder:
        moved: list[Path] = []
        try:
            written = write(folder / path.name)
            for name, text in sides.items():
                (folder / name).write_text(text, encoding="utf-8")
            files = [path.parent / file.name for file in written.files] + [path.parent / name for name in sides]
            for file in reversed(files):  # the file itself is last: where it is, everything is
                new = not file.exists()
                (folder / file.name).replace(file)
                moved += [file] * new
        except OSError as error:
            for file in moved:
                file.unlink(missing_ok=True)
            raise _cannot_write(path, error) from None
    return written, tuple(files)


def _cannot_write(path: Path, error: OSError) -> ArgumentError:
    message = f"cannot write {printable(str(path))}: {printable(error.strerror or str(error))}"
    help = "nothing was written; name a file in a folder of yours, on a disk with space"
    return ArgumentError([Diagnostic("cannot-write", message, None, help=help)])
