"""The uses and names in the body of a block."""

from __future__ import annotations

from collections.abc import Iterator

from resnet_spec.language import expressions
from resnet_spec.language.spec import Block, ScalarNode, Spec, Use, scalars_of
from resnet_spec.ops import OPERATIONS, Operation


def operation_of(spec: Spec, use: Use) -> type[Operation] | None:
    """The operation that the word of a use means; None where it means something else."""
    return None if spec.is_own(use.op, use.op_span) else OPERATIONS.get(use.op)


def sections_of(block: Block) -> tuple[Use, ...]:
    """The uses in the sections of a block, its join among them, in the order in which they are expanded."""
    join = () if block.join is None else (block.join,)
    return (*block.branch, *block.shortcut, *join, *block.after)


def uses_of(block: Block) -> Iterator[Use]:
    """Every use in a block, those inside sequences too."""
    pending = [*sections_of(block)]
    while pending:
        use = pending.pop(0)
        yield use
        pending[:0] = use.ops


def names_in(block: Block) -> set[str]:
    """Every name in the expressions of a block."""
    arguments = [*block.defaults.values(), *block.let.values()]
    if block.out_channels is not None:
        arguments.append(block.out_channels)
    scalars: list[object] = []
    for use in uses_of(block):
        scalars.append(use.when)
        arguments += use.arguments.values()
    for argument in arguments:
        scalars += scalars_of(argument)
    parsed = [expressions.parse(each.value) for each in scalars if isinstance(each, ScalarNode) and isinstance(each.value, str)]
    return {name for each in parsed if isinstance(each, expressions.Expression) for name, _, _ in each.names}
