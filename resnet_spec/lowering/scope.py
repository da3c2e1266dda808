"""Names and their values: the spec's own, a block's, and what an argument sees where it is written.

Names are evaluated when first asked for, once, and a name that needs itself is refused. A value that cannot be had because
something before it failed is no finding of its own: `UnknownValueError` without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from resnet_spec.diagnostics import Diagnostic, Label, Span
from resnet_spec.language import expressions
from resnet_spec.language.expressions import ExpressionError, Number
from resnet_spec.language.spec import Argument, Block, ScalarNode
from resnet_spec.lowering.origins import Scope, places, reading
from resnet_spec.ops import Field, FieldValue

MAX_NAMES = 32  # that need each other, one behind the other
INDEX_FACTS = ("first", "stage_index", "block_index", "block_count")


class UnknownValueError(Exception):
    """A value that is not to be had, with the reason unless that was told before."""

    def __init__(self, finding: Diagnostic | None = None) -> None:
        super().__init__(finding)
        self.finding = finding


def refuse(code: str, message: str, span: Span | None, mend: str = "", related: tuple[Label, ...] = ()) -> UnknownValueError:
    """Why there is no value. Without a span, it is told at the expression that asked."""
    return UnknownValueError(Diagnostic(code, message, span, related=related, help=mend))


def number(scalar: ScalarNode, scope: Scope) -> Number:
    """The value of a number, a truth value or an expression."""
    value = scalar.value
    if not isinstance(value, str):
        if value is None:
            raise UnknownValueError  # told already: something else than a value stands here
        return value
    parsed = expressions.parse(value)
    try:
        if isinstance(parsed, ExpressionError):
            raise parsed
        return expressions.evaluate(parsed, scope.lookup)
    except RecursionError:  # long expressions of names of long expressions, before MAX_NAMES is reached
        raise refuse("too-deep", "names need each other too deeply here", scalar.span) from None
    except ExpressionError as error:
        raise UnknownValueError(replace(expressions.diagnose(error, scalar), related=places(scalar, scope))) from None
    except UnknownValueError as unknown:
        if unknown.finding is None or unknown.finding.span is not None:
            raise
        raise UnknownValueError(replace(unknown.finding, span=scalar.span)) from None


def truth(scalar: ScalarNode, scope: Scope) -> bool:
    """The value of a condition."""
    value = number(scalar, scope)
    if not isinstance(value, bool):
        mend = f"write `{scalar.text} != 0`" if isinstance(scalar.value, str) else "write true or false"
        message = f"a truth value is needed here, and this is {value}"
        raise refuse("expression-type", message, scalar.span, mend, places(scalar, scope))
    return value


def whole(scalar: ScalarNode, scope: Scope, what: str, least: float | None = None, most: float | None = None) -> int:
    """The value of a whole number within bounds."""
    value = number(scalar, scope)
    if isinstance(value, bool) or not isinstance(value, int):
        mend = "divide with `//`, or use `round`" if isinstance(value, float) else ""
        message = f"`{what}` is a whole number, and this is {str(value).lower()}{_reading(scalar, scope)}"
        raise refuse("expression-type", message, scalar.span, mend, places(scalar, scope))
    _within(value, what, scalar, scope, least, most)
    return value


def _within(value: float, what: str, scalar: ScalarNode, scope: Scope, least: float | None, most: float | None) -> None:
    if least is not None and value < least:
        bound = f"at least {least}"
    elif most is not None and value > most:
        bound = f"at most {most}"
    else:
        return
    message = f"`{what}` is {value}{_reading(scalar, scope)}, and must be {bound}"
    mend = f"make it {bound.removeprefix('at ').partition(' ')[2]} or {'more' if bound.startswith('at least') else 'less'}"
    raise refuse("out-of-range", message, scalar.span, mend, places(scalar, scope))


def _reading(scalar: ScalarNode, scope: Scope) -> str:
    """How a value came about, in brackets; nothing for a plain number."""
    if not isinstance(scalar.value, str):
        return ""
    return f" ({reading(scalar, scope) or f'`{scalar.text}`'})"


def field_value(field: Field, argument: Argument, scope: Scope) -> FieldValue:
    """The value of one field of an operation: a word where it takes words, else numbers."""
    written = argument.value
    if isinstance(written, ScalarNode):
        if isinstance(written.value, str) and written.value in field.words:
            return written.value
        match field.kind:
            case "int":
                return whole(written, scope, field.name, field.least, field.most)
            case "bool":
                return truth(written, scope)
            case "float":
                return _real(field, written, scope)
            case "pair":
                size = whole(written, scope, field.name, field.least, field.most)
                return (size, size)
            case "word":
                mend = "one of " + ", ".join(f"`{word}`" for word in field.words)
                raise refuse("unknown-word", f"`{field.name}` cannot be `{written.text}`", written.span, mend)
            case "ints":
                raise refuse("wrong-type", f"`{field.name}` is a list", written.span)
    if field.kind not in ("pair", "ints"):
        raise refuse("wrong-type", f"`{field.name}` is one value, not a list", written.span)
    lengths = field.lengths or (2,)
    if len(written.items) not in lengths:
        counts = " or ".join(map(str, lengths))
        raise refuse("wrong-length", f"`{field.name}` has {len(written.items)} values, and takes {counts}", written.span)
    items = (item for item in written.items if isinstance(item, ScalarNode))
    return tuple(whole(item, scope, field.name, field.least, field.most) for item in items)


def _real(field: Field, written: ScalarNode, scope: Scope) -> float:
    value = number(written, scope)
    if isinstance(value, bool):
        message = f"`{field.name}` is a number, and this is {str(value).lower()}"
        raise refuse("expression-type", message, written.span, related=places(written, scope))
    _within(value, field.name, written, scope, field.least, field.most)
    return float(value)


class SpecScope:
    """The spec's `params` and `classes`."""

    def __init__(self, params: Mapping[str, Argument], classes: ScalarNode | None) -> None:
        self.params, self.classes = params, classes
        self.values: dict[str, Number] = {}
        self.active: list[str] = []

    def __contains__(self, name: str) -> bool:
        return name in self.params or (name == "classes" and self.classes is not None)

    def known(self, name: str) -> Number | None:
        return self.values.get(name)

    def origin(self, name: str) -> tuple[ScalarNode, Scope] | None:
        written = self.classes if name == "classes" else self.params[name].value if name in self.params else None
        return (written, self) if isinstance(written, ScalarNode) else None

    def lookup(self, name: str) -> Number:
        if name not in self.values:
            if name not in self:  # told already, as a name that means nothing
                raise UnknownValueError
            written = self.classes if name == "classes" else self.params[name].value
            if not isinstance(written, ScalarNode):
                raise refuse("wrong-type", f"the param `{name}` is a list, and one value is needed", self.params[name].key)
            _refuse_cycle(name, self.active, written.span)
            self.active.append(name)
            try:
                self.values[name] = number(written, self)
            finally:
                self.active.pop()
        return self.values[name]


