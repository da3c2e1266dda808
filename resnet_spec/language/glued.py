"""Keys that are written together with their values: `out_channels:64`, `kernel_size=3`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from resnet_spec.diagnostics import Diagnostic, Edit, Fix, Source, Span
from resnet_spec.language.fixes import propose
from resnet_spec.language.nodes import MappingNode

_GLUED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*([:=])\s*(\S.*)")
_LINE = re.compile(r"(\s*[A-Za-z_][A-Za-z0-9_]*)(:(?=[^\s:])|\s*=\s*(?!=))")


def find_glued_key(mapping: MappingNode) -> Diagnostic | None:
    """The finding for a mapping with keys that contain their value, if it has one."""
    edits = []
    first: tuple[str, Span, str] | None = None
    for name, entry in mapping.entries.items():
        found = _GLUED.fullmatch(name)
        if found is None:
            continue
        span = entry.key
        first = first or (name, span, f"{found[1]}: {found[3]}")
        if span.anchor is None and span.end_column - span.column == len(name):
            edits.append(Edit(span, f"{found[1]}: {found[3]}"))
    if first is None:
        return None
    name, span, text = first
    help = f"write `{text}`, with a space after the colon"
    message = f"`{name}` is a single word, not a key with a value"
    return Diagnostic("invalid-name", message, span, help=help, fixes=propose(help, tuple(edits), "safe"))


def separate_lines(source: Source, numbers: Iterable[int]) -> tuple[Fix, ...]:
    """The fix that puts a colon and a space between key and value on some lines, if one of them lacks it."""
    edits = []
    for number in numbers:
        line = source.line(number)
        found = _LINE.match(line)
        if found is not None:
            edits.append(Edit(Span(source, number, found.end(1) + 1, number, found.end(2) + 1), ": "))
    return propose("write `name: value`, with a colon and a space", tuple(edits), "safe")
