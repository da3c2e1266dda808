"""Source texts, places in them, findings at these places, and fixes as edits. `reporters` shows findings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

Severity = Literal["error", "warning"]
Origin = Literal["spec", "shipped", "library", "command line"]
DocumentKind = Literal["spec", "recipe"]
Applicability = Literal["safe", "likely", "hint"]

_SUPPRESSION = re.compile(r"#\s*resnet-spec:\s*ignore\[([A-Za-z0-9_., -]+)\]\s*$")
_KEY = re.compile(r'"((?:[^"\\]|\\.)*)": ')


@dataclass(frozen=True, eq=False)
class Source:
    """One text that was read: a file, standard input, a dict, or a `--set` argument.

    `name` is shown to the user. `origin` is where the text comes from: a finding inside a library block or a shipped spec is
    reported at the line of the user's file that leads there. `data`: the text is the JSON (indented by 2) of a spec that was
    given as Python data, so its line numbers mean nothing to the user.
    """

    name: str
    text: str = field(repr=False)
    origin: Origin = "spec"
    data: bool = False

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The lines without their line breaks. A byte order mark does not count as a column."""
        return tuple(self.text.removeprefix("\ufeff").splitlines())

    def line(self, number: int) -> str:
        """The text of line `number` (from 1), without its line break; empty past the end."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """For each line of a JSON text, the path of the entry on it: `stem.conv1.kernel_size[0]`."""
        names: list[str] = []  # of the enclosing entries, the outermost first
        found = []
        for line in self.lines:
            text = line.lstrip(" ")
            depth = (len(line) - len(text)) // 2
            before = names[depth - 1] if 0 < depth <= len(names) else ""
            del names[depth:]
            if depth and text[0] not in "]}":
                key = _KEY.match(text)
                names[depth - 1 :] = [key[1] if key else f"[{int(before[1:-1]) + 1 if before else 0}]"]
            found.append(".".join(names).replace(".[", "["))
        return tuple(found)

    @cached_property
    def suppressions(self) -> Mapping[int, tuple[str, ...]]:
        """The codes of each line that ends in `# resnet-spec: ignore[CODE, ...]`, by line number."""
        if "ignore[" not in self.text:
            return {}
        found = ((number, _SUPPRESSION.search(line)) for number, line in enumerate(self.lines, 1) if "ignore[" in line)
        return {number: tuple(code.strip() for code in match[1].split(",")) for number, match in found if match is not None}


@dataclass(frozen=True, slots=True)
class Span:
    """A range of a source. Lines and columns count from 1, in characters; the end column is exclusive."""

    source: Source
    line: int
    column: int
    end_line: int
    end_column: int
    anchor: Span | None = None  # the place of the anchor, for a value inserted by a YAML alias

    def __str__(self) -> str:
        if self.source.data:
            path = self.source.paths[self.line - 1]
            return f"{self.source.name}: {path}" if path else self.source.name
        return f"{self.source.name}:{self.line}:{self.column}"

    def within(self, start: int, stop: int) -> Span:
        """The characters from `start` to `stop` (exclusive) of a span that is on one line."""
        return Span(self.source, self.line, self.column + start, self.line, self.column + stop, self.anchor)

    def with_anchor(self, anchor: Span) -> Span:
        """The place of an alias, for a value under `anchor`."""
        return Span(self.source, self.line, self.column, self.end_line, self.end_column, anchor)

    def overlaps(self, other: Span) -> bool:
        """Whether two places overlap."""
        return (
            self.source is other.source
            and (self.line, self.column) < (other.end_line, other.end_column)
            and (other.line, other.column) < (self.end_line, self.end_column)
        )


@dataclass(frozen=True, slots=True)
class Label:
    """A secondary place, and how it is related to the finding."""

    span: Span
    text: str = ""


@dataclass(frozen=True, slots=True)
class Edit:
    """A replacement of a range of a source by a text. The range is empty for an insertion."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """A suggested fix: what it does, in words, and its edits, which do not overlap.

    `applicability`: `safe` keeps what the author meant, `likely` may be another network than the author wants, and a `hint`
    shows what to write and is never applied. `is_help`: where the fix works, its title replaces the help of the finding.
    """

    title: str
    edits: tuple[Edit, ...]
    applicability: Applicability = "likely"
    is_help: bool = False


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. `code` is stable and in kebab case; `help` is a suggested fix.

    `span` is None only for findings that are not about a text, such as a file that does not exist.
    """

    code: str
    message: str
    span: Span | None
    label: str = ""
    related: tuple[Label, ...] = ()
    help: str = ""
    notes: tuple[str, ...] = ()
    severity: Severity = "error"

    @property
    def file_span(self) -> Span | None:
        """The place in a file of the user: the primary one, else the first secondary one that is in a file of the user."""
        places = [self.span, *(label.span for label in self.related)]
        return next((span for span in places if span is not None and span.source.origin == "spec"), None)

    @property
    def suppressed(self) -> bool:
        """Whether the line of a warning ends in a comment that suppresses its code."""
        span = self.span
        return self.severity == "warning" and span is not None and self.code in span.source.suppressions.get(span.line, ())
