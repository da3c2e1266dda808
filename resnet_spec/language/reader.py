"""YAML text to a tree in which every key and value knows where it stands.

Goes in: text nobody vouches for. Comes out: `Mapping`, `Sequence` and `Scalar` nodes with spans, or one diagnostic raised as
`SpecError`. The tree is built from YAML *events*, because composing recurses (100,000 brackets crash the C loader) and expands
aliases before anyone can count. Scalars follow the YAML 1.2 core schema, so `no` and `1:30` are strings here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import yaml

from resnet_spec.diagnostics import Diagnostic, Label, Source, Span, SpecError
from resnet_spec.language.indentation import Misplaced, out_of_line, too_deep

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_NODES = 50_000
MAX_EXPANDED = 200_000
MAX_DIGITS = 18

ScalarValue = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """One value. `text` is what was written, `unquoted` whether it was written without quotes.

    `invalid`, here and on the other nodes: a finding about the form of the document is about this very node.
    """

    value: ScalarValue
    span: Span
    text: str = ""
    unquoted: bool = True
    invalid: bool = False


@dataclass(frozen=True, slots=True)
class SequenceNode:
    """A list of values."""

    items: tuple[YamlNode, ...]
    span: Span
    invalid: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a mapping and its value."""

    key: Span
    value: YamlNode


@dataclass(frozen=True, slots=True)
class MappingNode:
    """Keys and values in the order in which they are written."""

    entries: dict[str, Entry]
    span: Span
    invalid: bool = False

    def get(self, key: str) -> YamlNode | None:
        entry = self.entries.get(key)
        return None if entry is None else entry.value


YamlNode = ScalarNode | SequenceNode | MappingNode
NodePath = tuple[str | int, ...]  # the keys and indices that lead to a node

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_INT = re.compile(r"[-+]?[0-9]+")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, ScalarValue] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_JSON_ALONE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")  # stand in JSON as they are, and not in YAML
_OLD_BOOLS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
_OLD_BASE_60 = re.compile(r"[-+]?[1-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_OLD_UNDERSCORES = re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*")
_OLD_OCTAL = re.compile(r"[-+]?0[0-7]+")
_YAML_HELP = {  # what PyYAML finds, and what its author most likely did
    "',' or '}'": "close the `{` with a `}`, or put a comma between two entries",
    "',' or ']'": "close the `[` with a `]`, or put a comma between two values",
    "mapping values are not allowed": "a text with a colon goes in quotes; or the line above is not finished",
    "could not find expected ':'": "write `name: value`, with a space after the colon",
    "block end": "indent this line like the entries it belongs to",
    "did not find expected key": "indent it like the entries it belongs to; behind a closing quote or bracket goes nothing",
    "'-' indicator": "begin each entry of a list with a dash, or none",
    "cannot start any token": "put the text in quotes",
    "found unexpected end of stream": "close the quote",
}


