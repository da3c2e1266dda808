"""Marks the uses and blocks of a spec that findings are about, so that the expansion skips them."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import replace

from resnet_spec.language.spec import Block, Spec, Stage, Use


def mark_invalid_uses(spec: Spec, invalid: Set[Use | Block], used: Iterable[Block]) -> Spec:
    """Mark `invalid` uses and blocks of a spec. `used` are the blocks that it uses, including those of the library."""
    if not invalid:
        return spec
    own = {name: _block(block, invalid) for name, block in spec.blocks.items()}
    used = [block for block in used if spec.blocks.get(block.name) is not block]
    return replace(
        spec,
        roles={role: _use(use, invalid) for role, use in spec.roles.items()},
        stem=tuple(_use(use, invalid) for use in spec.stem),
        stages=tuple(_entry(entry, invalid) for entry in spec.stages),
        head=tuple(_use(use, invalid) for use in spec.head),
        blocks=own,
        marked={block.name: _block(block, invalid) for block in used},
    )


def _entry(entry: Stage | Use, invalid: Set[Use | Block]) -> Stage | Use:
    return replace(entry, block=_use(entry.block, invalid)) if isinstance(entry, Stage) else _use(entry, invalid)


def _use(use: Use, invalid: Set[Use | Block]) -> Use:
    ops = tuple(_use(inner, invalid) for inner in use.ops)
    return replace(use, ops=ops, invalid=use.invalid or use in invalid) if ops or use in invalid else use


def _block(block: Block, invalid: Set[Use | Block]) -> Block:
    return replace(
        block,
        branch=tuple(_use(use, invalid) for use in block.branch),
        shortcut=tuple(_use(use, invalid) for use in block.shortcut),
        join=None if block.join is None else _use(block.join, invalid),
        after=tuple(_use(use, invalid) for use in block.after),
        invalid=block.invalid or block in invalid,
    )
