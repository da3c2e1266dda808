"""Moves findings to the file that was checked, where the author can fix them, and adds notes on what it overrides."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from resnet_spec.diagnostics import Diagnostic, Label, Source, Span
from resnet_spec.language.merge import Resolved
from resnet_spec.language.nodes import ScalarNode, YamlNode

MOST_STEPS = 4


def add_origins(findings: Iterable[Diagnostic], resolved: Resolved) -> list[Diagnostic]:
    """Put the place in the author's own text first in each finding, and add a note for each value that overrides another one.

    Args:
        resolved: the document that was checked.
    """
    overriding = _Overriding(resolved.replaced)
    return [_with_notes(_at_the_cause(finding, resolved), overriding) for finding in findings]


def place_warnings(warnings: Iterable[Diagnostic], resolved: Resolved) -> list[Diagnostic]:
    """Put the place in the author's own text first in each warning; those that a comment suppresses, here or there, are left
    out."""
    placed = [_at_the_cause(warning, resolved) for warning in warnings if not _is_known(warning, resolved)]
    return [warning for warning in placed if not warning.suppressed]


def _is_known(warning: Diagnostic, resolved: Resolved) -> bool:
    """Whether a comment suppresses a warning, also one in the shipped file whose line leads to it."""
    places = [label.span for label in warning.related if label.span.source.origin in ("shipped", "library")]
    if warning.span is not None and (lead := resolved.leads.get(warning.span.source)) is not None:
        places.append(lead)
    return warning.suppressed or any(warning.code in span.source.suppressions.get(span.line, ()) for span in places)


def _at_the_cause(finding: Diagnostic, resolved: Resolved) -> Diagnostic:
    """A finding in an extended file, with its cause in the author's file as the primary place.

    For a finding in a shipped file, that is the `extends` that leads there, unless a value of the author's causes it. Where a
    shipped file is checked itself, the finding stays where it is.
    """
    main = resolved.source
    span = finding.span
    if span is None or _near(span, main):
        return finding
    for number, label in enumerate(finding.related):
        if _near(label.span, main):
            others = (*finding.related[:number], *finding.related[number + 1 :])
            return replace(finding, span=label.span, label=label.text, related=(Label(span, finding.label), *others))
    if (lead := resolved.leads.get(span.source)) is not None and lead.source.origin != "shipped":
        related = (Label(span, finding.label), *finding.related)
        return replace(finding, span=lead, label="extended here", related=related)
    return finding


def _near(span: Span, main: Source) -> bool:
    """Whether a place is in the file that was checked, or on the command line."""
    return span.source is main or span.source.origin == "command line"


class _Overriding:
    """The values that override others, by place. Those of one source do not overlap, so they are found by bisection."""

    def __init__(self, replaced: Mapping[Span, YamlNode]) -> None:
        self.replaced = replaced
        self.order = {span: number for number, span in enumerate(replaced)}
        self.by_source: dict[Source, list[Span]] = {}
        for span in replaced:
            self.by_source.setdefault(span.source, []).append(span)
        for spans in self.by_source.values():
            spans.sort(key=_begin)

    def at(self, place: Span) -> Iterator[Span]:
        """The overriding values that overlap a place."""
        spans = self.by_source.get(place.source, [])
        first = bisect_right(spans, (place.line, place.column), key=_end)
        last = bisect_left(spans, (place.end_line, place.end_column), key=_begin)
        return (span for span in spans[first:last] if span.overlaps(place))


def _begin(span: Span) -> tuple[int, int]:
    return span.line, span.column


def _end(span: Span) -> tuple[int, int]:
    return span.end_line, span.end_column


def _with_notes(finding: Diagnostic, overriding: _Overriding) -> Diagnostic:
    if not overriding.replaced or finding.span is None:
        return finding
    places = [finding.span, *(label.span for label in finding.related)]
    values = sorted({value for place in places for value in overriding.at(place)}, key=overriding.order.__getitem__)
    notes = dict.fromkeys(_overrides(value, overriding.replaced) for value in values)
    return replace(finding, notes=(*finding.notes, *notes)) if notes else finding


def _overrides(span: Span, replaced: Mapping[Span, YamlNode]) -> str:
    """`23 at x.yaml:7 overrides 6 of base.yaml:12`, and what that one overrides."""
    steps = [old for old, _ in zip(_below(span, replaced), range(MOST_STEPS), strict=False)]
    below = ", which overrides ".join(f"{_text(old)} of {_place(old.span)}" for old in steps)
    return f"{_written(span)} at {_place(span)} overrides {below}"


def _below(span: Span, replaced: Mapping[Span, YamlNode]) -> Iterator[YamlNode]:
    while (old := replaced.get(span)) is not None:
        yield old
        span = old.span


def _place(span: Span) -> str:
    return f"{span.source.name}:{span.line}"


def _text(node: YamlNode) -> str:
    return f"`{node.text}`" if isinstance(node, ScalarNode) else _written(node.span)


def _written(span: Span) -> str:
    """The text at a place, as far as it is on one line."""
    line = span.source.line(span.line)
    text = line[span.column - 1 : span.end_column - 1 if span.end_line == span.line else None]
    return f"`{text.strip()}`"