def parse(source: Source, text: str | None = None) -> tuple[YamlNode, tuple[Diagnostic, ...]]:
    """Read one YAML document. Returns its root and the warnings; raises SpecError at the first thing that is not readable.

    `text` stands in for the source's own: a part of it, moved to its place with spaces.
    """
    if len(source.text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise _stop("too-large", f"{source.name} is larger than {MAX_BYTES:,} bytes", _whole(source))
    if half := re.search("[\ud800-\udfff]", source.text):
        raise _stop("yaml-syntax", "not YAML: half of a surrogate pair is no character", _after(source, half.start()))
    try:
        reader = _TreeBuilder(source, source.text if text is None else text)
        return reader.read(), tuple(reader.warnings)
    except yaml.MarkedYAMLError as error:
        what = " ".join(part for part in (error.problem, error.context) if part)
        span, begins = _point(source, error.problem_mark or error.context_mark), _point(source, error.context_mark)
        related = (Label(begins, "this begins here"),) if error.context_mark is not None and begins.line != span.line else ()
        mend = next((mend for words, mend in _YAML_HELP.items() if words in what), "")
        if source.line(span.line)[span.column - 1 : span.column] == "\t":
            what, mend = "a tab cannot indent a line", "put two spaces in place of each tab"
        elif (found := _misplaced(source, what, span)) is not None:
            what, mend, related = found.what, found.mend, ()
            span = span if span.line == found.line else _at(source, found.line, 1)
        raise SpecError([Diagnostic("yaml-syntax", f"not YAML: {what}", span, related=related, help=mend)]) from None
    except yaml.YAMLError as error:  # a character YAML does not allow
        what = str(getattr(error, "reason", error))
        position = getattr(error, "position", 0)
        raise _stop("yaml-syntax", f"not YAML: {what}", _after(source, position if isinstance(position, int) else 0)) from None


def _misplaced(source: Source, what: str, span: Span) -> Misplaced | None:
    """What line is indented wrongly, if that is why a text is no YAML."""
    lines = source.text.splitlines()
    if not 0 < span.line <= len(lines):
        return None
    if "mapping values are not allowed" in what:
        return too_deep(lines, span.line, span.column)
    return out_of_line(lines, span.line, span.column) if "expected key" in what or "block end" in what else None


def from_data(data: object, name: str = "<dict>") -> Source:
    """A source for a spec given as Python data: its JSON, which is YAML, so that findings have lines to point to."""
    try:
        text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise SpecError([Diagnostic("not-data", f"the spec holds something YAML cannot say: {error}", None)]) from None
    return Source(name, _JSON_ALONE.sub(lambda found: f"\\u{ord(found[0]):04x}", text), data=True)


def to_data(node: YamlNode) -> object:
    """The bare data of a tree: dict, list, str, int, float, bool, None."""
    match node:
        case ScalarNode():
            return node.value
        case SequenceNode():
            return [to_data(item) for item in node.items]
        case MappingNode():
            return {key: to_data(entry.value) for key, entry in node.entries.items()}


def mark_invalid(node: YamlNode, paths: Iterable[NodePath]) -> YamlNode:
    """The tree with the nodes at `paths` marked as invalid; a path that leads to no node marks nothing."""
    here = False
    below: dict[str | int, list[NodePath]] = {}
    for path in paths:
        if path:
            below.setdefault(path[0], []).append(path[1:])
        else:
            here = True
    match node:
        case MappingNode() if below:
            entries = {
                key: Entry(entry.key, mark_invalid(entry.value, below[key])) if key in below else entry
                for key, entry in node.entries.items()
            }
            return MappingNode(entries, node.span, here)
        case SequenceNode() if below:
            items = tuple(mark_invalid(item, below.get(number, ())) for number, item in enumerate(node.items))
            return SequenceNode(items, node.span, here)
    return replace(node, invalid=True) if here else node


def path_to(root: MappingNode, key: str) -> str:
    """Where a key stands below `root`, with dots: the first place that is the least deep. Empty where there is none."""
    level = [("", root)]
    while level:
        below: list[tuple[str, MappingNode]] = []
        for path, mapping in level:
            if key in mapping.entries:
                return path + key
            inner = ((f"{path}{name}.", entry.value) for name, entry in mapping.entries.items())
            below += [(name, value) for name, value in inner if isinstance(value, MappingNode)]
        level = below
    return ""


def suppressions(source: Source) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Lines that end in `# resnet-spec: ignore[code, ...]`, with the codes; events carry no comments."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if found := re.search(r"#\s*resnet-spec:\s*ignore\[([A-Za-z0-9_., -]+)\]\s*$", line):
            yield number, tuple(code.strip() for code in found[1].split(","))


class _TreeBuilder:
    """One pass over the events of one document, without recursion of its own beyond MAX_DEPTH."""

    def __init__(self, source: Source, text: str) -> None:
        self.source = source
        self.warnings: list[Diagnostic] = []
        self.anchors: dict[str, YamlNode] = {}
        self.open_anchors: set[str] = set()
        self.nodes = 0
        self.expanded = 0
        self.loader = Loader(text)

    def read(self) -> YamlNode:
        try:
            self._next()  # stream start
            event = self._next()
            if isinstance(event, yaml.StreamEndEvent):
                raise _stop("empty-spec", f"{self.source.name} is empty", _whole(self.source), "write `spec: 1` first")
            root = self._node(self._next(), 0)
            self._next()  # document end
            event = self._next()
            if not isinstance(event, yaml.StreamEndEvent):
                message = "a second document starts here; a spec is one document"
                mend = "put the second network into a file of its own"
                raise _stop("several-documents", message, _point(self.source, event.start_mark), mend)
            return root
        finally:
            self.loader.dispose()

    def _next(self) -> Any:
        return self.loader.get_event()

    def _node(self, event: Any, depth: int) -> YamlNode:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        span = _span(self.source, event)
        self._count(span)
        if event.tag is not None and not (event.tag == "!" and isinstance(event, yaml.ScalarEvent)):
            raise _stop("yaml-tag", f"tags such as `{event.tag}` have no meaning in a spec", span, "remove the tag")
        if isinstance(event, yaml.ScalarEvent):
            node: YamlNode = self._scalar(event, span)
        else:
            if depth >= MAX_DEPTH:
                raise _stop("too-deep", f"nested deeper than {MAX_DEPTH} levels", span, "is a bracket never closed?")
            if event.anchor is not None:
                self.open_anchors.add(event.anchor)
            node = self._sequence(span, depth) if isinstance(event, yaml.SequenceStartEvent) else self._mapping(span, depth)
            self.open_anchors.discard(event.anchor)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _count(self, span: Span) -> None:
        self.nodes += 1
        self.expanded += 1
        if self.nodes > MAX_NODES:
            raise _stop("too-many-nodes", f"more than {MAX_NODES:,} values", span)
        self._limit_expanded(span)

    def _limit_expanded(self, span: Span) -> None:
        if self.expanded > MAX_EXPANDED:
            raise _stop("too-many-nodes", f"more than {MAX_EXPANDED:,} values once aliases are followed", span)

    def _alias(self, event: Any, depth: int) -> YamlNode:
        span = _span(self.source, event)
        name = event.anchor
        if name in self.open_anchors:
            mend = "repeat the value that is meant in place of the alias"
            raise _stop("alias-cycle", f"`*{name}` stands inside the value that `&{name}` names", span, mend)
        if name not in self.anchors:
            mend = f"write the value itself here, or `&{name}` before it where it stands first"
            raise _stop("unknown-alias", f"no `&{name}` stands before this `*{name}`", span, mend)
        target = self.anchors[name]
        self._count(span)
        size, height = _size(target, MAX_EXPANDED)
        self.expanded += size
        self._limit_expanded(span)
        if depth + height > MAX_DEPTH:
            raise _stop("too-deep", f"nested deeper than {MAX_DEPTH} levels once aliases are followed", span)
        return _moved(target, span)

    def _sequence(self, span: Span, depth: int) -> SequenceNode:
        items: list[YamlNode] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return SequenceNode(tuple(items), _until(span, event))

    def _mapping(self, span: Span, depth: int) -> MappingNode:
        entries: dict[str, Entry] = {}
        cut: list[ScalarNode] = []  # the pieces of `max(8, classes)` where a comma has cut it
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            if cut and isinstance(key, ScalarNode):
                cut.append(key)
                if ")" in key.text:
                    raise _cut_call(cut)
            name = self._key(key)
            if name in entries:
                first = Label(entries[name].key, "first here")
                message, mend = f"the key `{name}` stands twice", "remove one of them, or rename it"
                raise SpecError([Diagnostic("duplicate-key", message, key.span, "again here", (first,), mend)])
            value = self._node(self._next(), depth + 1)
            entries[name] = Entry(key.span, value)
            if isinstance(value, ScalarNode) and value.unquoted and value.text.count("(") > value.text.count(")"):
                cut = [value]
        return MappingNode(entries, _until(span, event))

    def _key(self, key: YamlNode) -> str:
        if isinstance(key, ScalarNode):
            if key.text == "<<" and key.unquoted:
                message = "`<<` is not part of YAML 1.2, so it merges nothing here"
                raise _stop("merge-key", message, key.span, "use `extends`, or repeat the fields")
            if isinstance(key.value, str):
                return key.value
            if isinstance(key.value, int) and re.fullmatch(r"0|[1-9][0-9]*", key.text):
                return key.text
            what = {type(None): "null", bool: "a truth value"}.get(type(key.value), "a number")
            message = f"a key must be a string, and `{key.text}` is {what}"
            raise _stop("key-type", message, key.span, f'write "{key.text}" in quotes if that is the name')
        raise _stop("key-type", "a key must be a string, not a list or a mapping", key.span)

    def _scalar(self, event: Any, span: Span) -> ScalarNode:
        text: str = event.value
        if not event.implicit[0]:  # quoted, or a block scalar
            return ScalarNode(text, span, text, unquoted=False)
        if text in _WORDS:
            return ScalarNode(_WORDS[text], span, text)
        if _INT.fullmatch(text):
            if len(text.lstrip("+-0")) > MAX_DIGITS:
                raise _stop("number-too-large", f"a whole number of more than {MAX_DIGITS} digits", span, "write fewer digits")
            if _OLD_OCTAL.fullmatch(text):
                self._warn(
                    span, f"`{text}` is the decimal number {int(text)} (YAML 1.1 read it as octal)", f"write {int(text)}"
                )
            return ScalarNode(int(text), span, text)
        if _OTHER_BASE.fullmatch(text):
            if len(text) > MAX_DIGITS:
                raise _stop("number-too-large", f"a whole number of more than {MAX_DIGITS} digits", span, "write fewer digits")
            return ScalarNode(int(text, 0), span, text)
        if _NOT_FINITE.fullmatch(text):
            raise _stop("number-too-large", f"`{text}` is no finite number", span, "write a number, or quote a string")
        if _FLOAT.fullmatch(text):
            value = float(text)
            if value in (float("inf"), float("-inf")):
                raise _stop("number-too-large", f"`{text}` is larger than a number can be", span)
            return ScalarNode(value, span, text)
        self._warn_of_yaml_1_1(text, span)
        return ScalarNode(text, span, text)

    def _warn_of_yaml_1_1(self, text: str, span: Span) -> None:
        if (meant := _OLD_BOOLS.get(text.lower())) is not None and len(text) > 1:
            self._warn(
                span, f"`{text}` is a string (YAML 1.1 read it as {meant})", f'write {meant}, or "{text}" for the string'
            )
        elif _OLD_BASE_60.fullmatch(text):
            self._warn(span, f"`{text}` is a string (YAML 1.1 read it as a number to base 60)", f'write "{text}" in quotes')
        elif _OLD_UNDERSCORES.fullmatch(text):
            digits = text.replace("_", "")
            self._warn(span, f"`{text}` is a string (YAML 1.1 read it as {digits})", f"write {digits}")

    def _warn(self, span: Span, message: str, mend: str) -> None:
        self.warnings.append(Diagnostic("yaml-1.1", message, span, help=mend, severity="warning"))


def _size(node: YamlNode, limit: int) -> tuple[int, int]:
    """Values in a tree, counted no further than `limit`, and how many collections stand inside each other."""
    count, height, stack = 0, 0, [(node, 0)]
    while stack and count <= limit:
        here, depth = stack.pop()
        count += 1
        match here:
            case SequenceNode(items=items):
                height = max(height, depth + 1)
                stack.extend((item, depth + 1) for item in items)
            case MappingNode(entries=entries):
                height = max(height, depth + 1)
                stack.extend((entry.value, depth + 1) for entry in entries.values())
                count += len(entries)
            case ScalarNode():
                pass
    return count, height


def _moved(node: YamlNode, use: Span) -> YamlNode:
    """The tree as it stands at an alias: every place becomes the alias, with the place under the anchor kept as second."""
    here = replace(use, anchor=node.span)
    match node:
        case ScalarNode():
            return replace(node, span=here)
        case SequenceNode():
            return SequenceNode(tuple(_moved(item, use) for item in node.items), here)
        case MappingNode():
            entries = {
                name: Entry(replace(use, anchor=entry.key), _moved(entry.value, use)) for name, entry in node.entries.items()
            }
            return MappingNode(entries, here)


def _span(source: Source, event: Any) -> Span:
    start, end = event.start_mark, event.end_mark
    return Span(source, start.line + 1, start.column + 1, end.line + 1, end.column + 1)


def _until(span: Span, event: Any) -> Span:
    """`span` stretched to a closing bracket; a block collection keeps to its first line."""
    end = event.end_mark
    if event.start_mark.index == end.index:
        return Span(span.source, span.line, span.column, span.line, span.column + 1)
    return Span(span.source, span.line, span.column, end.line + 1, end.column + 1)


def _at(source: Source, line: int, column: int) -> Span:
    return Span(source, line, column, line, column + 1)


def _after(source: Source, count: int) -> Span:
    """The place of the character that `count` others come before."""
    before = source.text[:count]
    return _at(source, before.count("\n") + 1, len(before) - before.rfind("\n"))


def _point(source: Source, mark: Any) -> Span:
    """The place of a mark; the end of the last line for one past the end, where there is no text to show."""
    if mark is None:
        return _at(source, 1, 1)
    lines = source.text.splitlines()
    if lines and mark.line >= len(lines):
        return _at(source, len(lines), len(lines[-1]) + 1)
    return _at(source, mark.line + 1, mark.column + 1)


def _whole(source: Source) -> Span:
    return _at(source, 1, 1)


def _cut_call(pieces: list[ScalarNode]) -> SpecError:
    """A call inside `{...}` that was written without quotes, so that YAML took its commas for its own."""
    first, last = pieces[0].span, pieces[-1].span
    span = Span(first.source, first.line, first.column, last.end_line, last.end_column)
    call = ", ".join(piece.text for piece in pieces)
    return _stop(
        "unquoted-call", "inside `{...}` a comma ends the value, so this call is cut", span, f'write "{call}" in quotes'
    )


def _stop(code: str, message: str, span: Span, mend: str = "") -> SpecError:
    return SpecError([Diagnostic(code, message, span, help=mend)])
