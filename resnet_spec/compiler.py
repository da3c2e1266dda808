"""The compiler from end to end. Read this module first.

    read      a path, a shipped name, text or data        language.reader     Source
    merge     extends, blocks, --set                      language.merge      Resolved
    validate  JSON Schema, names                          language.parsing    Spec
    lower     names, expressions, blocks                  lowering            Graph
    verify    the invariants of the graph                 graph.verify
    analyze   shapes, costs; sizes on first access        analysis            Analysis
    lint      warnings, on first access                   lint                Diagnostics
    expect    the spec's own contract                     lint.expect         Diagnostics

Each step takes the result of the previous one and returns a new value. A mistake in a spec raises SpecError with all findings,
a wrong argument raises ArgumentError; any other exception is a bug in resnet-spec. Nothing here imports torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, overload

from resnet_spec.analysis.cost import Cost, count, total
from resnet_spec.analysis.shapes import infer
from resnet_spec.analysis.sized import SizedGraph
from resnet_spec.analysis.sizes import Accepted, accepted_sizes
from resnet_spec.analysis.table import Layer, make_frame, make_table
from resnet_spec.diagnostics import ArgumentError, Diagnostic, Edit, ResnetSpecError, Source, Span, SpecError, suggestion
from resnet_spec.diagnostics.arguments import quote, require_patches, require_size, wrong_argument
from resnet_spec.diagnostics.effort import limit_effort
from resnet_spec.diagnostics.text import join_words, shorten
from resnet_spec.graph.fingerprint import fingerprint
from resnet_spec.graph.model import BrokenNode, Graph
from resnet_spec.graph.prune import prune
from resnet_spec.graph.verify import verify
from resnet_spec.language import library
from resnet_spec.language.catalog import catalog
from resnet_spec.language.document_kinds import may_be_patch
from resnet_spec.language.extends import ExtendedBase, Location
from resnet_spec.language.files import decode, read_file, spec_root
from resnet_spec.language.merge import Resolved, apply_patches, resolve
from resnet_spec.language.parsing import parse_partial, parse_spec
from resnet_spec.language.patches import parse_set
from resnet_spec.language.provenance import add_origins, place_warnings
from resnet_spec.language.python_data import from_data
from resnet_spec.language.revisions import Revision
from resnet_spec.language.spec import OutputEntry, ScalarNode, Spec
from resnet_spec.language.writer import write_spec
from resnet_spec.lint import expect as contract
from resnet_spec.lint.rules import LintContext, lint
from resnet_spec.lowering import check_names, lower, lower_partial, more_findings
from resnet_spec.ops import Shape, show

ImageSize = tuple[int, int, int]
Outputs = str | Iterable[str] | Mapping[str, str]  # the names of entries
BLOCK_PREFIX = "block:"
RUN_FILES = ("spec.yaml", "run.json")  # of a run folder; the first one is its spec, with everything it extends
MOST_COLUMNS = 80  # of a name in a message


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A spec to compile: its text, the folder of its relative `extends`, and the folder that they may not leave.

    Without a folder it extends nothing (weights, run folders), and without a root no file (standard input, pipes).
    """

    source: Source
    folder: Path | None
    root: Path | None
    below: tuple[str, ...] = ()  # keys that are prepended to a `--set` of a single key: the path of a single block
    document: Resolved | None = None  # for a spec that was loaded before: the text with everything it extends
    base: Target | None = None  # a spec that this one is a patch of, as if it extended it
    revision: Revision | None = None  # of which `folder` and `root` are folders


