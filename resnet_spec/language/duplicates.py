"""Explains a key that is given twice."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from resnet_spec.diagnostics import Diagnostic, Edit, Fix, Label, Source, Span
from resnet_spec.language.fixes import DIGITS
from resnet_spec.language.nodes import Entry, MappingNode, ScalarNode, SequenceNode, YamlNode, to_data

MOST_DIGITS = 9  # of a number at the end of a name that is counted on
_OPERATIONS = (
    "stem",
    "head",
    "branch",
    "shortcut",
    "after",
    "ops",
)  # where a name that is used twice is most likely two layers


def explain_duplicate(name: str, again: Entry, entries: Mapping[str, Entry]) -> Diagnostic:
    """The finding for a key that is given `again`, after the `entries` of the same mapping.

    The second of two layers with one name gets a number. A second key is removed only if its value is that of the first.
    """
    first = entries[name]
    message = f"the key `{name}` is given twice"
    label = Label(first.key, "first here")
    help = "remove one of them, or rename it"
    fixes: tuple[Fix, ...] = ()
    equal = to_data(first.value) == to_data(again.value)
    if _is_layer(again, entries):
        other = _numbered(name, entries)
        help = f"rename it, for example to `{other}`: the name of a layer is its key in the state_dict"
        fixes = (Fix(f"rename it to `{other}`", (Edit(again.key, other),)),)
    elif equal and (edit := _removal(again)) is not None:
        help = "remove it: both values are the same"
        is_field = "op" in entries or again.key.column == 1
        fixes = (Fix(help, (edit,), "safe" if is_field else "likely"),)
    elif isinstance(first.value, MappingNode) and isinstance(again.value, MappingNode):
        help = f"write the entries of both under one `{name}:`"
    return Diagnostic("duplicate-key", message, again.key, "again here", (label,), help, fixes=fixes)


def _is_layer(again: Entry, entries: Mapping[str, Entry]) -> bool:
    """Whether a key is most likely the name of an operation: its value is one, and it is not a field."""
    value = again.value
    if "op" in entries or again.key.column == 1 or again.key.anchor is not None:
        return False
    if isinstance(value, MappingNode):
        return "op" in value.entries
    return isinstance(value, ScalarNode) and isinstance(value.value, str) and _part_above(again.key) in _OPERATIONS


def _part_above(key: Span) -> str:
    """The key of the mapping that an entry is in, in block style or on one line."""
    source = key.source
    before = source.line(key.line)[: key.column - 1]
    if (found := re.findall(r"(?<![A-Za-z_])([A-Za-z_]+):\s*\{", before)) and before.strip():
        return str(found[-1])
    for number in range(key.line - 1, 0, -1):
        line = source.line(number)
        if line.strip() and not line.lstrip().startswith("#") and len(line) - len(line.lstrip(" ")) < key.column - 1:
            return line.partition(":")[0].strip()
    return ""


def _numbered(name: str, taken: Collection[str]) -> str:
    """The name with the next number that is free: `relu2` for `relu`, `conv3` for `conv2`."""
    word = name.rstrip(DIGITS)
    digits = name.removeprefix(word)
    number = int(digits or 1) + 1 if len(digits) <= MOST_DIGITS else 2
    while f"{word}{number}" in taken:
        number += 1
    return f"{word}{number}"


def _removal(entry: Entry) -> Edit | None:
    """The edit that removes an entry of one line, with its line or its comma."""
    key, value = entry.key, entry.value
    if key.anchor is not None or value.span.anchor is not None or key.line != value.span.end_line or not _ends_known(value):
        return None
    source, line = key.source, key.source.line(key.line)
    before = line[: key.column - 1]
    if not before.strip():
        return Edit(_lines(source, key.line), "")
    comma = before.rstrip()
    if not comma.endswith(","):
        return None
    return Edit(Span(source, key.line, len(comma), key.line, value.span.end_column), "")


def _lines(source: Source, number: int) -> Span:
    return Span(source, number, 1, number + 1, 1)


def _ends_known(value: YamlNode) -> bool:
    if isinstance(value, MappingNode | SequenceNode):
        return value.span.source.line(value.span.line)[value.span.column - 1 : value.span.column] in ("{", "[")
    return bool(value.text)
