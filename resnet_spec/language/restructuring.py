"""Edits that move entries of a document to another level, and that give names to the items of a list.

As in `editing`, each function returns the edits, or none where the text is of a form that it cannot edit.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from resnet_spec.diagnostics import Edit, Source, Span
from resnet_spec.language.editing import Edits, cut, end_of, indent_lines, is_flow, locate, remove_entry, root_of
from resnet_spec.language.nodes import Entry, MappingNode, ScalarNode, SequenceNode, YamlNode

STEP = 2  # spaces


def wrap_entries(source: Source, names: Sequence[str], parent: str) -> Edits:
    """Move neighboring entries at the top of a document below a new entry `parent`, or to the end of that entry."""
    root = root_of(source)
    if root is None or is_flow(root) or not all(name in root.entries for name in names):
        return ()
    entries = [root.entries[name] for name in names]
    last = end_of(entries[-1])
    if last is None or any(entry.key.column != 1 for entry in entries):
        return ()
    first = entries[0].key.line
    if parent not in root.entries:
        at = Span(source, first, 1, first, 1)
        return (Edit(at, f"{parent}:\n"), *indent_lines(source, first, last[0], STEP))
    return _append(source, root.entries[parent], entries, names, last[0])


def wrap_inside(keys: Sequence[Span], parent: str) -> Edits:
    """Move neighboring entries of a mapping in block style below a new entry of that mapping."""
    located = [each for key in keys if (each := locate(key)) is not None]
    if len(located) != len(keys) or not keys or any(each.parent is not located[0].parent for each in located):
        return ()
    mapping, names = located[0].parent, [each.name for each in located]
    order = list(mapping.entries)
    first, last = order.index(names[0]), end_of(located[-1].entry)
    if is_flow(mapping) or parent in order or last is None or order[first : first + len(names)] != names:
        return ()
    key = keys[0]
    indent = " " * (key.column - 1)
    return (*cut(key, (key.line, 1), (key.line, 1), f"{indent}{parent}:\n"), *indent_lines(key.source, key.line, last[0], STEP))


def move_before(key: Span, other: Span) -> Edits:
    """Move an entry of one or more lines before another entry of the same mapping in block style."""
    moved, before = locate(key), locate(other)
    end = None if moved is None else end_of(moved.entry)
    if moved is None or before is None or end is None or moved.parent is not before.parent or is_flow(moved.parent):
        return ()
    text = "".join(f"{key.source.line(number)}\n" for number in range(key.line, end[0] + 1))
    return (*cut(other, (other.line, 1), (other.line, 1), text), *cut(key, (key.line, 1), (end[0] + 1, 1)))


def move_to_part(keys: Sequence[Span], part: str) -> Edits:
    """Move the last entries of a part of a spec into a new part at the end of the text."""
    source = keys[0].source
    located = [each for key in keys if (each := locate(key)) is not None]
    root = root_of(source)
    if root is None or part in root.entries or len(located) != len(keys):
        return ()
    mapping, end = located[0].parent, end_of(located[-1].entry)
    order = list(mapping.entries)
    if is_flow(mapping) or is_flow(root) or end is None or [each.name for each in located] != order[-len(keys) :]:
        return ()
    lines = [source.line(number) for number in range(keys[0].line, end[0] + 1)]
    last, is_open = len(source.lines), not source.text.endswith(("\n", "\r"))
    place = (last, len(source.line(last)) + 1) if is_open else (last + 1, 1)
    text = ("\n" if is_open else "") + "".join(f"{line}\n" for line in (f"{part}:", *lines))
    return (*cut(keys[0], (keys[0].line, 1), (end[0] + 1, 1)), *cut(keys[0], place, place, text))


def _append(source: Source, parent: Entry, entries: Sequence[Entry], names: Sequence[str], last: int) -> Edits:
    """Move the lines of entries to the end of the mapping of another entry."""
    value = parent.value
    if not isinstance(value, MappingNode) or value.span.anchor is not None or not value.entries:
        return ()
    first, end = entries[0].key.line, end_of(parent)
    if end is None or first <= end[0] <= last:
        return ()
    lines = [source.line(number) for number in range(first, last + 1)]
    if not is_flow(value):
        indent = " " * (next(iter(value.entries.values())).key.column - 1)
        text = "".join(f"\n{indent}{line}" if line.strip() else "\n" for line in lines)
        added = cut(parent.key, (end[0], len(source.line(end[0])) + 1), (end[0], len(source.line(end[0])) + 1), text)
    elif len(lines) == len(entries):
        code = [line[: (end_of(entry) or (0, 0))[1] - 1] for line, entry in zip(lines, entries, strict=True)]
        added = cut(parent.key, (end[0], end[1] - 1), (end[0], end[1] - 1), "".join(f", {each}" for each in code))
    else:
        return ()
    return (*added, *cut(parent.key, (first, 1), (last + 1, 1)))


def unwrap_entry(key: Span) -> Edits:
    """Remove the line of an entry in block style, and take its entries one level up."""
    located = locate(key)
    if located is None or not isinstance(located.entry.value, MappingNode) or is_flow(located.entry.value):
        return ()
    end, inner = end_of(located.entry), located.entry.value.entries
    if end is None or set(inner) & set(located.parent.entries):
        return ()
    first = next(iter(inner.values())).key
    if first.line == key.line:
        return ()
    return (
        *cut(key, (key.line, 1), (key.line + 1, 1)),
        *indent_lines(key.source, key.line + 1, end[0], key.column - first.column),
    )


def indent_following(key: Span, stop: Collection[str] = (), only: Collection[str] = ()) -> Edits:
    """Indent the entries that follow one without a value, so that they belong to it: up to an entry whose name is in `stop`,
    or, if `only` has names, as long as theirs are among them."""
    located = locate(key)
    if located is None or is_flow(located.parent):
        return ()
    names = list(located.parent.entries)
    moved: list[Entry] = []
    for name in names[names.index(located.name) + 1 :]:
        if name in stop or (only and name not in only):
            break
        moved.append(located.parent.entries[name])
    end = end_of(moved[-1]) if moved else None
    return () if end is None else indent_lines(key.source, moved[0].key.line, end[0], STEP)


def insert_entries_after(key: Span, entries: Sequence[tuple[str, str]]) -> Edits:
    """Insert entries, each a name and a text, behind another one of the same mapping."""
    located = locate(key)
    end = None if located is None else end_of(located.entry)
    if located is None or end is None or not entries or any(name in located.parent.entries for name, _ in entries):
        return ()
    if is_flow(located.parent):
        return cut(key, end, end, "".join(f", {name}: {text}" for name, text in entries))
    at = (end[0], len(key.source.line(end[0])) + 1)
    return cut(key, at, at, "".join(f"\n{' ' * (key.column - 1)}{name}: {text}" for name, text in entries))


def name_items(items: SequenceNode, names: Sequence[str]) -> Edits:
    """Make a mapping of a list: each item gets a name, or is an entry already where its name is empty."""
    source, span = items.span.source, items.span
    if span.anchor is not None or any(item.span.anchor is not None for item in items.items):
        return ()
    if is_flow(items):
        if span.line == span.end_line:
            return _name_flow(items, names)
        return ()
    dashes = [_dash(source, item.span) for item in items.items]
    if any(dash is None for dash in dashes):
        return ()
    above = next(number for number in range(span.line - 1, -1, -1) if source.line(number).strip() or not number)
    parent = source.line(above)
    shift = STEP if len(parent) - len(parent.lstrip(" ")) == span.column - 1 else 0
    end = end_of(Entry(span, items))
    if end is None:
        return ()
    edits: list[Edit] = []
    for number, (item, name) in enumerate(zip(items.items, names, strict=True)):
        last = items.items[number + 1].span.line - 1 if number + 1 < len(items.items) else end[0]
        edits += _name_block_item(source, item, name, shift)
        column = len(source.line(item.span.line)) - len(source.line(item.span.line).lstrip(" ")) + 1
        back = shift if name else shift - (item.span.column - column)  # an entry moves to the place of its dash
        begin = edits[-1].span.end_line + 1
        if back:
            edits += indent_lines(source, begin, last, back)
    return tuple(edits)


def _name_block_item(source: Source, item: YamlNode, name: str, shift: int) -> list[Edit]:
    """The dash of an item replaced by its name. A field `name` of the item is that name, and is removed."""
    line, span = source.line(item.span.line), item.span
    indent = " " * (len(line) - len(line.lstrip(" ")) + shift)
    start = (span.line, 1)
    own = _own_name(item)
    if isinstance(item, MappingNode) and not is_flow(item):
        if not name:
            return [*cut(span, start, (span.line, span.column), indent)]
        keys = [entry.key for entry in item.entries.values()]
        first = keys[1] if own and len(keys) > 1 else keys[0]
        text = f"{indent}{name}:\n{' ' * (keys[0].column - 1 + shift)}"
        return [*cut(span, start, (first.line, first.column), text)]
    edits = [*cut(span, start, (span.line, span.column), indent + (f"{name}: " if name else ""))]
    if own and isinstance(item, MappingNode):
        edits += remove_entry(item.entries["name"].key)
    return edits


def _own_name(item: YamlNode) -> str:
    """The name that a mapping gives itself in its first field, `name`."""
    if not isinstance(item, MappingNode) or next(iter(item.entries), "") != "name" or len(item.entries) == 1:
        return ""
    node = item.entries["name"].value
    return node.text if isinstance(node, ScalarNode) and node.text.isidentifier() else ""


def _name_flow(items: SequenceNode, names: Sequence[str]) -> Edits:
    span = items.span
    source, end = span.source, Span(span.source, span.end_line, span.end_column - 1, span.end_line, span.end_column)
    edits = [Edit(Span(source, span.line, span.column, span.line, span.column + 1), "{"), Edit(end, "}")]
    for item, name in zip(items.items, names, strict=True):
        at = item.span
        if not name:
            return ()
        edits.append(Edit(Span(source, at.line, at.column, at.line, at.column), f"{name}: "))
        if _own_name(item) and isinstance(item, MappingNode):
            edits += remove_entry(item.entries["name"].key)
    return tuple(edits)


def _dash(source: Source, span: Span) -> int | None:
    """The column of the dash before an item, if nothing else is before it on its line."""
    before = source.line(span.line)[: span.column - 1]
    return before.index("-") + 1 if before.strip() == "-" else None


def item_names(items: SequenceNode, word: str, taken: Collection[str] = ()) -> list[str]:
    """A name for each item of a list: that of its operation with a number, or `word` with a number.

    It is empty for an item that is an entry with a name already, such as `conv1: {op: conv2d}`.
    """
    names: list[str] = []
    used = set(taken)
    for item in items.items:
        if isinstance(item, MappingNode) and len(item.entries) == 1 and "op" not in item.entries:
            names.append("")
            continue
        if own := _own_name(item):
            names.append(own)
            used.add(own)
            continue
        name = _word_for(item) or word
        if name[-1].isdigit() and name not in used:
            names.append(name)
            used.add(name)
            continue
        number = next(each for each in range(1, len(used) + 2) if f"{name}{each}" not in used)
        used.add(f"{name}{number}")
        names.append(f"{name}{number}")
    return names


_SHORT = {"conv2d": "conv", "batch_norm": "bn", "norm": "bn", "act": "relu", "linear": "fc", "adaptive_avg_pool2d": "pool"}


def _word_for(item: YamlNode) -> str:
    op = item.get("op") if isinstance(item, MappingNode) else item
    text = op.text if isinstance(op, ScalarNode) else ""
    return _SHORT.get(text, text) if text.isidentifier() else ""
