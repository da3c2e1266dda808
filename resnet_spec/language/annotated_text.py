"""Writes a merged spec as one YAML text in which a comment on each line says where its values come from.

Reading the text results in the same network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from resnet_spec.diagnostics import Span, printable
from resnet_spec.diagnostics.text import display_width, pad
from resnet_spec.language.merge import Resolved
from resnet_spec.language.merge_tree import DEFAULTS
from resnet_spec.language.nodes import MappingNode, ScalarNode, SequenceNode, YamlNode, to_data
from resnet_spec.language.writer import list_bodies, write_value

_ORDER = (
    *("name", "about", "source", "input", "classes", "params", "stem", "block", "stages", "head", "outputs"),
    *("norm", "act", "roles", "init"),
)
_OWN = ("name", "about", "source")  # these are not inherited
MOST_COLUMNS = 100  # of a mapping on one line
COMMENT_COLUMN = 44
MOST_LEAVES = 30  # values of a mapping on one line
_SIZE = re.compile(r"[1-9][0-9]*(x[1-9][0-9]*)+")  # `3x224x224` needs no quotes


def write_annotated(resolved: Resolved, name: str) -> str:
    """Write a resolved spec with the place of each value, `FILE:LINE`.

    Args:
        name: that of a spec without a name of its own; empty for none.
    """
    entries = {key: entry.value for key, entry in resolved.root.entries.items() if key not in ("spec", "blocks", "extends")}
    if resolved.overridden:
        entries.pop("expect", None)
    lines: list[tuple[str, str]] = [("spec: 1", "")]
    if "name" not in entries and name:
        lines.append((f"name: {write_value(name)}", "the name of the file"))
    for key in dict.fromkeys([*(key for key in _ORDER if key in entries), *entries]):
        lines += _write_entry(key, entries[key], "")
    if bodies := list_bodies(resolved):
        lines.append(("blocks:", ""))
        for word, body in bodies.items():
            lines += _write_entry(word, body, "  ")
    return "".join(f"{_with_comment(text, origin)}\n" for text, origin in lines)


def write_outline(root: MappingNode) -> str:
    """Write the entries of a resolved spec that a patch of it may change, without names and origins."""
    keys = [key for key in (*_ORDER, "recipe") if key in root.entries and key not in _OWN]
    lines = [line for key in keys for line, _ in _write_entry(key, root.entries[key].value, "", by_origin=False)]
    return "".join(f"{line}\n" for line in lines)


def _with_comment(text: str, origin: str) -> str:
    return f"{pad(text, COMMENT_COLUMN)}  # {origin}" if origin else text


def _write_entry(key: str, node: YamlNode, margin: str, by_origin: bool = True) -> Iterator[tuple[str, str]]:
    """The lines of an entry, each with its origin.

    A mapping is on one line if its values come from one line, or else, without `by_origin`, if no mapping is inside it.
    """
    start = f"{margin}{write_value(key)}:"
    leaves = [*islice(_leaves(node), MOST_LEAVES + 1)]
    origins = dict.fromkeys(map(_origin, leaves))
    if isinstance(node, MappingNode) and node.entries:
        nested = any(isinstance(entry.value, MappingNode) for entry in node.entries.values())
        if len(leaves) > MOST_LEAVES or (len(origins) > 1 if by_origin else nested):
            yield start, ""
            yield from _write_entries(node, margin, by_origin)
            return
    value = to_data(node)
    whole = f"{start} {value if isinstance(value, str) and _SIZE.fullmatch(value) else write_value(value)}"
    if isinstance(node, MappingNode) and node.entries and display_width(whole) > MOST_COLUMNS:
        yield start, ""
        yield from _write_entries(node, margin, by_origin)
    else:
        yield whole, ", ".join(origins)


def _write_entries(node: MappingNode, margin: str, by_origin: bool) -> Iterator[tuple[str, str]]:
    for name, entry in node.entries.items():
        yield from _write_entry(name, entry.value, margin + "  ", by_origin)


def _leaves(node: YamlNode) -> Iterator[Span]:
    """The places of the values in a tree; a list counts as one."""
    match node:
        case ScalarNode() | SequenceNode():
            yield node.span
        case MappingNode():
            for entry in node.entries.values():
                yield from _leaves(entry.value)


def _origin(span: Span) -> str:
    """Where a value comes from: `FILE:LINE`."""
    source = span.source
    if source in DEFAULTS.values():
        return "default"
    if source.origin == "command line":
        return printable(source.name)
    return printable(str(span) if source.data else f"{source.name}:{span.line}")
