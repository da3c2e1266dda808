"""Evaluates numbers, conditions and fields as written in a spec.

A value that is unknown because something before it failed is not reported again: it raises UnknownValueError without a finding.
"""

from __future__ import annotations

from dataclasses import replace

from resnet_spec.diagnostics import Diagnostic, Label, Span
from resnet_spec.language import expressions
from resnet_spec.language.editing import replace_value
from resnet_spec.language.expressions import ExpressionError, Number, Value
from resnet_spec.language.fixes import Fixes, propose
from resnet_spec.language.spec import Argument, ScalarNode, SequenceNode
from resnet_spec.lowering.origins import Scope, calculation, literal_behind, origin_labels
from resnet_spec.ops import Field, FieldValue


class UnknownValueError(Exception):
    """There is no value. `finding` is the reason, unless that was reported before."""

    def __init__(self, finding: Diagnostic | None = None) -> None:
        super().__init__(finding)
        self.finding = finding


def refuse(
    code: str, message: str, span: Span | None, help: str = "", related: tuple[Label, ...] = (), fixes: Fixes = ()
) -> UnknownValueError:
    """The error for a wrong value. Without a span, it is reported at the expression that uses the value."""
    return UnknownValueError(Diagnostic(code, message, span, related=related, help=help, fixes=fixes))


def number(scalar: ScalarNode, scope: Scope) -> Number:
    """Evaluate a number, a boolean or an expression; raises UnknownValueError, also for a pair."""
    value = evaluate(scalar, scope)
    if isinstance(value, tuple):
        message = f"a single value is needed here, but this is the pair {list(value)}"
        help = "write a single value; only a stage takes a list, with a value for each of its blocks"
        raise refuse("expression-type", message, scalar.span, help, origin_labels(scalar, scope))
    return value


def argument_value(written: ScalarNode | SequenceNode, scope: Scope) -> Value:
    """Evaluate an argument of a block: a single value, or a pair of integers. Raises UnknownValueError."""
    if isinstance(written, ScalarNode):
        return evaluate(written, scope)
    if len(written.items) != 2:
        message = f"a pair has two values, a height and a width, but here are {len(written.items)}"
        raise refuse("wrong-length", message, written.span, "write `[HEIGHT, WIDTH]`")
    first, second = (integer(item, scope, "a value of a pair") for item in written.items if isinstance(item, ScalarNode))
    return first, second


def evaluate(scalar: ScalarNode, scope: Scope) -> Value:
    """Evaluate a number, a boolean, an expression, or the name of a pair.

    Raises:
        UnknownValueError: the text is not an expression, or something in it has no value.
    """
    value = scalar.value
    if not isinstance(value, str):
        if value is None:
            raise UnknownValueError  # reported already: this is not a single value
        return value
    parsed = expressions.parse(value)
    try:
        if isinstance(parsed, ExpressionError):
            raise parsed
        return expressions.evaluate(parsed, scope.lookup)
    except RecursionError:  # long expressions of names of long expressions, before MAX_NAMES is reached
        raise refuse("too-deep", "the names in this expression depend on each other too deeply", scalar.span) from None
    except ExpressionError as error:
        related = origin_labels(scalar, scope)
        raise UnknownValueError(replace(expressions.diagnose(error, scalar), related=related)) from None
    except UnknownValueError as unknown:
        if unknown.finding is None or unknown.finding.span is not None:
            raise
        raise UnknownValueError(replace(unknown.finding, span=scalar.span)) from None


def boolean(scalar: ScalarNode, scope: Scope) -> bool:
    """Evaluate a condition. Raises UnknownValueError."""
    value = number(scalar, scope)
    if not isinstance(value, bool):
        help = f"write `{scalar.text} != 0`" if isinstance(scalar.value, str) else "write true or false"
        message = f"a boolean is needed here, but this is {value}"
        text = f"{scalar.text} != 0" if isinstance(scalar.value, str) else str(bool(value)).lower()
        fixes = propose(f"write `{text}`", replace_value(scalar, text))
        raise refuse("expression-type", message, scalar.span, help, origin_labels(scalar, scope), fixes)
    return value