class WithChannels:
    """A scope, and the channels that enter an operation."""

    __slots__ = ("around", "channels")

    def __init__(self, around: Scope, channels: int | None) -> None:
        self.around, self.channels = around, channels

    def lookup(self, name: str) -> Number:
        if name != "channels":
            return self.around.lookup(name)
        if self.channels is None:
            raise UnknownValueError
        return self.channels

    def known(self, name: str) -> Number | None:
        return self.channels if name == "channels" else self.around.known(name)

    def origin(self, name: str) -> tuple[ScalarNode, Scope] | None:
        return None if name == "channels" else self.around.origin(name)


class Given(Protocol):
    """An argument of a block as its use gives it."""

    def value(self, scope: BlockScope) -> Number: ...

    def origin(self, scope: BlockScope) -> tuple[ScalarNode, Scope] | None: ...


@dataclass(frozen=True, slots=True)
class Evaluated:
    """An argument that was evaluated where it is written; `scalar` is None for the stride of a stage."""

    number: Number
    scalar: ScalarNode | None
    around: Scope | None

    def value(self, scope: BlockScope) -> Number:
        return self.number

    def origin(self, scope: BlockScope) -> tuple[ScalarNode, Scope] | None:
        return None if self.scalar is None or self.around is None else (self.scalar, self.around)