@dataclass(frozen=True)
class Analysis:
    """A compiled network and its properties for images of `input`, (C, H, W) in pixels.

    `shapes` and `costs` have one entry for each node of `graph`. Shapes are without the batch: (C, H, W), or (F,) after a
    flatten. `warnings` are those about the text of the spec, `lints` those about the network.
    """

    spec: Spec
    graph: Graph
    input: ImageSize
    shapes: tuple[Shape, ...]
    costs: tuple[Cost, ...]
    warnings: tuple[Diagnostic, ...]
    expect_checked: bool
    overridden: bool  # by `--set`: the network is not the one that the spec describes

    def __repr__(self) -> str:
        name, counts = shorten(self.spec.name, MOST_COLUMNS), self.total
        return f"<Analysis of {name}: {show(self.input)} to {show(self.output)}, {counts.params:,} parameters>"

    @property
    def sized(self) -> SizedGraph:
        """The graph with its shapes and costs at `input`: the form that the outputs take."""
        return SizedGraph(self.graph, self.input, self.shapes, self.costs)

    @overload
    def table(self, *, frame: Literal[False] = False) -> tuple[Layer, ...]: ...

    @overload
    def table(self, *, frame: Literal[True]) -> Any: ...

    def table(self, *, frame: bool = False) -> Any:
        """The operations as rows with names (`row.name`, `row.output`, `row.params`), in the order in which they run.

        With `frame`, a `pandas.DataFrame` of the same columns. Raises ArgumentError where pandas is not installed.
        """
        rows = make_table(self.sized)
        return make_frame(rows) if frame else rows

    @cached_property
    def total(self) -> Cost:
        """Parameters, buffers and multiply-adds (for one image) of the whole network."""
        return total(self.costs)

    @cached_property
    def accepted(self) -> Accepted:
        """The input sizes that the network accepts, in pixels; its module is built for the spec's own input size."""
        return accepted_sizes(self.graph)

    @cached_property
    def fingerprint(self) -> str:
        """A versioned hash of the function that the network computes for given weights."""
        return fingerprint(self.graph)

    @cached_property
    def lints(self) -> tuple[Diagnostic, ...]:
        """Warnings about a network that works, without those that are suppressed by a comment on their line."""
        return self.lint()

    def lint(self, select: Collection[str] = ()) -> tuple[Diagnostic, ...]:
        """As `lints`, with the warnings of rules that are off by default where `select` has their codes."""
        found = lint(LintContext(self.spec, self.graph, self.accepted, self.overridden), select)
        return tuple(place_warnings(found, self.spec.document))

    @property
    def outputs(self) -> dict[str, Shape]:
        """The shapes of the named outputs, without the batch; empty for a network that returns a single tensor."""
        return {output.name: self.sized.shape_of(output.value) for output in self.graph.outputs}

    @property
    def features(self) -> dict[str, Feature]:
        """The channels and the reduction of the named outputs: for what is built on the maps of a network."""
        return {name: Feature(shape[0], _reduction(self.input, shape)) for name, shape in self.outputs.items()}

    @property
    def output(self) -> Shape:
        """The shape of the network's output, without the batch: of `logits` or of the first one, if there are several."""
        return self.input if self.graph.output < 0 else self.shapes[self.graph.output]


class Feature(NamedTuple):
    """A named output. `reduction` is how many input pixels there are for one of its pixels, by height and width; None for a
    vector."""

    channels: int
    reduction: tuple[Fraction, Fraction] | None


def _reduction(input: ImageSize, shape: Shape) -> tuple[Fraction, Fraction] | None:
    return (Fraction(input[1], shape[1]), Fraction(input[2], shape[2])) if len(shape) == 3 else None


