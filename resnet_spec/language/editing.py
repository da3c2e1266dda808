"""Edits of the text of a document: fields set and removed where they are written, with its comments and layout kept.

Each function returns the edits, or none where the text is of a form that it cannot edit: then there is no fix, only its
description. What an alias repeats is not edited, since that would change other places. So many places of a text are edited, and
so many lines with one fix, that a text with thousands of mistakes is checked fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from resnet_spec.diagnostics import Edit, ResnetSpecError, Source, Span
from resnet_spec.diagnostics.edits import Point
from resnet_spec.diagnostics.effort import may_edit
from resnet_spec.language.nodes import Entry, MappingNode, ScalarNode, SequenceNode, YamlNode
from resnet_spec.language.reader import parse

MOST_CHARACTERS = 200_000  # of a text that is edited
MOST_LINES = 500  # that one fix indents or moves
Edits = tuple[Edit, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Located:
    """An entry of a text, the mapping that it is in, and its neighbors there."""

    parent: MappingNode
    name: str
    entry: Entry
    before: Entry | None = None
    after: Entry | None = None


class EditableText:
    """The tree of one text, with its entries by the places of their keys."""

    def __init__(self, source: Source, root: MappingNode) -> None:
        self.source, self.root = source, root
        self.located = {(each.entry.key.line, each.entry.key.column): each for each in _entries(root)}

    def find(self, key: Span) -> Located | None:
        """The entry whose key is at a place."""
        return self.located.get((key.line, key.column))


def _entries(node: YamlNode) -> Iterator[Located]:
    stack: list[YamlNode] = [node]
    while stack:
        here = stack.pop()
        if here.span.anchor is not None:
            continue
        if isinstance(here, MappingNode):
            entries = [None, *here.entries.values(), None]
            for name, before, entry, after in zip(here.entries, entries, entries[1:], entries[2:], strict=False):
                assert entry is not None
                yield Located(here, name, entry, before, after)
                stack.append(entry.value)
        elif isinstance(here, SequenceNode):
            stack.extend(here.items)


@lru_cache(maxsize=8)
def editable(source: Source) -> EditableText | None:
    """The tree of a text that its author can change; None if there is none."""
    if source.origin != "spec" or source.data or len(source.text) > MOST_CHARACTERS:
        return None
    try:
        root, _ = parse(source)
    except ResnetSpecError:
        return None
    return EditableText(source, root) if isinstance(root, MappingNode) else None


def root_of(source: Source) -> MappingNode | None:
    """The entries at the top of a text that its author can change; None if there is none."""
    found = editable(source)
    return None if found is None else found.root


def replace_text(span: Span, text: str) -> Edits:
    """Write `text` in the place of a span."""
    if span.anchor is not None or span.source.origin != "spec" or span.source.data:
        return ()
    return (Edit(span, text),)


def replace_value(node: YamlNode, text: str) -> Edits:
    """Write `text` in the place of a value, which has to be on one line or in brackets."""
    if isinstance(node, ScalarNode) and node.text:
        return replace_text(node.span, text)
    if not isinstance(node, ScalarNode) and is_flow(node):
        return replace_text(node.span, text)
    return ()


def set_field(key: Span, path: str | Sequence[str], text: str) -> Edits:
    """Set a field of the entry with its key at `key`, or what is at a path below it.

    A bare word becomes a mapping with `op`.
    """
    located = locate(key)
    return () if located is None else _set_below(located, (path,) if isinstance(path, str) else path, text)


def set_path(source: Source, path: Sequence[str], text: str) -> Edits:
    """Set the value at a path of a document to `text`, with the mappings that are missing on the way."""
    root = root_of(source) if may_edit((source, *path)) else None
    if root is None:
        return ()
    first, *rest = path
    if first not in root.entries:
        return _insert(root, first, _nested(rest, text))
    return _set_below(Located(root, first, root.entries[first]), rest, text)


def remove_entry(key: Span) -> Edits:
    """Remove the entry with its key at `key`, with its lines or its comma."""
    located = locate(key)
    if located is None or len(located.parent.entries) == 1:
        return ()
    if is_flow(located.parent):
        if located.after is not None:
            return cut(key, _begin(key), _begin(located.after.key))
        before = None if located.before is None else end_of(located.before)
        end = end_of(located.entry)
        return () if before is None or end is None else cut(key, before, end)
    end = end_of(located.entry)
    if end is None or key.source.line(key.line)[: key.column - 1].strip():
        return ()
    if located.after is not None and located.after.key.line == end[0]:
        return ()
    return cut(key, (key.line, 1), (end[0] + 1, 1))


def remove_entries(keys: Sequence[Span]) -> Edits:
    """Remove several entries of one mapping, but not all of it."""
    located = [each for key in keys if (each := locate(key)) is not None]
    if len(located) != len(keys) or len({id(each.parent) for each in located}) != 1:
        return ()
    parent, names = located[0].parent, {each.name for each in located}
    if len(names) == len(parent.entries):
        return ()
    if not is_flow(parent):
        found = [remove_entry(key) for key in keys]
        return tuple(edit for edits in found for edit in edits) if all(found) else ()
    edits: list[Edit] = []
    order, written = list(parent.entries.values()), list(parent.entries)
    begin = 0
    while begin < len(order):
        stop = begin
        while stop < len(order) and written[stop] in names:
            stop += 1
        if stop > begin:  # a run of entries that are removed
            first, last = order[begin], order[stop - 1]
            before, end = end_of(order[begin - 1]) if begin else None, end_of(last)
            if stop < len(order):
                edits += cut(first.key, _begin(first.key), _begin(order[stop].key))
            elif before is not None and end is not None:
                edits += cut(first.key, before, end)
            else:
                return ()
        begin = stop + 1
    return tuple(edits)


def insert_first_line(source: Source, text: str) -> Edits:
    """Write a line before all others; comments at the beginning stay above it."""
    number = 1
    while source.line(number).startswith(("#", "%", "---")):
        number += 1
    return replace_text(Span(source, number, 1, number, 1), f"{text}\n")


def rename_field(key: Span, old: str, new: str) -> Edits:
    """Rename the field `old` of the entry with its key at `key`."""
    located = locate(key)
    value = None if located is None else located.entry.value
    if not isinstance(value, MappingNode) or old not in value.entries or new in value.entries:
        return ()
    return replace_text(value.entries[old].key, new)


def remove_field(key: Span, name: str) -> Edits:
    """Remove the field `name` of the entry with its key at `key`."""
    located = locate(key)
    value = None if located is None else located.entry.value
    if not isinstance(value, MappingNode) or name not in value.entries:
        return ()
    return remove_entry(value.entries[name].key)


def indent_under_sibling(key: Span) -> tuple[str, Edits]:
    """Indent an entry so that it belongs to the entry before it, if that has no value; returns the name of that entry.

    The entries between the two, if any, are indented already or are indented as well.
    """
    located = locate(key)
    if located is None or is_flow(located.parent):
        return "", ()
    siblings = list(located.parent.entries)
    before = siblings.index(located.name) - 1
    while before >= 0 and isinstance(located.parent.entries[siblings[before]].value, MappingNode):
        before -= 1
    above = located.parent.entries[siblings[before]].value if before >= 0 else None
    end = end_of(located.entry)
    if not isinstance(above, ScalarNode) or above.text or not above.unquoted or end is None:
        return "", ()
    return siblings[before], indent_lines(key.source, key.line, end[0], 2)


def indent_lines(source: Source, first: int, last: int, by: int) -> Edits:
    """Indent the lines from `first` to `last` by a number of spaces; a negative one takes spaces away."""
    if last - first >= MOST_LINES:
        return ()
    edits = []
    for number in range(first, last + 1):
        line = source.line(number)
        spaces = len(line) - len(line.lstrip(" "))
        if line.strip() and spaces + by >= 0:
            edits.append(Edit(Span(source, number, 1, number, spaces + 1), " " * (spaces + by)))
    return tuple(edits)


# --- inside one mapping ------------------------------------------------------------------------------------------------------


def locate(key: Span) -> Located | None:
    """The entry of a text with its key at `key`; None if too many others were located before."""
    if key.anchor is not None or not may_edit((key.source, key.line, key.column)):
        return None
    found = editable(key.source)
    return None if found is None else found.find(key)


def _set_below(located: Located, path: Sequence[str], text: str) -> Edits:
    """Set what is at `path` below an entry."""
    value = located.entry.value
    if value.span.anchor is not None or _is_anchored(value):
        return ()
    if not path:
        return replace_value(value, text)
    if isinstance(value, ScalarNode):
        if value.text and value.unquoted and isinstance(value.value, str):
            return replace_text(value.span, f"{{op: {_source_text(value.span)}, {path[0]}: {_nested(path[1:], text)}}}")
        return ()
    if not isinstance(value, MappingNode):
        return ()
    if path[0] in value.entries:
        return _set_below(Located(value, path[0], value.entries[path[0]]), path[1:], text)
    return _insert(value, path[0], _nested(path[1:], text))


def _insert(mapping: MappingNode, name: str, text: str) -> Edits:
    """Add an entry at the end of a mapping."""
    source, entries = mapping.span.source, list(mapping.entries.values())
    if not entries:
        return replace_text(mapping.span, f"{{{name}: {text}}}")
    end = end_of(entries[-1])
    if end is None:
        return ()
    if is_flow(mapping):
        return cut(mapping.span, end, end, f", {name}: {text}")
    line, column = end[0], len(source.line(end[0])) + 1
    return cut(mapping.span, (line, column), (line, column), f"\n{' ' * (entries[0].key.column - 1)}{name}: {text}")


def _nested(path: Sequence[str], text: str) -> str:
    for name in reversed(path):
        text = f"{{{name}: {text}}}"
    return text


# --- places ------------------------------------------------------------------------------------------------------------------


def cut(near: Span, start: Point, stop: Point, text: str = "") -> Edits:
    """Write `text` in the place of what is from one place to another of a source."""
    return replace_text(Span(near.source, *start, *stop), text)


def _begin(span: Span) -> Point:
    return span.line, span.column


def _character(span: Span) -> str:
    return span.source.line(span.line)[span.column - 1 : span.column]


def is_flow(node: MappingNode | SequenceNode) -> bool:
    """Whether a mapping or a list is written in brackets."""
    return _character(node.span) in "{["


def _is_anchored(node: YamlNode) -> bool:
    return _character(node.span) == "&"


def _source_text(span: Span) -> str:
    """The text of a span on one line."""
    return span.source.line(span.line)[span.column - 1 : span.end_column - 1]


def end_of(entry: Entry) -> Point | None:
    """Where the value of an entry ends; None if that is not known, as for texts of several lines."""
    key, value = entry.key, entry.value
    while True:
        if value.span.anchor is not None:  # an alias
            return value.span.end_line, value.span.end_column
        if isinstance(value, ScalarNode):
            if not value.text and value.unquoted:  # nothing after the colon
                line = key.source.line(key.end_line)
                colon = line.find(":", key.end_column - 1)
                return None if colon < 0 else (key.end_line, colon + 2)
            return (value.span.end_line, value.span.end_column) if value.span.line == value.span.end_line else None
        if is_flow(value):
            return value.span.end_line, value.span.end_column
        if isinstance(value, SequenceNode):
            value = value.items[-1]
        else:
            last = list(value.entries.values())[-1]
            key, value = last.key, last.value
