"""Exports networks: finds the network and its weights, prepares it as asked, and writes it whole or not at all.

A file appears under its name only when it was read back and computes what the module computes.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from resnet_spec import compiler
from resnet_spec._system.packages import require_packages
from resnet_spec.compiler import Analysis, Outputs, Target
from resnet_spec.data.preparation import Preparation
from resnet_spec.diagnostics import ArgumentError, Diagnostic, Source, WeightsError
from resnet_spec.diagnostics.arguments import as_integer, quote, wrong_argument
from resnet_spec.inference.export_changes import (
    TOLERANCES,
    check_folding,
    convert_dtype,
    drop_training_parts,
    fold_network,
    note_dtype,
    require_finite,
)
from resnet_spec.inference.export_files import write_whole
from resnet_spec.inference.export_subject import (
    ExportSubject,
    describe_use,
    read_stated,
    read_stored_facts,
    refuse_other_json,
    refuse_own_source,
    refuse_own_spec,
)
from resnet_spec.inference.preparing import refuse_size, settle_preparation
from resnet_spec.inference.trained import load_trained
from resnet_spec.language.writer import write_data
from resnet_spec.ops import show
from resnet_spec.outputs.exporting.formats import Dtype, Dynamic, Format, Layout, find_format, refuse_option
from resnet_spec.outputs.exporting.model import DTYPES, Check, Exportable, Port
from resnet_spec.outputs.exporting.snippet import write_snippet
from resnet_spec.outputs.exporting.verify import run_module
from resnet_spec.outputs.folding import fold_norms
from resnet_spec.outputs.torch_module import Network, build_module, take_part
from resnet_spec.weights.loading import load_stored, refuse_beyond_memory
from resnet_spec.weights.metadata import PREFIX, WeightsFacts, facts_to_metadata, preparation_text, to_metadata
from resnet_spec.weights.reading import find_file, open_weights
from resnet_spec.weights.source import WeightsLike, open_source, preparation_of

OF_TRAINING = ("data", "data_version", "split", "hold_out", "epoch", "step")  # metadata that is not needed to run a network
STEPS = (-32, 32, -16, 16, -8, 8, 64, -64, -4, 4, -2, 2, -1, 1)  # pixels from the size of an export to another size


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How a network is exported; `resnet_spec.export` describes each."""

    weights: WeightsLike | None = None
    weights_key: str | None = None
    weights_map: Path | None = None
    seed: int | None = None
    fold_bn: bool = False
    dtype: Dtype = "fp32"
    channels_last: bool = False
    dynamic: Dynamic = "batch"
    opset: int | None = None
    preprocessing: Layout | None = None
    snippet: bool | None = None
    prepare: Mapping[str, object] = field(default_factory=dict)
    force: bool = False

    @property
    def with_snippet(self) -> bool:
        """Whether a short program is written next to the file: as chosen, else with preprocessing."""
        return self.preprocessing is not None if self.snippet is None else self.snippet

    def chosen(self) -> Iterator[str]:
        """The names of the options that only some formats take, and that are not at their defaults."""
        default = ExportOptions()
        for name in ("dynamic", "opset", "dtype", "channels_last", "preprocessing", "snippet"):
            value = getattr(self, name)
            if value is not False and value != getattr(default, name):
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
    facts: WeightsFacts | None = None
    preparation: Preparation | None = None
    stated: Mapping[str, str] = {}
    notes: tuple[str, ...]
    source: Path | None = None
    if options.weights is None:
        if options.weights_key is not None:
            raise wrong_argument("`weights_key` chooses a part of a checkpoint, and no `weights` are named")
        if options.weights_map is not None:
            raise wrong_argument("`weights_map` is about weights to load, and no `weights` are named")
        seed = 0 if options.seed is None else options.seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = build_module(analysis.graph)
        fresh = f"the weights are freshly initialized (seed {seed}): --weights names trained ones"
        notes = () if form.suffix == "py" else (fresh,)  # source without weights has none
    else:
        if options.seed is not None:
            raise wrong_argument("`seed` is of fresh weights, and `weights` are named", "leave one of them out")
        weights = open_source(options.weights, options.weights_key, analysis)
        source = weights.path
        refuse_own_source(path, source)
        network = build_module(analysis.graph, None, initialize=False)
        notes = load_stored(network, analysis, weights, options.weights, key_map=options.weights_map)
        facts, stated = read_stored_facts(analysis, weights), read_stated(weights)
        preparation = preparation_of(weights, analysis.input[0])
    if options.prepare:
        preparation, assumed = settle_preparation(preparation, options.prepare, analysis.input)
        refuse_size(analysis, preparation)
        facts = None if facts is None else replace(facts, preparation=preparation)
        notes = (*notes, *assumed)
    if outputs is not None:
        assert isinstance(target, Target)
        analysis = compiler.analyze(target, set, input, outputs=outputs)
        network = take_part(network, analysis.graph)
    size = analysis.input[1:] if input is not None or preparation is None else preparation.size
    if size not in analysis.accepted:
        size = analysis.input[1:]
    subject = ExportSubject(analysis, network.eval(), size, facts, preparation, stated, tuple(notes), source)
    return _export(subject, path, form, options)


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
    for name in ("weights", "weights_key", "weights_map", "seed"):
        if getattr(options, name) is not None:
            message = f"`{name}` does not apply to a run, which has weights"
            raise wrong_argument(message, "name the spec instead of the run to export other weights")
    if options.prepare:
        message = "`prepare` does not apply to a run, which knows how its images are prepared"
        raise wrong_argument(message, "name the spec, and the weights of the run by `weights`, to export it for other images")
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
        analysis = compiler.analyze(target, (), input, outputs=outputs)
        network = take_part(network, analysis.graph)
    file = find_file(run)
    refuse_own_source(path, file)
    stated = read_stated(open_weights(file))
    facts = trained.facts
    subject = ExportSubject(analysis, network.eval(), size, facts, facts.preparation, stated, (), file)
    return _export(subject, path, form, options)


