"""Maps of keys: a YAML file that says which tensor of a file is which of a network, `network key: file key`.

Either key may be a module instead: then it means all tensors in it. The longest key of the network decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from resnet_spec.diagnostics import ArgumentError, Diagnostic, Label, Source, Span, WeightsError, printable, suggestion
from resnet_spec.diagnostics.text import quote_first
from resnet_spec.language.files import display_name, read_file
from resnet_spec.language.nodes import MappingNode, ScalarNode
from resnet_spec.language.reader import parse
from resnet_spec.weights.planning import EXACT, STARTING, TRANSFER, Plan, Step, shape_text
from resnet_spec.weights.structure import COUNTER


@dataclass(frozen=True, slots=True)
class MapEntry:
    """A key of the network, the key of the file for it, and their places in the map."""

    own: str
    source: str
    place: Span
    source_place: Span


@dataclass(frozen=True, slots=True)
class KeyMap:
    """The entries of a map of keys, in the order of its file."""

    name: str
    entries: tuple[MapEntry, ...]

    def expand(self, own: Iterable[str], found: Iterable[str]) -> dict[str, tuple[str, MapEntry]]:
        """The name in the file of each tensor of the network that the map decides about, and the entry that does.

        Raises WeightsError for entries whose keys are not those of the network or the file, or that name a tensor twice.
        """
        ours, theirs = list(own), set(found)
        findings: list[Diagnostic] = []
        result: dict[str, tuple[str, MapEntry]] = {}
        modules = _list_modules(ours), _list_modules(theirs)
        for entry in sorted(self.entries, key=lambda entry: entry.own.count(".")):
            inside = [name for name in ours if name == entry.own or name.startswith(entry.own + ".")]
            if not inside:
                help = suggestion(entry.own, [*ours, *modules[0]])
                message = f"the network has no tensor and no module `{printable(entry.own)}`"
                findings.append(Diagnostic("weights-map", message, entry.place, help=help))
                continue
            pairs = [(name, entry.source + name[len(entry.own) :]) for name in inside]
            if not any(source in theirs for _, source in pairs):
                findings.append(_refuse_source(entry, theirs, modules[1]))
                continue
            result |= {name: (source, entry) for name, source in pairs}
        lost = [name for name, (source, _) in result.items() if source not in theirs and not name.endswith("." + COUNTER)]
        for name in lost:
            source, entry = result[name]
            message = f"the file of weights has no `{printable(source)}` for `{printable(name)}`"
            findings.append(Diagnostic("weights-map", message, entry.source_place, help=suggestion(source, theirs)))
        findings += _find_twice(result)
        if findings:
            raise WeightsError(findings)
        return {name: (source, entry) for name, (source, entry) in result.items() if source in theirs}

    def check(self, plan: Plan, expanded: Mapping[str, tuple[str, MapEntry]], starts: bool, transfer: bool = False) -> None:
        """Raise WeightsError where an entry leads to a tensor of another shape that is not accepted."""
        accepted = TRANSFER if transfer else STARTING if starts else EXACT
        steps = {step.name: step for step in plan.outside(accepted) if step.name in plan.mapped}
        findings = [_refuse_shape(step, expanded[name][1]) for name, step in steps.items()]
        if findings:
            raise WeightsError(findings)


def read_key_map(path: Path) -> KeyMap:
    """Read a map of keys.

    Raises:
        ArgumentError: the file cannot be read.
        SpecError: it is not YAML, or has a key twice.
        WeightsError: it is no mapping of names.
    """
    shown = display_name(path)
    try:
        source = read_file(path)
    except ValueError as error:
        if isinstance(error, ArgumentError):
            raise
        message = f"cannot read {printable(shown)}: {error}"
        raise ArgumentError([Diagnostic("unreadable-file", message, None)]) from None
    lines = [line for line in source.lines if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        return KeyMap(shown, ())
    root, _ = parse(source)
    if not isinstance(root, MappingNode):
        message = "a map of weights is a mapping: `network key: file key`"
        raise WeightsError([Diagnostic("weights-map", message, _start(source, root.span))])
    findings: list[Diagnostic] = []
    entries = []
    for key, entry in root.entries.items():
        value = entry.value
        if not isinstance(value, ScalarNode) or not isinstance(value.value, str) or not value.value or not key:
            message = f"`{printable(key)}` needs the key of a tensor or of a module in the file"
            help = "in quotes, where it is a number: `'0': '0'`"
            findings.append(Diagnostic("weights-map", message, value.span, help=help))
            continue
        entries.append(MapEntry(key.rstrip("."), value.value.rstrip("."), entry.key, value.span))
    if findings:
        raise WeightsError(findings)
    return KeyMap(shown, tuple(entries))


def _start(source: Source, span: Span) -> Span:
    """The beginning of a place that may be a whole document."""
    return Span(source, span.line, span.column, span.line, max(span.column + 1, len(source.line(span.line)) + 1))


def _list_modules(names: Iterable[str]) -> list[str]:
    found: dict[str, None] = {}
    for name in names:
        parts = name.split(".")
        found.update(dict.fromkeys(".".join(parts[:count]) for count in range(1, min(len(parts), 16))))
    return list(found)


def _refuse_source(entry: MapEntry, theirs: set[str], modules: list[str]) -> Diagnostic:
    known = entry.source in theirs or entry.source in modules
    message = f"the file of weights has no tensor and no module `{printable(entry.source)}`"
    if known:
        inside = sorted(name for name in theirs if name == entry.source or name.startswith(entry.source + "."))
        message = f"`{printable(entry.source)}` in the file of weights has nothing that `{printable(entry.own)}` has"
        return Diagnostic("weights-map", message, entry.source_place, help=f"it has {quote_first(inside, 4)}")
    return Diagnostic("weights-map", message, entry.source_place, help=suggestion(entry.source, [*sorted(theirs), *modules]))


def _find_twice(result: Mapping[str, tuple[str, MapEntry]]) -> list[Diagnostic]:
    """Findings for tensors of the file that several tensors of the network are to be."""
    seen: dict[str, tuple[str, MapEntry]] = {}
    findings: dict[tuple[int, int], Diagnostic] = {}
    for name, (source, entry) in result.items():
        if source not in seen:
            seen[source] = (name, entry)
            continue
        first, other = seen[source]
        pair = sorted([(entry, name), (other, first)], key=lambda each: (each[0].place.line, each[0].place.column))
        (early, _), (late, _) = pair
        message = f"`{printable(source)}` of the file is used twice: for `{printable(first)}` and `{printable(name)}`"
        related = (Label(early.place, "it is used here"),) if early is not late else ()
        findings.setdefault((id(early), id(late)), Diagnostic("weights-map", message, late.source_place, related=related))
    return list(findings.values())


def _refuse_shape(step: Step, entry: MapEntry) -> Diagnostic:
    own, source = printable(step.name), printable(step.source)
    message = f"`{source}` is {shape_text(step.stored)}, and `{own}` is {shape_text(step.shape)}"
    if step.action == "other type":
        message = f"`{source}` for `{own}` is {step.reason}"
    return Diagnostic("weights-map", message, entry.source_place)
