"""Findings in the style of rustc: the message, the source line with carets, related places, help and notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from resnet_spec.diagnostics import Diagnostic, Label, Source, printable
from resnet_spec.diagnostics.text import display_width

TAB = 4
MOST_COLUMNS = 160


def report(diagnostics: Sequence[Diagnostic], color: bool) -> str:
    """Each finding as a paragraph."""
    return "".join(f"{_paragraph(diagnostic, _COLORED if color else _PLAIN)}\n\n" for diagnostic in diagnostics)


@dataclass(frozen=True, slots=True)
class _Colors:
    """The escape sequence that begins each part of a text, and the one that ends it."""

    error: str = ""
    warning: str = ""
    strong: str = ""
    place: str = ""
    help: str = ""
    end: str = ""


_PLAIN = _Colors()
_COLORED = _Colors("\x1b[1;31m", "\x1b[1;33m", "\x1b[1m", "\x1b[34m", "\x1b[36m", "\x1b[0m")


def _paragraph(diagnostic: Diagnostic, colors: _Colors) -> str:
    level = colors.error if diagnostic.severity == "error" else colors.warning
    what = f"{level}{diagnostic.severity}[{diagnostic.code}]{colors.end}"
    lines = [f"{what}{colors.strong}: {printable(diagnostic.message)}{colors.end}"]
    places = _places(diagnostic)
    width = max((len(str(label.span.line)) for label in places), default=1)
    bar = f"{' ' * width} {colors.place}|{colors.end}"
    for number, group in enumerate(_by_line(places)):
        arrow = "-->" if number == 0 else ":::"
        lines.append(f"{' ' * width}{colors.place}{arrow}{colors.end} {printable(str(group[0].span))}")
        lines.append(bar)
        for place, label in enumerate(group):
            first = number == 0 and place == 0
            source, marks = _excerpt(label, width, "^" if first else "-", colors, level if first else colors.place)
            lines.extend((source, marks) if place == 0 else (marks,))
    if places and (diagnostic.help or diagnostic.notes):
        lines.append(bar)
    if diagnostic.help:
        lines.append(f"{' ' * width} = {colors.help}help{colors.end}: {printable(diagnostic.help)}")
    lines.extend(f"{' ' * width} = {colors.help}note{colors.end}: {printable(note)}" for note in diagnostic.notes)
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


def _by_line(places: Sequence[Label]) -> list[list[Label]]:
    """The places grouped by line, in order of first appearance, so that each line is shown once."""
    groups: dict[tuple[Source, int], list[Label]] = {}
    for label in places:
        groups.setdefault((label.span.source, label.span.line), []).append(label)
    return list(groups.values())


def _excerpt(label: Label, width: int, mark: str, colors: _Colors, level: str) -> tuple[str, str]:
    """The source line of a place, and the line of marks below it. Both are cut off after `MOST_COLUMNS` characters."""
    span = label.span
    source = span.source.line(span.line)
    end = span.end_column if span.end_line == span.line else len(source) + 1
    end = min(max(end, span.column + 1), MOST_COLUMNS)
    if span.column > MOST_COLUMNS:
        shown, before, until = "...", 0, 3
    else:
        begun = source[: MOST_COLUMNS + 1]  # a line may have a million characters, and thousands of findings
        shown, before = _expanded(begun, span.column - 1)
        _, until = _expanded(begun, end - 1)
        if len(shown) > MOST_COLUMNS:
            shown = shown[:MOST_COLUMNS] + "..."
    text = f" {printable(label.text)}" if label.text else ""
    number = f"{colors.place}{span.line:>{width}} |{colors.end}"
    under = f"{' ' * width} {colors.place}|{colors.end}"
    return f"{number} {shown}".rstrip(), f"{under} {' ' * before}{level}{mark * max(until - before, 1)}{text}{colors.end}"


def _expanded(line: str, stop: int) -> tuple[str, int]:
    """A line as a terminal shows it, and the columns that its first `stop` characters take."""
    shown: list[str] = []
    column = until = 0
    for number, character in enumerate(line):
        if number == stop:
            until = column
        piece = " " * (TAB - column % TAB) if character == "\t" else printable(character)
        shown.append(piece)
        column += display_width(piece)
    return "".join(shown), until if stop < len(line) else column + max(0, stop - len(line))
