"""Names and their values: those of the spec, those of a block, and those that an argument sees where it is written.

A name is evaluated once, when it is first looked up. A name that depends on itself is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from resnet_spec.diagnostics import Span
from resnet_spec.language.expressions import Number, Value
from resnet_spec.language.spec import Argument, ArgumentValue, Block, ScalarNode
from resnet_spec.lowering.origins import Scope
from resnet_spec.lowering.values import UnknownValueError, argument_value, integer, number, refuse

MAX_NAMES = 32  # in a chain of names that depend on each other
INDEX_FACTS = ("first", "stage_index", "block_index", "block_count")


class SpecScope:
    """The spec's `params` and `classes`."""

    def __init__(self, params: Mapping[str, Argument], classes: ScalarNode | None) -> None:
        self.params, self.classes = params, classes
        self.values: dict[str, Value] = {}
        self.active: list[str] = []

    def __contains__(self, name: str) -> bool:
        return name in self.params or (name == "classes" and self.classes is not None)

    def known(self, name: str) -> Value | None:
        return self.values.get(name)

    def origin(self, name: str) -> tuple[ScalarNode, Scope] | None:
        written = self.classes if name == "classes" else self.params[name].value if name in self.params else None
        return (written, self) if isinstance(written, ScalarNode) else None

    def lookup(self, name: str) -> Value:
        if name not in self.values:
            if name not in self:  # reported already, as an unknown name
                raise UnknownValueError
            written = self.classes if name == "classes" else self.params[name].value
            if not isinstance(written, ScalarNode):
                raise refuse("wrong-type", f"the param `{name}` must be a single value, not a list", self.params[name].key)
            _refuse_cycle(name, self.active, written.span)
            self.active.append(name)
            try:
                self.values[name] = number(written, self)
            finally:
                self.active.pop()
        return self.values[name]


class WithChannels:
    """A scope, and `channels`: the number of input channels of an operation (None: unknown)."""

    __slots__ = ("around", "channels")

    def __init__(self, around: Scope, channels: int | None) -> None:
        self.around, self.channels = around, channels

    def lookup(self, name: str) -> Value:
        if name != "channels":
            return self.around.lookup(name)
        if self.channels is None:
            raise UnknownValueError
        return self.channels

    def known(self, name: str) -> Value | None:
        return self.channels if name == "channels" else self.around.known(name)

    def origin(self, name: str) -> tuple[ScalarNode, Scope] | None:
        return None if name == "channels" else self.around.origin(name)


class Given(Protocol):
    """An argument that a use passes to a block."""

    def value(self, scope: BlockScope) -> Value: ...

    def origin(self, scope: BlockScope) -> tuple[ScalarNode, Scope] | None: ...


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """An argument that was evaluated where it is `written`, which is None for the stride of a stage."""

    number: Value
    written: ArgumentValue | None
    around: Scope | None

    def value(self, scope: BlockScope) -> Value:
        return self.number

    def origin(self, scope: BlockScope) -> tuple[ScalarNode, Scope] | None:
        return None if self.written is None or self.around is None else (_as_scalar(self.written), self.around)


@dataclass(frozen=True, slots=True, eq=False)
class FromStage:
    """An argument in a stage, which sees the spec's names and the block's facts."""

    written: ArgumentValue

    def value(self, scope: BlockScope) -> Value:
        return argument_value(self.written, StageScope(scope))

    def origin(self, scope: BlockScope) -> tuple[ScalarNode, Scope] | None:
        return _as_scalar(self.written), StageScope(scope)


class BlockScope:
    """The names of a block in one use of it. `given` are the arguments of the use, and how each is evaluated.

    Missing `facts` are unknown: a block outside a stage has no index. `read` collects the index facts that were looked up;
    blocks that look up none can share one expansion.
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
        self.values: dict[str, Value] = {}
        self.active: list[str] = []
        self.read: set[str] = set()

    def lookup(self, name: str) -> Value:
        if name in self.values:
            return self.values[name]
        if name in INDEX_FACTS:
            return self._fact(name)
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

    def known(self, name: str) -> Value | None:
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
        return _as_scalar(written.value), self

    def _written(self, name: str) -> Argument | None:
        block = self.block
        if name == "out_channels":
            return block.out_channels
        return None if name in self.given else block.defaults.get(name) or block.let.get(name)

    def _value(self, name: str, written: Argument | None) -> Value:
        if name in self.given:
            return self.given[name].value(self)
        if written is None:
            if name in self.around:
                return self.around.lookup(name)
            raise refuse("unknown-name", f"`{name}` is not known in the block `{self.block.name}`", None)
        if name == "out_channels" and isinstance(written.value, ScalarNode):
            return integer(written.value, self, name, 1)
        return argument_value(written.value, self)

    def _fact(self, name: str) -> Number:
        self.read.add(name)
        if name not in self.facts:
            message = f"`{name}` is only defined in the blocks of a stage"
            raise refuse("unknown-name", message, None, "use the block in a stage, or pass a value as an argument")
        return self.facts[name]


class StageScope:
    """The names that an argument in a stage sees: the spec's names, then facts, `stride` and the block's other arguments."""

    def __init__(self, scope: BlockScope) -> None:
        self.scope = scope

    def lookup(self, name: str) -> Value:
        return self._scope(name).lookup(name)

    def known(self, name: str) -> Value | None:
        return self._scope(name).known(name)

    def origin(self, name: str) -> tuple[ScalarNode, Scope] | None:
        return self._scope(name).origin(name)

    def _scope(self, name: str) -> Scope:
        return self.scope.around if name in self.scope.around else self.scope


def _as_scalar(written: ArgumentValue) -> ScalarNode:
    """The text that defines a name: its own, or the place of a pair."""
    return written if isinstance(written, ScalarNode) else ScalarNode(None, written.span)


def _refuse_cycle(name: str, active: list[str], span: Span | None, given: bool = False) -> None:
    if len(active) >= MAX_NAMES:
        raise refuse("too-deep", f"more than {MAX_NAMES} names depend on each other in a chain", span)
    if name in active:
        steps = [*active[active.index(name) :], name]
        chain = " -> ".join(f"`{step}`" for step in steps)
        message, help = f"`{name}` depends on itself: {chain}", "set one of them to a number"
        if len(steps) == 2 and given:
            message = f"`{name}: {name}` refers to itself: there is no param `{name}`"
            help = f"write a number, or define the param: `params: {{{name}: 64}}`"
        raise refuse("name-cycle", message, span, help)
