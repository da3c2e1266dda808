"""Collects the findings of lowering, each once, at lines of the author's, with notes on repetitions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from resnet_spec.diagnostics import Diagnostic, Fix, Label, Source, Span
from resnet_spec.diagnostics.edits import Point, Ranges
from resnet_spec.graph.model import BrokenNode
from resnet_spec.lowering.context import Trail
from resnet_spec.lowering.origins import in_library
from resnet_spec.lowering.values import UnknownValueError

MOST_NAMES = 3
MOST_LINES = 12
MOST_JOINED = 1000  # equal findings that are fixed together

_FindingKey = tuple[str, str, Span | None]


class Findings:
    """The findings of one expansion, in order, each once."""

    def __init__(self) -> None:
        self._all: dict[_FindingKey, Diagnostic] = {}
        self._conflicts: dict[_FindingKey, BrokenNode] = {}
        self._conflicting: set[tuple[str, str]] = set()  # the operations and messages of conflicts

    @property
    def has_conflicts(self) -> bool:
        """Whether an operation could not be built, or the inputs of a join do not fit."""
        return bool(self._conflicts)

    def report(self, finding: Diagnostic, trail: Trail, at_value: bool = False) -> _FindingKey:
        """Add a finding at a line of the author's: one inside a library block is moved to the use of the block, or to the
        argument that was passed to it (`at_value`)."""
        span = finding.span
        if span is not None and in_library(span):
            finding = _at_the_use(finding, span, trail, at_value)
        key = (finding.code, finding.message, finding.span)
        if span is not finding.span and at_value and trail.uses and in_library(trail.uses[-1].key):
            key = (finding.code, "", finding.span)  # report one value once, even if several lines of the library reject it
            finding = replace(finding, message=f"{trail.dotted(trail.uses[-1].name)}: {finding.message}")
        self._all.setdefault(key, finding)
        return key

    def report_unknown(self, unknown: UnknownValueError, trail: Trail) -> None:
        """Add the reason why something has no value, unless that was reported before."""
        if unknown.finding is not None:
            self.report(unknown.finding, trail, at_value=True)

    def report_conflict(self, finding: Diagnostic, broken: BrokenNode, trail: Trail) -> None:
        """Add a finding about shapes. `broken` is what could not be built, under its full name."""
        self._conflicts.setdefault(self.report(finding, trail), broken)
        self._conflicting.add((broken.op, broken.message))

    def has_conflict(self, op: str, message: str) -> bool:
        """Whether the same conflict was reported for another operation."""
        return (op, message) in self._conflicting

    def with_repetitions(self, broken: Sequence[BrokenNode]) -> tuple[Diagnostic, ...]:
        """All findings. `broken` is what could not be built in an expansion that ignores conflicts: each conflict gets a note
        that names the other places where it would occur."""
        found = dict(self._all)
        for key, first in self._conflicts.items():
            if key in found and (note := _repetitions(first, broken)):
                found[key] = replace(found[key], notes=(*found[key].notes, note))
        return tuple(found.values())


def _at_the_use(finding: Diagnostic, span: Span, trail: Trail, at_value: bool) -> Diagnostic:
    """A finding at `span` in the library, moved to the innermost use of the author's that led there."""
    outer = next((use for use in reversed(trail.uses) if not in_library(use.key)), None)
    if outer is None:
        return finding
    place = next((label for label in finding.related if at_value and not in_library(label.span)), Label(outer.key))
    others = tuple(label for label in finding.related if label is not place)
    inner = Label(span, finding.label or "in this block of the library")
    return replace(finding, span=place.span, label=place.text, related=(*others, inner))


def _repetitions(first: BrokenNode, broken: Iterable[BrokenNode]) -> str:
    """`and in 35 more blocks: ...`; empty if nothing in `broken` is the same as `first`."""
    same = [part for part in broken if part.span is first.span or (part.op, part.message) == (first.op, first.message)]
    joins = all(part.name.endswith(".join") for part in (first, *same))
    names = dict.fromkeys(part.name.removesuffix(".join") if joins else part.name for part in same)
    names.pop(first.name.removesuffix(".join") if joins else first.name, None)
    if not names:
        return ""
    what = ("block" if joins else "place") + ("s" if len(names) > 1 else "")
    listed = ", ".join(list(names)[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "")
    return f"and in {len(names)} more {what}: {listed}"


def merge_repeated(findings: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Merge the findings with the same message into the first, with a note that lists the lines of the others: an unknown
    name is often used many times."""
    groups: dict[tuple[str, str], list[Diagnostic]] = {}
    for finding in dict.fromkeys(findings):
        groups.setdefault((finding.code, finding.message), []).append(finding)
    return [_with_lines(same) for same in groups.values()]


def _with_lines(same: Sequence[Diagnostic]) -> Diagnostic:
    first, *rest = same
    span = first.span
    if not rest or span is None:
        return first
    lines = [str(each.span.line) for each in rest if each.span is not None and each.span.source is span.source]
    where = ", ".join(dict.fromkeys(lines[:MOST_LINES])) + (", ..." if len(lines) > MOST_LINES else "")
    times = "once more" if len(rest) == 1 else f"{len(rest)} more times"
    places = f", at line{'s' if len(lines) > 1 else ''} {where}" if lines else ""
    return replace(first, notes=(*first.notes, f"and {times}{places}"), fixes=_joined(same))


def _joined(same: Sequence[Diagnostic]) -> tuple[Fix, ...]:
    """The fixes of equal findings, each with the edits of all of them: one alone would leave the finding."""
    fixes: list[Fix] = []
    if len(same) > MOST_JOINED:
        return ()
    for each in zip(*(finding.fixes for finding in same), strict=False):
        edits = tuple(dict.fromkeys(edit for fix in each for edit in fix.edits))
        fixes.append(replace(each[0], edits=edits))
    return tuple(fixes)


def independent(findings: Iterable[Diagnostic], reported: Sequence[Diagnostic]) -> list[Diagnostic]:
    """The findings that do not overlap the places of those reported."""
    listed: dict[Source, list[Span]] = {}
    for finding in reported:
        if finding.span is not None:
            listed.setdefault(finding.span.source, []).append(finding.span)
    places = {source: Ranges(map(_range, spans)) for source, spans in listed.items()}

    def overlaps(span: Span | None) -> bool:
        return span is not None and span.source in places and places[span.source].overlap(*_range(span))

    kept = []
    for finding in findings:
        own = [finding.span, *(label.span for label in finding.related)]
        if not any(map(overlaps, own)):
            kept.append(finding)
    return kept


def _range(span: Span) -> tuple[Point, Point]:
    return (span.line, span.column), (span.end_line, span.end_column)
