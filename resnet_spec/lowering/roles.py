"""What the roles mean in a place: at the top of a spec, in a stage, in a block, or in a use of a block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from resnet_spec.language.spec import Block, Use


@dataclass(frozen=True, slots=True, eq=False)
class Roles:
    """The roles that a place defines itself, and those of the place `around` it. Compared by identity."""

    own: Mapping[str, Use]
    around: Roles | None = None

    def find(self, role: str) -> tuple[Use, Roles] | None:
        """The definition of a role, and the place that has it: roles in the definition mean what they mean there."""
        place: Roles | None = self
        while place is not None:
            if role in place.own:
                return place.own[role], place
            place = place.around
        return None


class RolesOfBlocks:
    """The roles inside blocks. Equal ones are one object, on which the expansions of blocks that are reused depend."""

    def __init__(self) -> None:
        self._known: dict[tuple[Block, Use, Roles], Roles] = {}

    def enter(self, block: Block, use: Use, around: Roles) -> Roles:
        """The roles inside a use of a block: those of the use, then those of the block, then those `around`."""
        if not block.roles and not use.roles:
            return around
        key = (block, use, around)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Roles({**block.roles, **use.roles}, around)
        return found