def find(target: object, input: str | ImageSize | None = None, root: str | Path | None = None) -> Target:
    """Find the spec that `target` refers to: a loaded spec, a mapping, YAML text (any string with a line break), `block:NAME`,
    a path, a run folder, or the name of a shipped spec.

    Raises:
        ArgumentError: `target` is not a spec, there is none of that name, or its file cannot be read.
        SpecError: the mapping contains something that YAML cannot hold, or the file is not UTF-8.
    """
    if isinstance(target, Spec):
        return Target(target.document.source, None, None, document=target.document)
    if isinstance(target, Mapping):
        return Target(from_data(target), Path.cwd(), Path(root) if root else Path.cwd())
    if isinstance(target, str) and "\n" in target:
        return Target(Source("<text>", target), Path.cwd(), Path(root) if root else Path.cwd())
    if isinstance(target, str) and target.startswith(BLOCK_PREFIX):
        return _single_block(target, input)
    if not isinstance(target, str | os.PathLike):
        help = "decode it first: `data.decode()`" if isinstance(target, bytes | bytearray) else ""
        accepted = "a path, the name of a shipped spec, YAML text, a dict, or what `load` returned"
        raise wrong_argument(f"a spec is {accepted}, not {quote(target)}", help)
    path = Path(target)
    if not library.is_readable(path):
        if _is_run(path):
            return Target(read_file(path / RUN_FILES[0]), None, None)
        shipped = library.shipped_path(str(target)) if isinstance(target, str) else None
        if shipped is None and library.is_folder(path):
            message = f"{target} is a folder; name the specs in it, such as {target}/*.yaml"
            raise ArgumentError([Diagnostic("unreadable-file", message, None)])
        if shipped is None:
            raise ArgumentError([_missing(str(target))])
        return Target(
            read_file(shipped, library.shipped_name(shipped), "spec", "shipped"), shipped.parent, library.shipped_root()
        )
    if not library.is_file(path):  # a pipe or a device: its folder, such as `/dev/fd`, has nothing to extend
        return Target(read_file(path), Path.cwd(), Path(root) if root else None)
    return Target(read_file(path), path.parent, Path(root) if root else spec_root(path))


def find_version(target: object, input: str | ImageSize | None = None, root: str | Path | None = None) -> Target:
    """As `find`, also for a file at a git revision, `HEAD~1:specs/a.yaml`.

    An existing path and a shipped spec have precedence over a revision.

    Raises:
        ArgumentError: also if there is no such revision or file, or git cannot be run.
    """
    if not isinstance(target, str | os.PathLike) or (isinstance(target, str) and "\n" in target):
        return find(target, input, root)
    path, text = Path(target), str(target)
    found_first = library.is_readable(path) or _is_run(path) or library.shipped_path(text)
    if ":" not in text or text.startswith(BLOCK_PREFIX) or found_first:
        return find(target, input, root)
    from resnet_spec.language.revisions import find_at_revision  # few commands need it

    found = find_at_revision(text)
    project = found.revision.project(found.path)
    source = decode(found.data, found.revision.name(found.path))
    return Target(source, Path(found.path.parent), Path(project), revision=found.revision)


def _is_run(path: Path) -> bool:
    """Whether a path is the folder of a run, which holds its spec."""
    return all(library.is_file(path / name) for name in RUN_FILES)


def _single_block(target: str, input: str | ImageSize | None) -> Target:
    """A network of one block of the library."""
    name = target.removeprefix(BLOCK_PREFIX)
    if name not in library.library_block_names():
        message = f"the library has no block `{shorten(name, MOST_COLUMNS)}`"
        help = suggestion(name, library.library_block_names())
        raise ArgumentError([Diagnostic("unknown-block", message, None, help=help)])
    if input is None:
        message = f"a single block has no default input size, and none was specified for `{target}`"
        help = "for example `--input 64x56x56` (C x H x W)"
        raise ArgumentError([Diagnostic("missing-input", message, None, help=help)])
    size = show(parse_size(input))
    text = f"spec: 1\nname: {target}\ninput: {size}\nstages:\n  {name}: {{op: {name}}}\n"
    return Target(Source(target, text), None, None, ("stages", name))


def _missing(target: str) -> Diagnostic:
    """The finding for a spec that does not exist."""
    if target in library.shipped_names("recipe"):
        help = f"use it with `train SPEC --recipe {target}`"
        return Diagnostic("missing-file", f"`{target}` is a recipe, but a spec is expected here", None, help=help)
    if several := library.ambiguous_names(target):
        help = f"name one of them: {join_words([f'`{name}`' for name in several], 'or')}"
        return Diagnostic(
            "ambiguous-name", f"`{shorten(target, MOST_COLUMNS)}` is the name of several shipped specs", None, help=help
        )
    looks_like_path = "/" in target or target.endswith((".yaml", ".yml"))
    what = "there is no file" if looks_like_path else "there is no file or shipped spec"
    help = suggestion(Path(target).name.removesuffix(".yaml"), library.shipped_names(), most=0) or "see `resnet-spec list`"
    return Diagnostic("missing-file", f"{what} {shorten(target, MOST_COLUMNS)}", None, help=help)


