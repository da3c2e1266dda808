"""Explains why a text is not YAML.

The YAML reader reports where it stopped and what it expected there. The cause is usually one of a few mistakes, slightly before
that place.
"""

from __future__ import annotations

from typing import Any

import yaml

from resnet_spec.diagnostics import Diagnostic, Label, Source, Span
from resnet_spec.language.indentation import Misplaced, out_of_line, too_deep

_HELP = {  # a part of PyYAML's message, and the most likely fix
    "',' or '}'": "close the `{` with a `}`, or put a comma between two entries",
    "',' or ']'": "close the `[` with a `]`, or put a comma between two values",
    "mapping values are not allowed": "quote a text that contains a colon; or complete the line above",
    "could not find expected ':'": "write `name: value`, with a space after the colon",
    "block end": "indent this line like the other entries of its mapping",
    "did not find expected key": "indent it like the other entries; remove any text after a closing quote or bracket",
    "'-' indicator": "begin each entry of the list with a dash",
    "cannot start any token": "put the text in quotes",
    "found unexpected end of stream": "close the quote",
}


def explain_syntax_error(source: Source, error: yaml.MarkedYAMLError) -> Diagnostic:
    """Make the finding for an error of the YAML reader, at the line to correct."""
    what = " ".join(part for part in (error.problem, error.context) if part)
    span, begins = _point(source, error.problem_mark or error.context_mark), _point(source, error.context_mark)
    related = (Label(begins, "this begins here"),) if error.context_mark is not None and begins.line != span.line else ()
    help = next((help for part, help in _HELP.items() if part in what), "")
    if source.line(span.line)[span.column - 1 : span.column] == "\t":
        what, help = "tabs cannot be used for indentation", "replace each tab with two spaces"
    elif (found := _misplaced(source, what, span)) is not None:
        what, help, related = found.what, found.help, ()
        span = span if span.line == found.line else Span(source, found.line, 1, found.line, 2)
    return Diagnostic("yaml-syntax", f"not YAML: {what}", span, related=related, help=help)


def _misplaced(source: Source, what: str, span: Span) -> Misplaced | None:
    """The line with the wrong indentation, if that is why the text is not YAML."""
    lines = source.text.splitlines()
    if not 0 < span.line <= len(lines):
        return None
    if "mapping values are not allowed" in what:
        return too_deep(lines, span.line, span.column)
    return out_of_line(lines, span.line, span.column) if "expected key" in what or "block end" in what else None


def _point(source: Source, mark: Any) -> Span:
    """The place of a mark. A mark past the end, where there is no text to show, becomes the end of the last line."""
    if mark is None:
        return Span(source, 1, 1, 1, 2)
    lines = source.text.splitlines()
    line, column = mark.line + 1, mark.column + 1
    if lines and mark.line >= len(lines):
        line, column = len(lines), len(lines[-1]) + 1
    return Span(source, line, column, line, column + 1)
