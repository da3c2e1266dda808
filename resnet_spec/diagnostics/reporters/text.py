"""Findings in the style of rustc: the message, the source line with carets, related places, help and notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from resnet_spec.diagnostics import Diagnostic, Label, Source, Span, printable
from resnet_spec.diagnostics.text import display_width

TAB = 4
MOST_COLUMNS = 160  # of a line
MOST_BEFORE = 60  # characters that an excerpt of a long line shows before a place
MOST_BEHIND = 30  # and behind it
ELLIPSIS = "..."


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
    for number, group in enumerate(_by_excerpt(places)):
        arrow = "-->" if number == 0 else ":::"
        lines.append(f"{' ' * width}{colors.place}{arrow}{colors.end} {printable(str(group[0].span))}")
        lines.append(bar)
        window = _window(group[0].span)
        lines.append(f"{colors.place}{group[0].span.line:>{width}} |{colors.end} {window.shown}".rstrip())
        for place, label in enumerate(group):
            first = number == 0 and place == 0
            before, count = window.marked(label.span)
            marks = ("^" if first else "-") * count
            text = f" {printable(label.text)}" if label.text else ""
            color = level if first else colors.place
            lines.append(f"{' ' * width} {colors.place}|{colors.end} {' ' * before}{color}{marks}{text}{colors.end}")
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


def _by_excerpt(places: Sequence[Label]) -> list[list[Label]]:
    """The places grouped by line, in order of first appearance, so that each line is shown once. A place of a long line that
    its excerpt does not show begins another group."""
    groups: dict[tuple[Source, int], list[list[Label]]] = {}
    for label in places:
        found = groups.setdefault((label.span.source, label.span.line), [])
        group = next((group for group in found if _window(group[0].span).shows(label.span)), None)
        if group is None:
            found.append([label])
        else:
            group.append(label)
    return [group for found in groups.values() for group in found]


@dataclass(frozen=True, slots=True)
class _Window:
    """The part of a source line that is shown: `width` characters from `start` (from 0). Marks begin below its first one."""

    line: str
    start: int = 0
    width: int = MOST_COLUMNS

    @property
    def text(self) -> str:
        return self.line[self.start : self.start + self.width]

    @property
    def shown(self) -> str:
        rest = ELLIPSIS if len(self.line) > self.start + self.width else ""
        return f"{ELLIPSIS if self.start else ''}{_expanded(self.text, 0)[0]}{rest}"

    def shows(self, span: Span) -> bool:
        """Whether the beginning of a place on this line is shown; a short line is shown with what follows it."""
        return self.start < span.column <= self.start + self.width or len(self.line) <= self.width

    def marked(self, span: Span) -> tuple[int, int]:
        """The columns before the marks of a place, and the number of marks."""
        end = span.end_column if span.end_line == span.line else len(self.line) + 1
        end = min(max(end, span.column + 1), self.start + self.width + 1)
        text = self.text  # a line may have a million characters, and thousands of findings
        before = _expanded(text, span.column - 1 - self.start)[1]
        until = _expanded(text, end - 1 - self.start)[1]
        return before + (len(ELLIPSIS) if self.start else 0), max(until - before, 1)


def _window(span: Span) -> _Window:
    """The part of a place's line to show: its beginning if that shows the whole place, else what is around the place."""
    line = span.source.line(span.line)
    end = span.end_column if span.end_line == span.line else span.column + 1
    if end - 1 <= MOST_COLUMNS:
        return _Window(line)
    start = max(span.column - 1 - MOST_BEFORE, 0)
    return _Window(line, start, min(end - 1 - start, MOST_COLUMNS - MOST_BEHIND) + MOST_BEHIND)


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
