"""Whether a network satisfies the `expect` of its own spec, and what the exact values of it would be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from resnet_spec.analysis.axis import Piece, describe
from resnet_spec.analysis.cost import Cost
from resnet_spec.analysis.sizes import Accepted
from resnet_spec.diagnostics import Diagnostic, Edit, Fix, Span
from resnet_spec.diagnostics.suggestions import list_known
from resnet_spec.language.spec import Expect, ScalarNode, SequenceNode
from resnet_spec.ops import Shape, show

SQUARES_TRIED = 1024


class Facts(Protocol):
    """What `expect` is about: an analyzed network."""

    @property
    def output(self) -> Shape: ...

    @property
    def total(self) -> Cost: ...

    @property
    def accepted(self) -> Accepted: ...

    @property
    def outputs(self) -> Mapping[str, Shape]: ...


def check_expect(expect: Expect, facts: Facts) -> list[Diagnostic]:
    """A finding for each clause of `expect` that the network does not satisfy."""
    findings = [*_check_exact(expect, facts), *_check_bounds(expect, facts)]
    for height, width, span in expect.accepts:
        if (height, width) not in facts.accepted:
            message = f"`expect` declares that images of {height}x{width} are accepted, but the network accepts"
            help = "change the network, or remove the size"
            findings.append(_broken(f"{message} {facts.accepted.describe()}", span, help))
    return findings


def _broken(message: str, span: Span, help: str, edits: tuple[Edit, ...] = ()) -> Diagnostic:
    return Diagnostic("expect-broken", message, span, help=help, fixes=(Fix(help, edits),) if edits else ())


def _check_exact(expect: Expect, facts: Facts) -> Iterator[Diagnostic]:
    rewritten = rewrite_expect(expect, facts)
    if expect.output is not None and expect.output != facts.output:
        message = f"`expect` declares an output of {show(expect.output)}, but the network has {show(facts.output)}"
        help = f"if the change is intended, write `output: {list(facts.output)}`"
        yield _broken(message, expect.nodes["output"].span, help, rewritten.get("output", ()))
    for name, (shape, span) in expect.outputs.items():
        actual = facts.outputs.get(name)
        if actual is None:
            message = f"`expect` declares an output `{name}`, which the network does not have"
            yield _broken(message, span, list_known(facts.outputs) or "name it in `outputs`")
        elif actual != shape:
            message = f"`expect` declares an output `{name}` of {show(shape)}, but the network has {show(actual)}"
            yield _broken(message, span, f"if the change is intended, write `{name}: {list(actual)}`")
    if expect.squares is not None and (found := _compare_squares(facts.accepted, *expect.squares)):
        message, help = found
        yield _broken(message, expect.nodes["squares"].span, help, rewritten.get("squares", ()))
    for name, promised in expect.counts.items():
        counted = getattr(facts.total, name)
        if counted != promised:
            message = f"`expect` declares {promised:,} {name}, but the network has {counted:,}"
            help = f"if the change is intended, write {counted}"
            yield _broken(message, expect.nodes[name].span, help, rewritten.get(name, ()))


def _check_bounds(expect: Expect, facts: Facts) -> Iterator[Diagnostic]:
    for name, bounds in expect.bounds.items():
        counted = getattr(facts.total, name)
        if bounds.least is not None and counted < bounds.least:
            message = f"`expect` allows {bounds.least:,} {name} or more, but the network has {counted:,}"
            help = f"change the network, or write `least: {counted}` if it may be as small"
            yield _broken(message, bounds.spans["least"], help)
        if bounds.most is not None and counted > bounds.most:
            message = f"`expect` allows {bounds.most:,} {name} or fewer, but the network has {counted:,}"
            help = f"change the network, or write `most: {counted}` if it may be as large"
            yield _broken(message, bounds.spans["most"], help)


def _compare_squares(accepted: Accepted, least: int, most: int | None) -> tuple[str, str] | None:
    """How the accepted squares differ from those of `expect`, and a suggested fix; None if they are equal.

    Where the solver has no answer, shape inference is run at every size from 1 to `most + 1`, but not beyond `SQUARES_TRIED`.
    """
    expected = describe((Piece(least, most),))
    if not accepted.unsolved:
        squares = accepted.squares
        if squares and (squares[0].least, squares[-1].most) == (least, most):
            return None
        message = f"`expect` declares accepted squares of {expected}, but the network accepts {describe(squares)}"
        if not squares:
            return message, "remove `squares`: the network accepts no square image"
        end = "null" if squares[-1].most is None else squares[-1].most
        return message, f"if the change is intended, write `squares: [{squares[0].least}, {end}]`"
    last = SQUARES_TRIED if most is None else min(most + 1, SQUARES_TRIED)
    wrong = [n for n in (least, *((most,) if most is not None else ())) if (n, n) not in accepted]
    runs = [n for n in range(1, last + 1) if (n < least or (most is not None and n > most)) and (n, n) in accepted]
    if not wrong and not runs:
        return None
    actual = f"does not run on squares of {wrong[0]}" if wrong else f"also runs on squares of {runs[0]}"
    return (
        f"`expect` declares accepted squares of {expected}, but the network {actual}",
        "write the sizes it accepts, or remove `squares`",
    )


# --- rewriting ---------------------------------------------------------------------------------------------------------------


def rewrite_expect(expect: Expect, facts: Facts) -> dict[str, tuple[Edit, ...]]:
    """The edits that make the exact clauses of `expect` true, by clause.

    Bounds are not changed, nor a value that comes through an alias or is written in a way that cannot be changed in its place.
    """
    actual: dict[str, tuple[int | None, ...]] = {name: (getattr(facts.total, name),) for name in expect.counts}
    if expect.output is not None:
        actual["output"] = facts.output
    if expect.squares is not None and not facts.accepted.unsolved and (squares := facts.accepted.squares):
        actual["squares"] = (squares[0].least, squares[-1].most)
    found: dict[str, tuple[Edit, ...]] = {}
    for name, node in expect.nodes.items():
        if name in actual and (edits := _replace_values(node, actual[name])):
            found[name] = edits
    return found


def _replace_values(node: ScalarNode | SequenceNode, values: tuple[int | None, ...]) -> tuple[Edit, ...]:
    """The edits that give a number, or each number of a list, another value; none if it has it, or if that is not possible."""
    if isinstance(node, ScalarNode):
        return _replace_value(node, values[0])
    items = [item for item in node.items if isinstance(item, ScalarNode)]
    if len(items) == len(values):
        pairs = [pair for pair in zip(items, values, strict=True) if pair[0].value != pair[1]]
        edits = [_replace_value(*pair) for pair in pairs]
        return tuple(edit for each in edits for edit in each) if all(edits) else ()
    written = _written(node.span)
    if written.startswith("[") and written.endswith("]"):
        return (Edit(node.span, f"[{', '.join(map(_text, values))}]"),)
    return ()


def _replace_value(node: ScalarNode, value: int | None) -> tuple[Edit, ...]:
    if node.value == value or _written(node.span) != node.text:
        return ()
    return (Edit(node.span, _text(value)),)


def _text(value: int | None) -> str:
    return "null" if value is None else str(value)


def _written(span: Span) -> str:
    """The text at a place on one line; empty for one that goes over several lines, or comes through an alias."""
    if span.line != span.end_line or span.anchor is not None:
        return ""
    return span.source.line(span.line)[span.column - 1 : span.end_column - 1]
