"""Diagnostics as text for people and for programs.

Goes in: diagnostics. Comes out: text. Nothing is printed here, and foreign text comes out inert.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from typing import Literal, get_args

from resnet_spec.diagnostics import Diagnostic, Label, Span, printable

MessageFormat = Literal["text", "concise", "json"]
MESSAGE_FORMATS: tuple[MessageFormat, ...] = get_args(MessageFormat)
JSON_VERSION = 1
TAB = 4
MOST_COLUMNS = 160


def render(diagnostics: Iterable[Diagnostic], how: MessageFormat = "text") -> str:
    """All findings in one of the formats, with a final line break unless there is nothing to say."""
    match how:
        case "text":
            return "".join(f"{_text(diagnostic)}\n\n" for diagnostic in diagnostics)
        case "concise":
            return "".join(f"{_concise(diagnostic)}\n" for diagnostic in diagnostics)
        case "json":
            document = {"version": JSON_VERSION, "diagnostics": [_data(diagnostic) for diagnostic in diagnostics]}
            return json.dumps(document, indent=2) + "\n"


def _concise(diagnostic: Diagnostic) -> str:
    place = f"{printable(str(diagnostic.span))}: " if diagnostic.span else ""
    return f"{place}{diagnostic.severity}[{diagnostic.code}]: {printable(diagnostic.message)}"


def _text(diagnostic: Diagnostic) -> str:
    """A finding as a compiler shows it: what, the line with carets, other places, what to do."""
    lines = [f"{diagnostic.severity}[{diagnostic.code}]: {printable(diagnostic.message)}"]
    places = _places(diagnostic)
    width = max((len(str(label.span.line)) for label in places), default=1)
    margin = " " * width
    for number, label in enumerate(places):
        arrow = "-->" if number == 0 else ":::"
        lines.append(f"{margin}{arrow} {printable(str(label.span))}")
        lines.append(f"{margin} |")
        lines.extend(_excerpt(label, width, "^" if number == 0 else "-"))
    if places and (diagnostic.help or diagnostic.notes):
        lines.append(f"{margin} |")
    if diagnostic.help:
        lines.append(f"{margin} = help: {printable(diagnostic.help)}")
    lines.extend(f"{margin} = note: {printable(note)}" for note in diagnostic.notes)
    return "\n".join(lines)


def _places(diagnostic: Diagnostic) -> list[Label]:
    """The primary place and the others, each followed by the anchor it came through, if any."""
    if diagnostic.span is None:
        return []
    found: list[Label] = []
    for label in (Label(diagnostic.span, diagnostic.label), *diagnostic.related):
        found.append(label)
        if label.span.anchor is not None:
            found.append(Label(label.span.anchor, "written here, under the anchor"))
    return found


def _excerpt(label: Label, width: int, mark: str) -> list[str]:
    span = label.span
    source = span.source.line(span.line)
    end = span.end_column if span.end_line == span.line else len(source) + 1
    end = min(max(end, span.column + 1), MOST_COLUMNS)
    shown, before = _expanded(source, span.column - 1)
    _, until = _expanded(source, end - 1)
    if span.column > MOST_COLUMNS:
        shown, before, until = "...", 0, 3
    elif len(shown) > MOST_COLUMNS:
        shown = shown[:MOST_COLUMNS] + "..."
    text = f" {printable(label.text)}" if label.text else ""
    return [
        f"{span.line:>{width}} | {shown}".rstrip(),
        f"{' ' * width} | {' ' * before}{mark * max(until - before, 1)}{text}",
    ]


def _expanded(line: str, stop: int) -> tuple[str, int]:
    """A line as a terminal shows it, and the columns its first `stop` characters take there."""
    shown: list[str] = []
    column = until = 0
    for number, character in enumerate(line):
        if number == stop:
            until = column
        piece = " " * (TAB - column % TAB) if character == "\t" else printable(character)
        shown.append(piece)
        column += sum(_columns(c) for c in piece)
    return "".join(shown), until if stop < len(line) else column + max(0, stop - len(line))


def _columns(character: str) -> int:
    """Columns a character takes on a terminal."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _data(diagnostic: Diagnostic) -> dict[str, object]:
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "location": _location(diagnostic.span),
        "label": diagnostic.label,
        "related": [{"location": _location(label.span), "text": label.text} for label in diagnostic.related],
        "help": diagnostic.help,
        "notes": list(diagnostic.notes),
    }


def _location(span: Span | None) -> dict[str, object] | None:
    if span is None:
        return None
    place: dict[str, object] = {
        "file": span.source.name,
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }
    return place | ({"anchor": _location(span.anchor)} if span.anchor else {})