def parse_size(size: object) -> ImageSize:
    """Parse `"3x224x224"`, or three integers, as (C, H, W) in pixels; raises ArgumentError."""
    return require_size(size)


def list_patches(sets: object, name: str = "set") -> list[str]:
    """List patches as `key.path=value`, given as one string, several, or a mapping; raises ArgumentError.

    `name` is the name of the argument, for messages.
    """
    return require_patches(sets, name)


@limit_effort()
def read_spec(target: Target, sets: Iterable[str] = ()) -> tuple[Spec, tuple[Diagnostic, ...], bool]:
    """Read, patch and validate a spec; returns it, the warnings, and whether `sets` changed it."""
    resolved = _merge(target, sets)
    if resolved.warnings:
        resolved = replace(resolved, warnings=tuple(place_warnings(resolved.warnings, resolved)))
    parsed = parse_partial(resolved)
    if (spec := parsed.spec) is None or parsed.findings:
        found = [*parsed.findings, *resolved.warnings]
        more = [] if spec is None else more_findings(spec, found, parsed.whole)
        raise SpecError(add_origins([*found, *more], resolved))
    more = place_warnings((*_channels_last(spec), *_unknown_codes(resolved.source)), resolved)
    return spec, (*resolved.warnings, *more), resolved.overridden


def _merge(target: Target, sets: Iterable[str]) -> Resolved:
    """Merge a spec with everything it extends, and apply patches."""
    patches = [parse_set(text, target.below) for text in list_patches(sets)]
    if target.document is not None:
        return apply_patches(target.document, patches)
    return resolve(target.source, target.folder, target.root, patches, _base_of(target), target.revision)


def _base_of(target: Target) -> ExtendedBase | None:
    if (base := target.base) is None:
        return None
    name = Source("--on", base.source.name, "command line")
    location = None if base.folder is None else Location(base.folder, base.root)
    return ExtendedBase(base.source, location, Span(name, 1, 1, 1, len(name.text) + 1))


def _channels_last(spec: Spec) -> Iterator[Diagnostic]:
    """Warn about an input size whose channels are most likely last."""
    first, second, last = spec.input
    if min(first, second) > 4 and last in (1, 3, 4):
        message = f"`{show(spec.input)}` is {first} channels of {second}x{last} pixels"
        help = f"did you mean `{last}x{first}x{second}`? Channels come first"
        yield Diagnostic("channels-last", message, spec.input_span, help=help, severity="warning")


def _unknown_codes(source: Source) -> Iterator[Diagnostic]:
    """Warn about each suppression comment with a code that does not exist."""
    for line, codes in source.suppressions.items():
        for code in codes:
            if code and code not in catalog():
                column = source.line(line).rindex(code) + 1
                span = Span(source, line, column, line, column + len(code))
                help = suggestion(code, list(catalog()), most=0) or "`resnet-spec explain` lists the codes"
                yield Diagnostic("unknown-code", f"there is no code `{code}`", span, help=help, severity="warning")


@dataclass(frozen=True, slots=True, eq=False)
class PatchCheck:
    """What is known of a file that is only a patch. `needed`: the names that its base has to define."""

    findings: tuple[Diagnostic, ...]
    needed: tuple[str, ...]


@limit_effort()
def check_patch(target: Target) -> PatchCheck | None:
    """Check a file that is only a patch without a base: its form, and its names as far as they can be known.

    Returns None for any other file, and for one that cannot be read.
    """
    if not may_be_patch(target.source.text):
        return None
    from resnet_spec.language.patch_files import read_patch  # few files need it

    patch = read_patch(target.source)
    if patch is None:
        return None
    parsed = parse_partial(patch.whole)
    findings = dict.fromkeys([*patch.findings, *parsed.findings])
    needed = dict.fromkeys(patch.needed)
    if parsed.spec is not None:
        uses = [use for block in parsed.spec.blocks.values() for use in (*block.branch, *block.shortcut, *block.after)]
        values = {node.span for use in uses for node in use.inputs}  # `from` names values of the same block
        for finding in check_names(parsed.spec)[0]:
            of_base = finding.code in _NAMES_OF_A_BASE and finding.span not in values
            if of_base and not finding.help.startswith("did you mean"):
                needed[_text_at(finding.span)] = None
            elif finding.code != "no-network":
                findings[finding] = None
    warnings = place_warnings((*patch.warnings, *_unknown_codes(target.source)), patch.whole)
    return PatchCheck((*findings, *warnings), tuple(name for name in needed if name))