def _export(subject: ExportSubject, path: Path, form: Format, options: ExportOptions) -> Exported:
    """Prepare a network as asked, and write it."""
    analysis, notes, preparation = subject.analysis, list(subject.notes), subject.preparation
    if options.preprocessing is not None and preparation is None:
        message = "nothing says how images are normalized for this network, so that cannot be a part of the file"
        help = "say it, `--prepare mean=imagenet --prepare std=imagenet` or with numbers; or name a run, whose weights know it"
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
        analysis, network = fold_network(network, folded, text, analysis.input)
        sides[f"{path.stem}.folded.yaml"] = text
    if form.runs:
        network = drop_training_parts(network, analysis.graph)
    plain = _exportable(subject, analysis, network, form, options, other)
    images = plain.draw_images(2, subject.size)
    wanted = run_module(plain, images)
    if form.runs or subject.source is not None or folded is not None:  # else the source alone, whatever its weights
        require_finite(wanted, plain.name, "fp32", subject.source is not None)
    if folded is not None:
        notes += check_folding(subject.network, folded, plain, images, wanted, f"{path.stem}.folded.yaml")
    needs_port = options.dtype != "fp32" or options.channels_last or options.preprocessing is not None
    exportable = plain
    if needs_port:
        mean, std = ((), ()) if preparation is None else (preparation.mean, preparation.std)
        reduced = convert_dtype(network, options.dtype)
        if options.channels_last:
            reduced = reduced.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        port = Port(reduced, DTYPES[options.dtype], options.channels_last, options.preprocessing, mean, std).eval()
        exportable = replace(plain, module=port, layout=options.preprocessing)
        if options.dtype != "fp32":
            notes.append(note_dtype(exportable, images, wanted, options.dtype))
        if options.preprocessing is not None:
            shown = "NxHxWxC" if options.preprocessing == "nhwc" else "NxCxHxW"
            sizes = f"of {show(subject.size)} pixels" if other is None else "of any accepted size"
            notes.append(f"the file takes images {sizes} as bytes, {shown}; it does not resize them")
    facts = _metadata(subject, analysis, options, sides.get(f"{path.stem}.folded.yaml", ""), form.runs)
    exportable = replace(exportable, metadata=facts)
    if options.with_snippet:
        has_classes = bool(subject.classes_of(analysis))
        sides[f"{path.stem}_example.py"] = write_snippet(exportable, form, path.name, preparation, has_classes)
    if form.suffix == "py" and preparation is not None:
        refuse_other_json(path.with_suffix(".json"))
        sides[f"{path.stem}.json"] = describe_use(subject, analysis, preparation)
        classes = ", and the classes" if subject.classes_of(analysis) else ""
        notes.append(f"{path.stem}.json has how images are prepared{classes}")
    stale = path.with_suffix(".pth")
    if form.suffix == "py" and subject.source is None and stale.exists():
        notes.append(f"{stale.name}, which was there before, is not of this export")
    refuse_own_spec(path, sides, subject.analysis)
    write = importlib.import_module(form.module).write
    written, files = write_whole(path, lambda file: write(exportable, file), sides)
    return Exported(path, files, path.stat().st_size, written.checks, exportable.tolerance, (*notes, *written.notes))


def _exportable(
    subject: ExportSubject,
    analysis: Analysis,
    network: Network,
    form: Format,
    options: ExportOptions,
    other: tuple[int, int] | None,
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
        tolerance=0.0 if form.suffix == "py" else TOLERANCES[options.dtype],
        metadata={},
        analysis=analysis,
        trained=subject.source is not None,
    )


def find_other_size(analysis: Analysis, size: tuple[int, int]) -> tuple[int, int] | None:
    """A size (height, width) near `size` that a network accepts, not square if there is one; None if it accepts no other."""
    height, width = size
    near = [(height + step, width) for step in STEPS] + [(height, width + step) for step in STEPS]
    near += [(height + step, width + step) for step in STEPS]
    return next((each for each in near if min(each) > 0 and each in analysis.accepted), None)


def _metadata(subject: ExportSubject, analysis: Analysis, options: ExportOptions, spec: str, runs: bool) -> dict[str, str]:
    """What a file says about its network: strings by name, which are data for whoever reads them.

    A file that `runs` goes to others: it does not say where the data of its training are.
    """
    from resnet_spec import __version__

    facts = subject.facts
    values = {"name": analysis.spec.name, "fingerprint": analysis.fingerprint, "spec": spec, **subject.stated}
    if facts is None:
        stored = to_metadata(values | {"preparation": preparation_text(subject.preparation)})
    else:
        of_run = replace(facts, fingerprint=analysis.fingerprint, spec=spec or facts.spec)
        stored = facts_to_metadata(of_run) | to_metadata(values)
        if not spec and analysis.fingerprint != facts.fingerprint:  # a part of the network: its spec is not that of the whole
            left_out = {"spec"} if subject.classes_of(analysis) else {"spec", "classes"}
            stored = {key: value for key, value in stored.items() if key.removeprefix(PREFIX) not in left_out}
    if runs:
        stored = {key: value for key, value in stored.items() if key.removeprefix(PREFIX) not in OF_TRAINING}
    layout = "float32 NCHW, normalized" if options.preprocessing is None else f"uint8 {options.preprocessing.upper()}"
    about = {
        "version": __version__,
        "input": show((analysis.input[0], *subject.size)),
        "layout": layout,
        "dtype": options.dtype,
    }
    return dict(sorted((stored | to_metadata(about)).items()))
