"""Findings told from where the author sits: in the file that was checked, and with what its values overrode.

Goes in: findings, the text that was checked, and what its merge replaced. Comes out: the same findings. One whose cause is in
the author's file, but which shows in a file that it extends, gets its primary place at the cause.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from resnet_spec.diagnostics import Diagnostic, Label, Source, Span
from resnet_spec.language.reader import ScalarNode, YamlNode

MOST_STEPS = 4


def with_origins(findings: Iterable[Diagnostic], main: Source, replaced: Mapping[Span, YamlNode]) -> list[Diagnostic]:
    """`findings` with the place of the author's own text first, and a note for each value that overrides another."""
    return [_with_notes(_at_the_cause(finding, main), replaced) for finding in findings]


def _at_the_cause(finding: Diagnostic, main: Source) -> Diagnostic:
    span = finding.span
    if span is None or _near(span, main):
        return finding
    for number, label in enumerate(finding.related):
        if _near(label.span, main):
            others = (*finding.related[:number], *finding.related[number + 1 :])
            return replace(finding, span=label.span, label=label.text, related=(Label(span, finding.label), *others))
    return finding


def _near(span: Span, main: Source) -> bool:
    """Whether a place is in what the author has just written: the file itself, or the command line."""
    return span.source is main or span.source.origin == "command line"


def _with_notes(finding: Diagnostic, replaced: Mapping[Span, YamlNode]) -> Diagnostic:
    if not replaced or finding.span is None:
        return finding
    places = [finding.span, *(label.span for label in finding.related)]
    notes = dict.fromkeys(_overrides(value, replaced) for value in replaced if any(value.meets(each) for each in places))
    return replace(finding, notes=(*finding.notes, *notes)) if notes else finding


def _overrides(span: Span, replaced: Mapping[Span, YamlNode]) -> str:
    """`23 at x.yaml:7 overrides 6 of base.yaml:12`, and what that overrode before."""
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
    """The text at a place, as far as it stands on one line."""
    line = span.source.line(span.line)
    text = line[span.column - 1 : span.end_column - 1 if span.end_line == span.line else None]
    return f"`{text.strip()}`"