@dataclass(frozen=True, slots=True)
class FromStage:
    """An argument in a stage, which sees the spec's names and the block's facts."""

    scalar: ScalarNode

    def value(self, scope: BlockScope) -> Number:
        return number(self.scalar, StageScope(scope))

    def origin(self, scope: BlockScope) -> tuple[ScalarNode, Scope] | None:
        return self.scalar, StageScope(scope)


class BlockScope:
    """The names of one block as it is used once. `given` are the arguments of the use, each with how to evaluate it.

    `facts` that are missing are not known here: a block outside a stage has no index. `read` gathers the index facts that
    were asked for, so that blocks which ask for none can be shared.
    """

    def __init__(
        self,
        block: Block,
        given: Mapping[str, Given],
        facts: Mapping[str, Number],
        in_channels: int,
        around: SpecScope,
    ) -> None:
        self.block, self.given, self.facts, self.in_channels, self.around = block, given, facts, in_channels, around
        self.values: dict[str, Number] = {}
        self.active: list[str] = []
        self.read: set[str] = set()

    def lookup(self, name: str) -> Number:
        if name in self.values:
            return self.values[name]
        if name in INDEX_FACTS:
            return self.fact(name)
        if name == "in_channels":
            return self.in_channels
        written = self._written(name)
        _refuse_cycle(name, self.active, None if written is None else written.key, name in self.given)
        self.active.append(name)
        try:
            value = self._value(name, written)
        finally:
            self.active.pop()
        self.values[name] = value
        return value

    def known(self, name: str) -> Number | None:
        if name in self.values:
            return self.values[name]
        fact = self.in_channels if name == "in_channels" else self.facts.get(name)
        return self.around.known(name) if fact is None else fact

    def origin(self, name: str) -> tuple[ScalarNode, Scope] | None:
        if name in self.given:
            return self.given[name].origin(self)
        written = self._written(name)
        if written is None:
            return self.around.origin(name)
        return (written.value, self) if isinstance(written.value, ScalarNode) else None

    def _written(self, name: str) -> Argument | None:
        block = self.block
        if name == "out_channels":
            return block.out_channels
        return None if name in self.given else block.defaults.get(name) or block.let.get(name)

    def _value(self, name: str, written: Argument | None) -> Number:
        if name in self.given:
            return self.given[name].value(self)
        if written is None:
            if name in self.around:
                return self.around.lookup(name)
            raise refuse("unknown-name", f"`{name}` is not known in the block `{self.block.name}`", None)
        if not isinstance(written.value, ScalarNode):
            raise refuse("wrong-type", f"`{name}` is one value, not a list", written.key)
        if name == "out_channels":
            return whole(written.value, self, name, 1)
        return number(written.value, self)

    def fact(self, name: str) -> Number:
        self.read.add(name)
        if name not in self.facts:
            message = f"`{name}` is known in the blocks of a stage only"
            raise refuse("unknown-name", message, None, "use the block in a stage, or pass a value as an argument")
        return self.facts[name]


class StageScope:
    """What an argument in a stage sees: the spec's names first, then facts, `stride` and the block's other arguments."""

    def __init__(self, scope: BlockScope) -> None:
        self.scope = scope

    def lookup(self, name: str) -> Number:
        if name in self.scope.around:
            return self.scope.around.lookup(name)
        return self.scope.lookup(name)

    def known(self, name: str) -> Number | None:
        return self._scope(name).known(name)

    def origin(self, name: str) -> tuple[ScalarNode, Scope] | None:
        return self._scope(name).origin(name)

    def _scope(self, name: str) -> Scope:
        return self.scope.around if name in self.scope.around else self.scope


def _refuse_cycle(name: str, active: list[str], span: Span | None, given: bool = False) -> None:
    if len(active) >= MAX_NAMES:
        raise refuse("too-deep", f"more than {MAX_NAMES} names need each other, one behind the other", span)
    if name in active:
        steps = [*active[active.index(name) :], name]
        way = " -> ".join(f"`{step}`" for step in steps)
        message, mend = f"`{name}` needs itself: {way}", "give one of them a number"
        if len(steps) == 2 and given:
            message = f"`{name}: {name}` says nothing: there is no param `{name}` that it could mean"
            mend = f"write a number, or say it once for the spec: `params: {{{name}: 64}}`"
        raise refuse("name-cycle", message, span, mend)
