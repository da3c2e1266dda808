"""Applies edits to texts."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import accumulate

from .model import Edit, Fix, Source, Span

Point = tuple[int, int]  # a line and a column, from 1


class Ranges:
    """Ranges of places of one text, which may overlap each other, indexed so that those that overlap another one are found by
    bisection."""

    def __init__(self, ranges: Iterable[tuple[Point, Point]]) -> None:
        ordered = sorted(ranges)
        self._begins = [begin for begin, _ in ordered]
        self._ends = list(accumulate((end for _, end in ordered), max))  # the last end of all ranges that begin no later

    def overlap(self, begin: Point, end: Point) -> bool:
        """Whether one of the ranges overlaps that from `begin` to `end`."""
        before = bisect_left(self._begins, end)
        return before > 0 and self._ends[before - 1] > begin


class Offsets:
    """The positions in a text of the lines and columns of its source."""

    def __init__(self, source: Source) -> None:
        self.lines = source.text.splitlines(keepends=True)
        self.starts = [0, *accumulate(map(len, self.lines))]
        self.mark = int(source.text.startswith("\ufeff"))  # a byte order mark, which is in no column

    def range(self, span: Span) -> tuple[int, int]:
        """The start and the end of a span, as indices into the text."""
        return self._at(span.line, span.column), self._at(span.end_line, span.end_column)

    def _at(self, line: int, column: int) -> int:
        if line > len(self.lines):
            return self.starts[-1]
        return min(self.starts[line - 1] + column - 1 + (self.mark if line == 1 else 0), self.starts[line])


def apply_edits(source: Source, edits: Iterable[Edit]) -> str:
    """The text of a source with edits applied, which must not overlap. Line breaks become those of the text.

    Several insertions at one place are applied in their order.
    """
    offsets, text, line_break = Offsets(source), source.text, _line_break(source.text)
    pieces: list[str] = []
    position = 0
    for start, stop, new in sorted(((*offsets.range(edit.span), edit.text) for edit in edits), key=lambda edit: edit[:2]):
        if start < position:
            raise ValueError("overlapping edits")
        pieces += [text[position:start], new.replace("\n", line_break)]
        position = stop
    return "".join([*pieces, text[position:]])


def written_ranges(edits: Iterable[Edit]) -> list[tuple[Point, Point]]:
    """Where the texts of edits are once all of them are applied: for each, its first place and the place behind its last."""
    ranges: list[tuple[Point, Point]] = []
    lines = shift = 0  # how far the lines of what follows have moved, and the columns of what follows on the line `last`
    last = 0
    for edit in sorted(edits, key=lambda edit: (edit.span.line, edit.span.column, edit.span.end_line, edit.span.end_column)):
        span = edit.span
        begin = (span.line + lines, span.column + (shift if span.line == last else 0))
        breaks, end = edit.text.count("\n"), len(edit.text) - edit.text.rfind("\n") - 1
        after = (begin[0] + breaks, end + 1 if breaks else begin[1] + len(edit.text))
        ranges.append((begin, after))
        lines = after[0] - span.end_line
        last, shift = span.end_line, after[1] - span.end_column
    return ranges


def select_compatible(source: Source, fixes: Iterable[Fix]) -> list[Fix]:
    """The fixes that can be applied together, the first of those that overlap or touch. Equal edits are made once."""
    offsets = Offsets(source)
    taken: list[tuple[int, int]] = []  # in order
    edits: set[Edit] = set()
    chosen: list[Fix] = []
    for fix in fixes:
        if edits.issuperset(fix.edits):
            continue
        ranges = [offsets.range(edit.span) for edit in fix.edits]
        if any(_touches(taken, start, stop) for start, stop in ranges):
            continue
        chosen.append(fix)
        edits.update(fix.edits)
        taken = sorted([*taken, *ranges])
    return chosen


def _touches(taken: list[tuple[int, int]], start: int, stop: int) -> bool:
    at = bisect_right(taken, (stop, stop))
    return any(first <= stop and start <= last for first, last in taken[max(0, at - 2) : at + 1])


def _line_break(text: str) -> str:
    """The line break of a text: that of its first line."""
    first = text.partition("\n")[0]
    return "\r\n" if first.endswith("\r") and len(first) < len(text) else "\n"
