"""Reads YAML text into a tree of nodes that know their places in it.

The text is untrusted: its size, depth and number of values are limited. The tree is built from YAML *events*, because
composing recurses (100,000 brackets crash the C loader) and expands aliases before they can be counted. Scalars follow the core
schema of YAML 1.2 (see `scalars`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml

from resnet_spec.diagnostics import (
    Diagnostic,
    DocumentKind,
    Edit,
    Fix,
    Origin,
    ResnetSpecError,
    Source,
    Span,
    document_error,
)
from resnet_spec.language.nodes import (
    Entry,
    MappingNode,
    ScalarNode,
    SequenceNode,
    YamlNode,
    move_to_alias,
    to_data,
)
from resnet_spec.language.punctuation import find_full_width
from resnet_spec.language.python_data import from_data
from resnet_spec.language.scalars import ScalarError, read_scalar

__all__ = ["Entry", "MappingNode", "ScalarNode", "SequenceNode", "YamlNode", "from_data", "parse", "to_data"]

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_NODES = 50_000
MAX_EXPANDED = 200_000
MAX_KEPT = 16 * 1024  # characters of a text whose tree is kept

_PAIR_IN_PARENTHESES = re.compile(r"\(\s*([0-9]{1,4})\s*,\s*([0-9]{1,4})\s*\)")

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True, eq=False)
class DocumentSize:
    """The total size of documents: bytes, values as written, and values once aliases are followed."""

    bytes: int = 0
    nodes: int = 0
    expanded: int = 0


def parse(
    source: Source, text: str | None = None, kind: DocumentKind = "spec", size: DocumentSize | None = None
) -> tuple[YamlNode, tuple[Diagnostic, ...]]:
    """Read one YAML document.

    Args:
        text: a part of the source's text to read instead of all of it, moved to its place with spaces.
        kind: what the document is, for the messages and the class of the error.
        size: the numbers of values of this document are added to it.

    Returns:
        The root of the tree, and the warnings.

    Raises:
        SpecError, RecipeError: at the first thing that cannot be read.
    """
    error = document_error(kind)
    if len(source.text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        message = f"{source.name} is larger than {MAX_BYTES:,} bytes"
        raise error([Diagnostic("too-large", message, _start(source))])
    if surrogate := re.search("[\ud800-\udfff]", source.text):
        place = _after(source, surrogate.start())
        raise error([Diagnostic("yaml-syntax", "not YAML: an unpaired surrogate is not a character", place)])
    try:
        builder = _TreeBuilder(source, source.text if text is None else text, kind)
        root = builder.read()
        if size is not None:
            size.nodes += builder.nodes
            size.expanded += builder.expanded
        return root, tuple(builder.warnings)
    except yaml.MarkedYAMLError as problem:
        if found := find_full_width(source):
            raise error(found) from None
        from resnet_spec.language.syntax_errors import explain_syntax_error  # only texts with this mistake need it

        raise error([explain_syntax_error(source, problem)]) from None
    except yaml.YAMLError as problem:  # a character that YAML does not allow
        position = getattr(problem, "position", 0)
        place = _after(source, position if isinstance(position, int) else 0)
        raise error([Diagnostic("yaml-syntax", f"not YAML: {getattr(problem, 'reason', problem)}", place)]) from None


def parse_again(source: Source, kind: DocumentKind, size: DocumentSize) -> tuple[YamlNode, tuple[Diagnostic, ...]]:
    """As `parse`, for a text that is often read: the trees of the last short ones are kept, with the source of the first."""
    if len(source.text) > MAX_KEPT or source.data:
        return parse(source, kind=kind, size=size)
    root, warnings, nodes, expanded = _parse_short(source.name, source.text, source.origin, kind)
    size.nodes += nodes
    size.expanded += expanded
    return root, warnings


@lru_cache(maxsize=64)
def _parse_short(name: str, text: str, origin: Origin, kind: DocumentKind) -> tuple[YamlNode, tuple[Diagnostic, ...], int, int]:
    size = DocumentSize()
    root, warnings = parse(Source(name, text, origin), kind=kind, size=size)
    return root, warnings, size.nodes, size.expanded


@dataclass(frozen=True, slots=True, eq=False)
class _Alias:
    """An alias: the node in its place, the tree that it names, and the number of values and the depth of that tree."""

    place: YamlNode
    target: YamlNode
    size: int
    height: int


class _TreeBuilder:
    """Builds the tree of one document in one pass over its events; recursion is limited to MAX_DEPTH."""

    def __init__(self, source: Source, text: str, kind: DocumentKind) -> None:
        self.source = source
        self.kind = kind
        self.warnings: list[Diagnostic] = []
        self.anchors: dict[str, YamlNode] = {}
        self.measured: dict[str, tuple[int, int]] = {}  # the size and height of what an anchor names, once it is used
        self.aliases: dict[int, _Alias] = {}  # by the id of the empty list that is in the place of an alias until the end
        self.copied: dict[int, YamlNode] = {}  # by the id of what an anchor names: the same with its aliases followed
        self.open_anchors: set[str] = set()
        self.nodes = 0
        self.expanded = 0
        self.loader = Loader(text)

    def read(self) -> YamlNode:
        try:
            self._next()  # stream start
            event = self._next()
            if isinstance(event, yaml.StreamEndEvent):
                message, help = f"{self.source.name} is empty", f"write `{self.kind}: 1` first"
                raise self._stop("empty-spec", message, _start(self.source), help)
            root = self._node(self._next(), 0)
            self._next()  # document end
            event = self._next()
            if not isinstance(event, yaml.StreamEndEvent):
                message = f"a second document starts here; a {self.kind} is one document"
                other = "network" if self.kind == "spec" else "recipe"
                mark = event.start_mark
                place = _at(self.source, mark.line + 1, mark.column + 1)
                raise self._stop("several-documents", message, place, f"put the second {other} into a separate file")
            return self._follow_aliases(root) if self.aliases else root
        finally:
            self.loader.dispose()

    def _next(self) -> Any:
        return self.loader.get_event()

    def _stop(self, code: str, message: str, span: Span, help: str = "", text: str = "") -> ResnetSpecError:
        """The error of a finding; `text` is what to write in its place, if that is the whole fix."""
        fixes = (Fix(help, (Edit(span, text),), "safe"),) if text else ()
        return document_error(self.kind)([Diagnostic(code, message, span, help=help, fixes=fixes)])

    def _node(self, event: Any, depth: int) -> YamlNode:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        span = _span(self.source, event)
        self._count(span)
        if event.tag is not None and not (event.tag == "!" and isinstance(event, yaml.ScalarEvent)):
            message = f"tags such as `{event.tag}` have no meaning in a {self.kind}"
            line = self.source.line(span.line)[span.column - 1 :]
            tag = re.match(r"!\S*\s*", line)
            place = span if tag is None else Span(self.source, span.line, span.column, span.line, span.column + tag.end())
            fixes = () if tag is None else (Fix("remove the tag", (Edit(place, ""),)),)
            error = document_error(self.kind)
            raise error([Diagnostic("yaml-tag", message, span, help="remove the tag", fixes=fixes)])
        if isinstance(event, yaml.ScalarEvent):
            node: YamlNode = self._scalar(event, span)
        else:
            if depth >= MAX_DEPTH:
                raise self._stop("too-deep", f"nested deeper than {MAX_DEPTH} levels", span, "is a bracket never closed?")
            if event.anchor is not None:
                self.open_anchors.add(event.anchor)
            node = self._sequence(span, depth) if isinstance(event, yaml.SequenceStartEvent) else self._mapping(span, depth)
            self.open_anchors.discard(event.anchor)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
            self.measured.pop(event.anchor, None)
        return node

    def _count(self, span: Span) -> None:
        self.nodes += 1
        self.expanded += 1
        if self.nodes > MAX_NODES:
            raise self._stop("too-many-nodes", f"more than {MAX_NODES:,} values", span)
        self._limit_expanded(span)

    def _limit_expanded(self, span: Span) -> None:
        if self.expanded > MAX_EXPANDED:
            raise self._stop("too-many-nodes", f"more than {MAX_EXPANDED:,} values once aliases are followed", span)

    def _alias(self, event: Any, depth: int) -> YamlNode:
        span = _span(self.source, event)
        name = event.anchor
        if name in self.open_anchors:
            message = f"`*{name}` is inside the value that `&{name}` names"
            raise self._stop("alias-cycle", message, span, "replace the alias with the intended value")
        if name not in self.anchors:
            message = f"there is no `&{name}` before this `*{name}`"
            raise self._stop("unknown-alias", message, span, f"write the value itself here, or mark it with `&{name}` above")
        target = self.anchors[name]
        self._count(span)
        if name not in self.measured:
            self.measured[name] = self._measure(target)
        size, height = self.measured[name]
        self.expanded += size
        self._limit_expanded(span)
        if depth + height > MAX_DEPTH:
            raise self._stop("too-deep", f"nested deeper than {MAX_DEPTH} levels once aliases are followed", span)
        if isinstance(target, ScalarNode):
            return move_to_alias(target, span)
        place = SequenceNode((), span)
        self.aliases[id(place)] = _Alias(place, target, size, height)
        return place

    def _measure(self, node: YamlNode) -> tuple[int, int]:
        """The number of values in a tree once aliases are followed, and how deep its collections are nested."""
        count, height, stack = 0, 0, [(node, 0)]
        while stack:
            here, depth = stack.pop()
            if (alias := self.aliases.get(id(here))) is not None:
                count += alias.size
                height = max(height, depth + alias.height)
                continue
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

    def _follow_aliases(self, node: YamlNode) -> YamlNode:
        """The tree with its aliases followed. Nothing is copied before the total size is known to be small enough."""
        if (alias := self.aliases.get(id(node))) is not None:
            key = id(alias.target)
            if key not in self.copied:
                self.copied[key] = self._follow_aliases(alias.target)
            return move_to_alias(self.copied[key], node.span)
        match node:
            case SequenceNode():
                return SequenceNode(tuple([self._follow_aliases(item) for item in node.items]), node.span)
            case MappingNode():
                entries = {name: Entry(entry.key, self._follow_aliases(entry.value)) for name, entry in node.entries.items()}
                return MappingNode(entries, node.span)
        return node

    def _sequence(self, span: Span, depth: int) -> SequenceNode:
        items: list[YamlNode] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return SequenceNode(tuple(items), _until(span, event))

    def _mapping(self, span: Span, depth: int) -> MappingNode:
        entries: dict[str, Entry] = {}
        cut: list[ScalarNode] = []  # the parts of `max(8, classes)` if a comma splits it
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            if cut and isinstance(key, ScalarNode):
                cut.append(key)
                if ")" in key.text:
                    raise self._cut_call(cut)
            name = self._key(key)
            if name in entries:
                again = Entry(key.span, self._node(self._next(), depth + 1))
                raise document_error(self.kind)([self._duplicate(name, again, entries)])
            value = self._node(self._next(), depth + 1)
            entries[name] = Entry(key.span, value)
            if isinstance(value, ScalarNode) and value.unquoted and value.text.count("(") > value.text.count(")"):
                cut = [value]
        return MappingNode(entries, _until(span, event))

    def _duplicate(self, name: str, again: Entry, entries: dict[str, Entry]) -> Diagnostic:
        """The finding for a key that is given `again`, after the `entries` of the same mapping."""
        from resnet_spec.language.duplicates import explain_duplicate  # only texts with this mistake need it

        return explain_duplicate(name, again, entries)

    def _cut_call(self, pieces: list[ScalarNode]) -> ResnetSpecError:
        """A call inside `{...}` that was written without quotes, so that its commas end values."""
        first, last = pieces[0].span, pieces[-1].span
        span = Span(first.source, first.line, first.column, last.end_line, last.end_column)
        call = ", ".join(piece.text for piece in pieces)
        if (pair := _PAIR_IN_PARENTHESES.fullmatch(call)) is not None:
            message = f"`{call}`: a height and a width are a list in square brackets, not in parentheses"
            return self._stop("unquoted-call", message, span, f"write `[{pair[1]}, {pair[2]}]`", f"[{pair[1]}, {pair[2]}]")
        message = "inside `{...}` a comma ends the value, which splits this call"
        return self._stop("unquoted-call", message, span, f'write "{call}" in quotes', f'"{call}"')

    def _key(self, key: YamlNode) -> str:
        if not isinstance(key, ScalarNode):
            raise self._stop("key-type", "a key must be a string, not a list or a mapping", key.span)
        if key.text == "<<" and key.unquoted:
            message = "`<<` is not part of YAML 1.2, so it merges nothing here"
            raise self._stop("merge-key", message, key.span, "use `extends`, or repeat the fields")
        if isinstance(key.value, str):
            return key.value
        if isinstance(key.value, int) and re.fullmatch(r"0|[1-9][0-9]*", key.text):
            return key.text
        what = {type(None): "null", bool: "a boolean"}.get(type(key.value), "a number")
        message = f"a key must be a string, but `{key.text}` is {what}"
        help = f'if this is the name, write "{key.text}" in quotes'
        raise self._stop("key-type", message, key.span, help, f'"{key.text}"')

    def _scalar(self, event: Any, span: Span) -> ScalarNode:
        text: str = event.value
        if not event.implicit[0]:  # quoted, or a block scalar
            return ScalarNode(text, span, text, unquoted=False)
        try:
            value, remark = read_scalar(text)
        except ScalarError as error:
            raise self._stop("number-too-large", error.remark.message, span, error.remark.help) from None
        if remark is not None:
            fixes = (Fix(f"write {remark.text}", (Edit(span, remark.text),)),) if remark.text else ()
            self.warnings.append(
                Diagnostic("yaml-1.1", remark.message, span, help=remark.help, severity="warning", fixes=fixes)
            )
        return ScalarNode(value, span, text)


def _span(source: Source, event: Any) -> Span:
    start, end = event.start_mark, event.end_mark
    return Span(source, start.line + 1, start.column + 1, end.line + 1, end.column + 1)


def _until(span: Span, event: Any) -> Span:
    """`span` extended to the closing bracket; the span of a block collection is its first line."""
    end = event.end_mark
    if event.start_mark.index == end.index:
        return Span(span.source, span.line, span.column, span.line, span.column + 1)
    return Span(span.source, span.line, span.column, end.line + 1, end.column + 1)


def _at(source: Source, line: int, column: int) -> Span:
    return Span(source, line, column, line, column + 1)


def _after(source: Source, count: int) -> Span:
    """The place of the character at index `count`."""
    before = source.text[:count]
    return _at(source, before.count("\n") + 1, len(before) - before.rfind("\n"))


def _start(source: Source) -> Span:
    return _at(source, 1, 1)
