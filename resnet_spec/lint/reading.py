"""Which names the expressions of a spec read: its params, `classes`, and the arguments and variables of its blocks.

A name counts as read where an expression that is used contains it, even under an `if` that is false: what is never read by any
of them has no effect on any network of the spec.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from resnet_spec.diagnostics import Span
from resnet_spec.language import expressions
from resnet_spec.language.spec import FACTS, Argument, Block, ScalarNode, Spec, Stage, Use, scalars_of


@dataclass(slots=True, eq=False)
class BlockReading:
    """What is known of a block that the network uses: the names of its own that it reads, and the arguments that it is given.

    `read` are arguments, defaults and `let` variables. `given` has the places of the keys, by argument.
    """

    block: Block
    read: set[str] = field(default_factory=set)
    given: dict[str, list[Span]] = field(default_factory=dict)

    def find(self, name: str) -> Argument | None:
        """The value of a default or a `let` variable of the block."""
        return self.block.defaults.get(name) or self.block.let.get(name)

    @property
    def unread_arguments(self) -> dict[str, Span]:
        """The declared arguments that nothing in the block reads, with the place of their declaration."""
        declared = {**self.block.args, **{name: each.key for name, each in self.block.defaults.items()}}
        return {name: span for name, span in declared.items() if name not in self.read}

    @property
    def unread_variables(self) -> dict[str, Span]:
        """The `let` variables that nothing in the block reads."""
        return {name: each.key for name, each in self.block.let.items() if name not in self.read}


class SpecReading:
    """What the used expressions of a spec read. `names` are those of the spec itself: params, and `classes`."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.names: set[str] = set()
        self.blocks: dict[Block, BlockReading] = {}
        for use in spec.roles.values():
            self._add_use(use, None)
        for entry in spec.entries:
            if isinstance(entry, Stage):
                self._add_stage(entry)
            else:
                self._add_use(entry, None)

    def _add_use(self, use: Use, inside: BlockReading | None) -> None:
        """Add an operation, role or block, in a block or at the top."""
        self._read(_names_in_use(use), inside)
        for inner in use.ops:
            self._add_use(inner, inside)
        for role in use.roles.values():
            self._add_use(role, None)
        if self.spec.is_role(use.op, use.op_span):  # the definition of the role was added at the top
            meaning = self.spec.roles.get(use.op)
            block = None if meaning is None else self.spec.find_block(meaning.op, meaning.op_span)
        else:
            block = self.spec.find_block(use.op, use.op_span)
        if block is not None:
            self._give(self._add_block(block), use.arguments)

    def _add_stage(self, stage: Stage) -> None:
        for scalar in (
            *_scalars(stage.depth),
            *_scalars(stage.stride),
            *(expressions.expressions_in_braces(stage.names) if stage.names else ()),
        ):
            self._read(_names_in(scalar), None)
        for role in stage.block.roles.values():
            self._add_use(role, None)
        block = self.spec.find_block(stage.block.op, stage.block.op_span)
        if block is None:
            return
        reading = self._add_block(block)
        self._give(reading, stage.block.arguments)
        if stage.stride is not None:
            self._give(reading, {"stride": stage.stride})
        own: list[str] = []
        for name in _names_in_use(stage.block):  # here the spec's names come before the block's
            if name in self.spec.params or name == "classes":
                self._read((name,), None)
            else:
                own.append(name)
        self._read(own, reading)

    def _give(self, reading: BlockReading, arguments: Mapping[str, Argument]) -> None:
        for name, argument in arguments.items():
            reading.given.setdefault(name, []).append(argument.key)

    def _add_block(self, block: Block) -> BlockReading:
        """Add a block, once."""
        found = self.blocks.get(block)
        if found is None:
            found = self.blocks[block] = BlockReading(block)
            if block.out_channels is not None:  # the block's output is checked against it
                self._read(_names_in_argument(block.out_channels), found)
            for use in (*block.branch, *block.shortcut, *((block.join,) if block.join else ()), *block.after):
                self._add_use(use, found)
            for role in block.roles.values():
                self._add_use(role, None)
        return found

    def _read(self, names: Iterable[str], inside: BlockReading | None) -> None:
        """Read names where they are visible, and those that their values read in turn."""
        pending = [(name, inside) for name in names]
        while pending:
            name, where = pending.pop()
            if where is not None and (written := where.find(name)) is not None:
                if name not in where.read:
                    where.read.add(name)
                    pending += [(each, where) for each in _names_in_argument(written)]
            elif where is not None and name in where.block.args:
                where.read.add(name)
            elif name not in self.names and name not in FACTS:
                self.names.add(name)
                param = self.spec.params.get(name)
                if param is not None:
                    pending += [(each, None) for each in _names_in_argument(param)]


def _names_in_use(use: Use) -> list[str]:
    """The names in the arguments and the `if` of a use."""
    found = [] if use.when is None else [*_names_in(use.when)]
    for argument in use.arguments.values():
        found += _names_in_argument(argument)
    return found


def _names_in_argument(argument: Argument) -> list[str]:
    return [name for scalar in _scalars(argument) for name in _names_in(scalar)]


def _scalars(written: Argument | ScalarNode | None) -> Iterator[ScalarNode]:
    """The single values that are written somewhere: itself, or those of a list."""
    if isinstance(written, ScalarNode):
        yield written
    elif written is not None:
        yield from scalars_of(written)


def _names_in(scalar: ScalarNode) -> Iterator[str]:
    if isinstance(scalar.value, str):
        parsed = expressions.parse(scalar.value)
        if isinstance(parsed, expressions.Expression):
            yield from (name for name, _, _ in parsed.names)