_NAMES_OF_A_BASE = ("unknown-name", "unknown-operation", "unknown-block")


def _text_at(span: Span | None) -> str:
    return "" if span is None else span.source.line(span.line)[span.column - 1 : span.end_column - 1]


@limit_effort()
def outline_text(target: Target) -> str:
    """The entries of a spec, with everything it extends, that a patch of it may change, as YAML text; raises SpecError."""
    from resnet_spec.language.annotated_text import write_outline  # few commands need it

    return write_outline(_merge(target, ()).root)


@limit_effort()
def annotate_text(target: Target, sets: Iterable[str] = ()) -> str:
    """Merge a spec, everything it extends and `sets` into the YAML text of one document, with the origin of each value.

    Comments name the file and the line. `expect` is left out where `sets` change the network.

    Raises:
        SpecError: the merge is not possible. What is wrong with its result is not reported.
    """
    resolved = _merge(target, sets)
    parsed = parse_partial(resolved).spec
    from resnet_spec.language.annotated_text import write_annotated

    return write_annotated(resolved, "" if parsed is None else parsed.name)


@limit_effort()
def flatten_text(target: Target, sets: Iterable[str] = (), name: str = "") -> str:
    """Merge a spec, everything it extends and `sets` into the YAML text of one document, under `name` or its own name."""
    resolved = _merge(target, sets)
    return write_spec(resolved, name or parse_spec(resolved).name)


def analyze(
    target: Target,
    sets: Iterable[str] = (),
    input: str | ImageSize | None = None,
    enforce_expect: bool = True,
    outputs: Outputs | None = None,
) -> Analysis:
    """Compile a spec and infer its shapes at `input`, or at its own size.

    With `enforce_expect`, a network that does not satisfy the spec's own `expect` is an error. With `outputs`, the network
    returns these instead of its own, and does not have what they do not need.
    """
    patches = list_patches(sets)
    try:
        return _analyze(target, patches, input, enforce_expect, outputs)
    except SpecError as error:
        found = error.diagnostics

    def check(source: Source) -> Sequence[Diagnostic]:
        try:
            _analyze(replace(target, source=source), patches, input, enforce_expect, outputs)
        except ResnetSpecError as error:
            return error.diagnostics
        return ()

    raise SpecError(_prove(found, target, check))


def prove_warnings(
    analysis: Analysis, target: Target, sets: Iterable[str] = (), select: Collection[str] = ()
) -> list[Diagnostic]:
    """The warnings of an analysis, with the fixes that work; `select` as for `Analysis.lint`."""
    patches = list_patches(sets)

    def check(source: Source) -> Sequence[Diagnostic]:
        try:
            other = _analyze(replace(target, source=source), patches, analysis.input)
        except ResnetSpecError as error:
            return error.diagnostics
        return (*other.warnings, *other.lint(select))

    return _prove((*analysis.warnings, *analysis.lint(select)), target, check)


def _prove(findings: Sequence[Diagnostic], target: Target, check: Callable[[Source], Sequence[Diagnostic]]) -> list[Diagnostic]:
    if not any(finding.fixes for finding in findings):
        return list(findings)
    if target.document is not None:  # it was read elsewhere, and its text may have changed since
        return [replace(finding, fixes=()) for finding in findings]
    from resnet_spec.diagnostics.proving import prove_fixes  # only specs with findings need it

    return prove_fixes(findings, target.source, check)