def integer(scalar: ScalarNode, scope: Scope, what: str, least: float | None = None, most: float | None = None) -> int:
    """Evaluate an integer and check its bounds. Raises UnknownValueError."""
    value = number(scalar, scope)
    if isinstance(value, bool) or not isinstance(value, int):
        help = "divide with `//`, or use `round`" if isinstance(value, float) else ""
        message = f"`{what}` must be an integer, but this is {str(value).lower()}{_in_brackets(scalar, scope)}"
        fixes: Fixes = ()
        if isinstance(value, float):
            text = f"round({scalar.text})" if isinstance(scalar.value, str) else str(round(value))
            fixes = propose(f"write `{text}`", replace_value(scalar, text))
            literal = literal_behind(scalar, scope) if isinstance(scalar.value, str) else None
            if literal is not None and isinstance(literal.value, float) and literal.value.is_integer():
                fixes = propose(f"write `{int(literal.value)}`", replace_value(literal, str(int(literal.value))), "safe")
        raise refuse("expression-type", message, scalar.span, help, origin_labels(scalar, scope), fixes)
    _check_bounds(value, what, scalar, scope, least, most)
    return value


def _real(field: Field, written: ScalarNode, scope: Scope) -> float:
    value = number(written, scope)
    if isinstance(value, bool):
        message = f"`{field.name}` must be a number, but this is {str(value).lower()}"
        raise refuse("expression-type", message, written.span, related=origin_labels(written, scope))
    _check_bounds(value, field.name, written, scope, field.least, field.most)
    return float(value)


def _check_bounds(value: float, what: str, scalar: ScalarNode, scope: Scope, least: float | None, most: float | None) -> None:
    if least is not None and value < least:
        bound, help = f"at least {least}", f"use {least} or more"
    elif most is not None and value > most:
        bound, help = f"at most {most}", f"use {most} or less"
    else:
        return
    message = f"`{what}` is {value}{_in_brackets(scalar, scope)}, but must be {bound}"
    literal = literal_behind(scalar, scope) if isinstance(scalar.value, str) else scalar
    text = str(least if least is not None and value < least else most)
    fixes = () if literal is None else propose(f"write {text}", replace_value(literal, text))
    raise refuse("out-of-range", message, scalar.span, help, origin_labels(scalar, scope), fixes)


def _in_brackets(scalar: ScalarNode, scope: Scope) -> str:
    """How a value was computed, in parentheses; empty for a plain number."""
    if not isinstance(scalar.value, str):
        return ""
    return f" ({calculation(scalar, scope) or f'`{scalar.text}`'})"


def field_value(field: Field, argument: Argument, scope: Scope) -> FieldValue:
    """Evaluate a field of an operation: one of its keywords, else a value of its kind. Raises UnknownValueError."""
    written = argument.value
    if isinstance(written, SequenceNode):
        return _list_value(field, written, scope)
    if isinstance(written.value, str) and written.value in field.words:
        return written.value
    match field.kind:
        case "int":
            return integer(written, scope, field.name, field.least, field.most)
        case "bool":
            return boolean(written, scope)
        case "float":
            return _real(field, written, scope)
        case "pair":
            value = evaluate(written, scope)
            if isinstance(value, tuple):
                for each in value:
                    _check_bounds(each, field.name, written, scope, field.least, field.most)
                return value
            size = integer(written, scope, field.name, field.least, field.most)
            return (size, size)
        case "word":
            help = "use one of " + ", ".join(f"`{word}`" for word in field.words)
            raise refuse("unknown-word", f"`{field.name}` cannot be `{written.text}`", written.span, help)
        case "ints":
            raise refuse("wrong-type", f"`{field.name}` must be a list", written.span, "write a list: `[...]`")


def _list_value(field: Field, written: SequenceNode, scope: Scope) -> tuple[int, ...]:
    if field.kind not in ("pair", "ints"):
        raise refuse("wrong-type", f"`{field.name}` must be a single value, not a list", written.span)
    lengths = field.lengths or (2,)
    if len(written.items) not in lengths:
        counts = " or ".join(map(str, lengths))
        raise refuse("wrong-length", f"`{field.name}` has {len(written.items)} values, but takes {counts}", written.span)
    items = (item for item in written.items if isinstance(item, ScalarNode))
    return tuple(integer(item, scope, field.name, field.least, field.most) for item in items)
