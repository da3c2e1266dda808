"""How an image got its size, for findings: the operations before a value that change height or width."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from resnet_spec.diagnostics import Source, Span
from resnet_spec.diagnostics.text import join_words
from resnet_spec.graph.model import INPUT, Node, Region
from resnet_spec.ops import Shape, show

MOST_STEPS = 8


@dataclass(frozen=True, slots=True)
class SizeChange:
    """One change of height or width: the operation, the line of the user's file, and both sizes."""

    name: str
    span: Span
    before: Shape
    after: Shape


def changes(nodes: Sequence[Node], shape: Callable[[int], Shape], value: int) -> Iterator[int]:
    """The positions of the nodes on the path to `value` that change the size of an image, the last one first."""
    while value != INPUT:
        before = nodes[value].inputs[-1]  # of a join: the branch, which holds the strides
        if len(shape(value)) == 3 and shape(before)[1:] != shape(value)[1:]:
            yield value
        value = before


def lines(nodes: Sequence[Node], regions: Iterable[Region], outside: Span | None = None) -> list[Span]:
    """For each node the line of the user's file that led to it: its own, else that of the innermost block which has one,
    else `outside`."""
    found = [outside or node.span for node in nodes]
    for region in regions:  # the outer ones first
        if region.span.source.origin != "library":
            for position in range(region.start, min(region.stop, len(found))):  # `nodes` may end within a region
                found[position] = region.span
    return [node.span if node.span.source.origin != "library" else span for node, span in zip(nodes, found, strict=True)]


def describe_sizes(input: Shape, steps: Sequence[SizeChange], source: Source) -> str:
    """`the 32x32 input was halved by lines 6, 9 and 14, to 4x4`, or each size with its line.

    Lines are those of `source` unless the text names another file.
    """
    by_line: list[SizeChange] = []
    for step in steps:
        last = by_line[-1] if by_line else None
        if last is not None and (last.span.source, last.span.line) == (step.span.source, step.span.line):
            by_line[-1] = SizeChange(step.name, step.span, last.before, step.after)
        else:
            by_line.append(step)
    if not by_line:
        return ""
    end = show(by_line[-1].after[1:])
    if len(by_line) > 1 and all(_halves(step) for step in by_line):
        return f"the {show(input[1:])} input was halved by {_lines(by_line, source)}, to {end}"
    left_out = len(by_line) - MOST_STEPS
    shown = by_line if left_out <= 0 else [*by_line[: MOST_STEPS // 2], *by_line[-MOST_STEPS // 2 :]]
    sizes = [f"{show(step.after[1:])} at {_line(step, source)} ({step.name})" for step in shown]
    if left_out > 0:
        sizes.insert(MOST_STEPS // 2, f"so on for {left_out} more lines")
    return f"the {show(input[1:])} input becomes {join_words(sizes, 'and')}"


def _halves(step: SizeChange) -> bool:
    """Whether a line halves an image, up to rounding."""
    return all(n > 1 and after in (n // 2, -(-n // 2)) for n, after in zip(step.before[1:], step.after[1:], strict=True))


def _lines(steps: Sequence[SizeChange], source: Source) -> str:
    """`lines 6, 9 and 14`, of one file or of several."""
    sources = {step.span.source: None for step in steps}
    if len(sources) > 1:
        return join_words([_line(step, source) for step in steps], "and")
    other = "" if source in sources else f" of {steps[0].span.source.name}"
    return f"lines {join_words([str(step.span.line) for step in steps], 'and')}{other}"


def _line(step: SizeChange, source: Source) -> str:
    return f"line {step.span.line}" if step.span.source is source else f"{step.span.source.name}:{step.span.line}"
