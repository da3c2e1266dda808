"""Where a number comes from: the values of the names in an expression, and the lines that define them.

This is only for findings, so nothing is evaluated here: a name has a value if it was evaluated before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from resnet_spec.diagnostics import Label, Span
from resnet_spec.language import expressions
from resnet_spec.language.expressions import Expression, Value
from resnet_spec.language.spec import ScalarNode

MOST_LABELS = 4


class Scope(Protocol):
    """Names and their values."""

    def lookup(self, name: str) -> Value:
        """The value of a name; raises UnknownValueError."""
        ...

    def known(self, name: str) -> Value | None:
        """The value of a name that was evaluated before."""
        ...

    def origin(self, name: str) -> tuple[ScalarNode, Scope] | None:
        """The text that defines a name, and the scope of the names in it; None for a fact."""
        ...


def in_library(span: Span) -> bool:
    """Whether a text belongs to a block of the library, which the author of the spec cannot change."""
    return span.source.origin == "library"


def calculation(scalar: ScalarNode, scope: Scope) -> str:
    """`` `width * expansion` = 64 * 4 ``, or `` `width` = 64 ``; empty for a number."""
    seen: set[int] = set()
    while (parsed := _parsed(scalar)) is not None:
        if len(parsed.names) == 1 and parsed.names[0][0] == parsed.text.strip() and id(scalar) not in seen:
            seen.add(id(scalar))
            below = scope.origin(parsed.names[0][0])
            if below is not None and (inner := _parsed(below[0])) is not None and inner.names:
                scalar, scope = below
                continue
        values = [(scope.known(name), start, stop) for name, start, stop in parsed.names]
        text = parsed.text
        for value, start, stop in reversed(values):
            if value is None:
                return ""
            text = text[:start] + _as_written(value) + text[stop:]
        return f"`{parsed.text}` = {text}" if parsed.names else ""
    return ""


def literal_behind(scalar: ScalarNode, scope: Scope) -> ScalarNode | None:
    """The author's text that gives an expression of one name its value; None if it is computed from several."""
    seen: set[int] = set()
    while (parsed := _parsed(scalar)) is not None and id(scalar) not in seen:
        seen.add(id(scalar))
        if len(parsed.names) != 1 or parsed.names[0][0] != parsed.text.strip():
            return None
        below = scope.origin(parsed.names[0][0])
        if below is None:
            return None
        scalar, scope = below
    return None if in_library(scalar.span) or id(scalar) in seen else scalar


def origin_labels(scalar: ScalarNode, scope: Scope) -> tuple[Label, ...]:
    """The author's lines that define the names of an expression, directly or through other names."""
    found: dict[object, Label] = {}
    for label in _labels(scalar, scope, set()):
        found.setdefault(label.span, label)
        if len(found) == MOST_LABELS:
            break
    return tuple(found.values())


def _labels(scalar: ScalarNode, scope: Scope, seen: set[int]) -> Iterator[Label]:
    parsed = _parsed(scalar)
    if parsed is None or id(scalar) in seen:
        return
    seen.add(id(scalar))
    for name in dict.fromkeys(name for name, _, _ in parsed.names):
        below = scope.origin(name)
        if below is None:
            continue
        value = scope.known(name)
        written, inner = below
        if value is not None and not in_library(written.span):
            yield Label(written.span, f"`{name}` is {_as_written(value)} here")
        yield from _labels(written, inner, seen)


def _as_written(value: Value) -> str:
    """A value as a spec writes it."""
    return str(list(value)) if isinstance(value, tuple) else str(value).lower()


def _parsed(scalar: ScalarNode) -> Expression | None:
    parsed = expressions.parse(scalar.value) if isinstance(scalar.value, str) else None
    return parsed if isinstance(parsed, Expression) else None
