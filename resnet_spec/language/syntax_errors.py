"""Explains why a text is not YAML.

The YAML reader reports where it stopped and what it expected there. The cause is usually one of a few mistakes, slightly before
that place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from resnet_spec.diagnostics import Diagnostic, Edit, Fix, Label, Source, Span
from resnet_spec.diagnostics.text import count_text
from resnet_spec.language.editing import indent_lines
from resnet_spec.language.indentation import Misplaced, first_indented, out_of_line, too_deep
from resnet_spec.language.syntax_slips import find_slip

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
    fixes: list[Fix] = []
    if source.line(span.line)[span.column - 1 : span.column] == "\t":
        what, help = "tabs cannot be used for indentation", "replace each tab with two spaces"
        fixes = [Fix(help, _without_tabs(source), "safe")]
    elif (found := _misplaced(source, what, span)) is not None:
        what, help, related = found.what, found.help, ()
        span = span if span.line == found.line else Span(source, found.line, 1, found.line, 2)
        fixes = [Fix(help, edits) for edits in _moved(source, found)]
        fixes += _indented(source, span.line)
        fixes += _with_parent(source, found.line)
    fixes += _close(source, span)
    if (slip := find_slip(source, span)) is not None:
        what, help, fixes = slip[0], slip[1].title, [slip[1], *fixes]
    return Diagnostic("yaml-syntax", f"not YAML: {what}", span, related=related, help=help, fixes=tuple(fixes))


def _without_tabs(source: Source) -> tuple[Edit, ...]:
    edits = []
    for number, line in enumerate(source.lines, 1):
        indentation = line[: len(line) - len(line.lstrip(" \t"))]
        if "\t" in indentation:
            span = Span(source, number, 1, number, len(indentation) + 1)
            edits.append(Edit(span, indentation.replace("\t", "  ")))
    return tuple(edits)


def _moved(source: Source, found: Misplaced) -> Iterator[tuple[Edit, ...]]:
    """The line with the wrong indentation moved to where it belongs: alone, and with the lines below it."""
    line = source.line(found.line)
    spaces = len(line) - len(line.lstrip(" "))
    if found.text is not None:
        yield (Edit(Span(source, found.line, 1, found.line, len(line) + 1), found.text),)
    if found.indent is None:
        return
    by = found.indent - spaces
    yield indent_lines(source, found.line, found.line, by)
    last = found.line
    while last < len(source.lines) and (not source.line(last + 1).strip() or _indentation(source, last + 1) > spaces):
        last += 1
    yield indent_lines(source, found.line, last, by)
    while last < len(source.lines) and (not source.line(last + 1).strip() or _indentation(source, last + 1) >= spaces):
        last += 1
    yield indent_lines(source, found.line, last, by)


def _indented(source: Source, line: int) -> Iterator[Fix]:
    """One of the lines around an error with the indentation of another."""
    near = [number for number in range(line - 2, line + 2) if source.line(number).strip()]
    for number in (line, line - 1, line + 1):
        for indent in sorted({_indentation(source, each) for each in near}):
            if number in near and indent != _indentation(source, number):
                edits = indent_lines(source, number, number, indent - _indentation(source, number))
                yield Fix(f"indent line {number} by {count_text(indent, 'space')}", edits)


def _with_parent(source: Source, line: int) -> Iterator[Fix]:
    """A line above indented ones that says what they are part of."""
    for number in (line, line + 1):
        if number > 1 and _indentation(source, number) > _indentation(source, number - 1) == 0:
            at = Span(source, number, 1, number, 1)
            for part in ("stages", "stem", "head", "blocks", "params"):
                yield Fix(f"write `{part}:` above line {number}", (Edit(at, f"{part}:\n"),), is_help=True)


def _indentation(source: Source, number: int) -> int:
    line = source.line(number)
    return len(line) - len(line.lstrip(" "))


def _close(source: Source, span: Span) -> Iterator[Fix]:
    """Close a bracket or a quote that is open at the end of a line, on that line or the one before."""
    for number in (span.line, span.line - 1):
        line = source.line(number)
        code = line.partition(" #")[0].rstrip()
        end = Span(source, number, len(code) + 1, number, len(code) + 1)
        for opened, closed in ("{}", "[]"):
            if code.count(opened) == code.count(closed) + 1:
                yield Fix(f"close the `{opened}` with a `{closed}`", (Edit(end, closed),))
            if code.count(closed) == code.count(opened) + 1 and code.endswith(closed):
                at = Span(source, number, len(code), number, len(code) + 1)
                yield Fix(f"remove the `{closed}`, which nothing opens", (Edit(at, ""),))
        for quote in "\"'":
            if code.count(quote) % 2:
                yield Fix("close the quote", (Edit(end, quote),))


def _misplaced(source: Source, what: str, span: Span) -> Misplaced | None:
    """The line with the wrong indentation, if that is why the text is not YAML."""
    lines = source.text.splitlines()
    if not 0 < span.line <= len(lines):
        return None
    if "document start" in what:
        return first_indented(lines, span.line)
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
