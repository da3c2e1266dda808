"""Writes a merged spec as one YAML text in which a comment on each line says where its values come from.

Reading the text results in the same network.
"""

from __future__ import annotations

from collections.abc import Iterator

from resnet_spec.diagnostics import Span, printable
from resnet_spec.diagnostics.text import display_width, pad
from resnet_spec.language.merge import Resolved
from resnet_spec.language.merge_tree import DEFAULTS
from resnet_spec.language.nodes import MappingNode, ScalarNode, SequenceNode, YamlNode, to_data
from resnet_spec.language.writer import list_bodies, write_value

_ORDER = ("name", "about", "source", "input", "classes", "params", "stem", "block", "stages", "head", "norm", "act", "init")
MOST_COLUMNS = 100  # of a mapping on one line
COMMENT_COLUMN = 44


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


def _with_comment(text: str, origin: str) -> str:
    return f"{pad(text, COMMENT_COLUMN)}  # {origin}" if origin else text


def _write_entry(key: str, node: YamlNode, margin: str) -> Iterator[tuple[str, str]]:
    """The lines of an entry, each with its origin. A mapping whose values come from one line is on one line."""
    start = f"{margin}{write_value(key)}:"
    origins = dict.fromkeys(map(_origin, _leaves(node)))
    whole = f"{start} {write_value(to_data(node))}"
    if not isinstance(node, MappingNode) or not node.entries or (len(origins) == 1 and display_width(whole) <= MOST_COLUMNS):
        yield whole, ", ".join(origins)
        return
    yield start, ""
    for name, entry in node.entries.items():
        yield from _write_entry(name, entry.value, margin + "  ")


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
