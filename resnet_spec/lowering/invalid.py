"""Marks the uses and blocks of a spec that findings are about, so that the expansion skips them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import replace

from resnet_spec.language.spec import Block, Group, Spec, SpecEntry, Stage, Use


def mark_invalid_uses(spec: Spec, invalid: Set[Use | Block], used: Iterable[Block]) -> Spec:
    """Mark `invalid` uses and blocks of a spec. `used` are the blocks that it uses, including those of the library."""
    if not invalid:
        return spec
    own = {name: _block(block, invalid) for name, block in spec.blocks.items()}
    used = [block for block in used if spec.blocks.get(block.name) is not block]
    return replace(
        spec,
        roles=_roles(spec.roles, invalid),
        stem=_entries(spec.stem, invalid),
        stages=_entries(spec.stages, invalid),
        head=_entries(spec.head, invalid),
        blocks=own,
        marked={block.name: _block(block, invalid) for block in used},
    )


def _entries(entries: Iterable[SpecEntry], invalid: Set[Use | Block]) -> tuple[SpecEntry, ...]:
    return tuple(_entry(entry, invalid) for entry in entries)


def _entry(entry: SpecEntry, invalid: Set[Use | Block]) -> SpecEntry:
    match entry:
        case Group():
            return replace(entry, entries=_entries(entry.entries, invalid))
        case Stage():
            return replace(entry, block=_use(entry.block, invalid))
        case Use():
            return _use(entry, invalid)


def _use(use: Use, invalid: Set[Use | Block]) -> Use:
    ops = tuple(_use(inner, invalid) for inner in use.ops)
    roles = _roles(use.roles, invalid)
    changed = ops or roles or use in invalid
    return replace(use, ops=ops, roles=roles, invalid=use.invalid or use in invalid) if changed else use


def _roles(roles: Mapping[str, Use], invalid: Set[Use | Block]) -> dict[str, Use]:
    return {role: _use(use, invalid) for role, use in roles.items()}


def _block(block: Block, invalid: Set[Use | Block]) -> Block:
    return replace(
        block,
        branch=tuple(_use(use, invalid) for use in block.branch),
        shortcut=tuple(_use(use, invalid) for use in block.shortcut),
        join=None if block.join is None else _use(block.join, invalid),
        after=tuple(_use(use, invalid) for use in block.after),
        roles=_roles(block.roles, invalid),
        invalid=block.invalid or block in invalid,
    )