@limit_effort()
def _analyze(
    target: Target,
    sets: Sequence[str],
    input: str | ImageSize | None,
    enforce_expect: bool = True,
    outputs: Outputs | None = None,
) -> Analysis:
    spec, warnings, overridden = read_spec(target, sets)
    if outputs is not None:
        spec, overridden = with_outputs(spec, outputs), True
    try:
        graph = _lower(spec, outputs)
        size = spec.input if input is None else parse_size(input)
        shapes = infer(graph, size)
    except SpecError as error:
        reported = {finding.span for finding in error.diagnostics}
        located = add_origins(error.diagnostics, spec.document)
        raise SpecError([*located, *(warning for warning in warnings if warning.span not in reported)]) from None
    costs = count(graph, shapes)
    applies = spec.expect is not None and not overridden and size == spec.input
    analysis = Analysis(spec, graph, size, shapes, costs, warnings, applies, overridden)
    if enforce_expect and (findings := check_expect(analysis)):
        raise SpecError([*findings, *warnings])
    return analysis


def _lower(spec: Spec, outputs: Outputs | None) -> Graph:
    graph = lower(spec) if outputs is None else prune(lower(spec))
    verify(graph)
    return graph


def with_outputs(spec: Spec, outputs: Outputs) -> Spec:
    """A spec whose network returns other values: one that is named, as a tensor; or several, as a dict.

    Raises:
        ArgumentError: `outputs` is neither a name, nor names, nor a mapping of names to names.
    """
    if isinstance(outputs, str):
        names = {"": outputs}
    elif isinstance(outputs, Mapping):
        names = dict(outputs)
    else:
        names = {name: name for name in outputs} if isinstance(outputs, Iterable) else {}
    if not names or not all(isinstance(each, str) and each for each in names.values()):
        help = "for example `outputs=['layer2', 'layer4']`, with names of entries of stem, stages and head"
        raise wrong_argument(f"`outputs` takes the name of an entry, or names of several, not {quote(outputs)}", help)
    entries = []
    for name, entry in names.items():
        span = Span(Source("outputs", entry, "command line"), 1, 1, 1, len(entry) + 1)
        entries.append(OutputEntry(str(name), span, ScalarNode(entry, span, entry)))
    return replace(spec, outputs=tuple(entries), named_outputs=not isinstance(outputs, str))


def check_expect(analysis: Analysis) -> list[Diagnostic]:
    """A finding for each clause of the spec's `expect` that the network does not satisfy; none where it does not apply."""
    expect = analysis.spec.expect
    return [] if expect is None or not analysis.expect_checked else contract.check_expect(expect, analysis)


def rewrite_expect(analysis: Analysis) -> dict[str, tuple[Edit, ...]]:
    """The edits that make the exact clauses of the spec's `expect` true, by clause; none where `expect` does not apply."""
    expect = analysis.spec.expect
    return {} if expect is None or not analysis.expect_checked else contract.rewrite_expect(expect, analysis)


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """The part of a network that can be drawn: all of it, or what works of a broken one, with the findings."""

    name: str
    graph: Graph
    input: ImageSize
    shapes: tuple[Shape, ...]
    costs: tuple[Cost, ...]
    broken: tuple[BrokenNode, ...]
    findings: tuple[Diagnostic, ...]

    @property
    def sized(self) -> SizedGraph:
        """The graph with its shapes and costs at `input`: the form that the outputs take."""
        return SizedGraph(self.graph, self.input, self.shapes, self.costs)


@limit_effort()
def sketch(
    target: Target, sets: Iterable[str] = (), input: str | ImageSize | None = None, outputs: Outputs | None = None
) -> Sketch:
    """Compile a spec as far as possible, at `input` or at its own size; `outputs` as for `analyze`."""
    spec, warnings, _ = read_spec(target, sets)
    if outputs is not None:
        spec = with_outputs(spec, outputs)
    try:
        partial = lower_partial(spec)
    except SpecError as error:
        raise SpecError(add_origins(error.diagnostics, spec.document)) from None
    findings = add_origins(partial.findings, spec.document)
    graph = partial.graph
    if partial.findings:
        size, shapes = spec.input, tuple(node.shape for node in graph.nodes)
    else:
        graph = graph if outputs is None else prune(graph)
        verify(graph)
        size = spec.input if input is None else parse_size(input)
        shapes = infer(graph, size)
    costs = count(graph, shapes)
    return Sketch(spec.name, graph, size, shapes, costs, partial.broken, (*findings, *warnings))
