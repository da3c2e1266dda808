"""Diagnostics as text for people and for programs.

Goes in: diagnostics. Comes out: text. Nothing is printed here, and foreign text comes out inert.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from resnet_spec.diagnostics import Diagnostic, Label, Span
from resnet_spec.diagnostics.text import display_width, printable, uri, workflow_text

MessageFormat = Literal["text", "concise", "json", "github", "sarif"]
MESSAGE_FORMATS: tuple[MessageFormat, ...] = get_args(MessageFormat)
JSON_VERSION = 1
TAB = 4
MOST_COLUMNS = 160


def render(diagnostics: Iterable[Diagnostic], how: MessageFormat = "text", colour: bool = False) -> str:
    """All findings in one of the formats, with a final line break unless there is nothing to say."""
    match how:
        case "text":
            return "".join(f"{_text(diagnostic, _PAINT if colour else _PLAIN)}\n\n" for diagnostic in diagnostics)
        case "concise":
            return "".join(f"{_concise(diagnostic)}\n" for diagnostic in diagnostics)
        case "json":
            document = {"version": JSON_VERSION, "diagnostics": [_data(diagnostic) for diagnostic in diagnostics]}
            return json.dumps(document, indent=2) + "\n"
        case "github":
            return "".join(f"{_github(diagnostic)}\n" for diagnostic in diagnostics)
        case "sarif":
            return json.dumps(_sarif(diagnostics), indent=2) + "\n"


@dataclass(frozen=True, slots=True)
class _Paint:
    """What is put before a part of a text, and after it."""

    error: str = ""
    warning: str = ""
    strong: str = ""
    place: str = ""
    help: str = ""
    end: str = ""


_PLAIN = _Paint()
_PAINT = _Paint("\x1b[1;31m", "\x1b[1;33m", "\x1b[1m", "\x1b[34m", "\x1b[36m", "\x1b[0m")


def _concise(diagnostic: Diagnostic) -> str:
    place = f"{printable(str(diagnostic.span))}: " if diagnostic.span else ""
    return f"{place}{diagnostic.severity}[{diagnostic.code}]: {printable(diagnostic.message)}"


def _text(diagnostic: Diagnostic, paint: _Paint) -> str:
    """A finding as a compiler shows it: what, the line with carets, other places, what to do."""
    level = paint.error if diagnostic.severity == "error" else paint.warning
    what = f"{level}{diagnostic.severity}[{diagnostic.code}]{paint.end}"
    lines = [f"{what}{paint.strong}: {printable(diagnostic.message)}{paint.end}"]
    places = _places(diagnostic)
    width = max((len(str(label.span.line)) for label in places), default=1)
    bar = f"{' ' * width} {paint.place}|{paint.end}"
    for number, group in enumerate(_by_line(places)):
        arrow = "-->" if number == 0 else ":::"
        lines.append(f"{' ' * width}{paint.place}{arrow}{paint.end} {printable(str(group[0].span))}")
        lines.append(bar)
        for place, label in enumerate(group):
            first = number == 0 and place == 0
            source, marks = _excerpt(label, width, "^" if first else "-", paint, level if first else paint.place)
            lines.extend((source, marks) if place == 0 else (marks,))
    if places and (diagnostic.help or diagnostic.notes):
        lines.append(bar)
    if diagnostic.help:
        lines.append(f"{' ' * width} = {paint.help}help{paint.end}: {printable(diagnostic.help)}")
    lines.extend(f"{' ' * width} = {paint.help}note{paint.end}: {printable(note)}" for note in diagnostic.notes)
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


def _by_line(places: list[Label]) -> list[list[Label]]:
    """The places of one line together, where the first of them stands: the line is shown once."""
    groups: dict[tuple[int, int], list[Label]] = {}
    for label in places:
        groups.setdefault((id(label.span.source), label.span.line), []).append(label)
    return list(groups.values())


def _excerpt(label: Label, width: int, mark: str, paint: _Paint, level: str) -> tuple[str, str]:
    """The line of a place, and what stands under it."""
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
    number = f"{paint.place}{span.line:>{width}} |{paint.end}"
    under = f"{' ' * width} {paint.place}|{paint.end}"
    return f"{number} {shown}".rstrip(), f"{under} {' ' * before}{level}{mark * max(until - before, 1)}{text}{paint.end}"


def _expanded(line: str, stop: int) -> tuple[str, int]:
    """A line as a terminal shows it, and the columns its first `stop` characters take there."""
    shown: list[str] = []
    column = until = 0
    for number, character in enumerate(line):
        if number == stop:
            until = column
        piece = " " * (TAB - column % TAB) if character == "\t" else printable(character)
        shown.append(piece)
        column += display_width(piece)
    return "".join(shown), until if stop < len(line) else column + max(0, stop - len(line))


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


def _github(diagnostic: Diagnostic) -> str:
    """A workflow command, which GitHub shows beside the line."""
    span = diagnostic.span
    fields = {"title": diagnostic.code}
    if span is not None:
        fields = {"file": span.source.name, "line": str(span.line), "col": str(span.column), **fields}
        if span.end_line == span.line:
            fields["endColumn"] = str(span.end_column)
    listed = ",".join(f"{key}={workflow_text(value, ':,')}" for key, value in fields.items())
    mend = f" ({diagnostic.help})" if diagnostic.help else ""
    return f"::{diagnostic.severity} {listed}::{workflow_text(diagnostic.message + mend)}"


def _sarif(diagnostics: Iterable[Diagnostic]) -> dict[str, object]:
    """The findings as SARIF 2.1.0, which code scanning reads."""
    listed = list(diagnostics)
    rules = [{"id": code} for code in dict.fromkeys(diagnostic.code for diagnostic in listed)]
    driver = {"name": "resnet-spec", "rules": rules}
    results = [_sarif_result(diagnostic) for diagnostic in listed]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}


def _sarif_result(diagnostic: Diagnostic) -> dict[str, object]:
    said = [diagnostic.message, *([f"help: {diagnostic.help}"] if diagnostic.help else [])]
    text = "\n".join(map(printable, [*said, *(f"note: {note}" for note in diagnostic.notes)]))
    result: dict[str, object] = {"ruleId": diagnostic.code, "level": diagnostic.severity, "message": {"text": text}}
    if diagnostic.span is not None:
        result["locations"] = [_sarif_location(Label(diagnostic.span, diagnostic.label))]
    if diagnostic.related:
        result["relatedLocations"] = [_sarif_location(label) for label in diagnostic.related]
    return result


def _sarif_location(label: Label) -> dict[str, object]:
    span = label.span
    region = {"startLine": span.line, "startColumn": span.column, "endLine": span.end_line, "endColumn": span.end_column}
    place: dict[str, object] = {"physicalLocation": {"artifactLocation": {"uri": uri(span.source.name)}, "region": region}}
    return place | ({"message": {"text": printable(label.text)}} if label.text else {})
