"""The state of the expansion: what an operation is built from, and the path that led to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from resnet_spec.language.spec import Argument, Use
from resnet_spec.lowering.body import Body, Val
from resnet_spec.lowering.origins import Scope
from resnet_spec.lowering.scope import BlockScope


@dataclass(frozen=True, slots=True, eq=False)
class Trail:
    """The path from the network to the place that a finding is about."""

    uses: tuple[Use, ...] = ()  # the uses that led here, the outermost first
    names: tuple[str, ...] = ()  # of the enclosing blocks
    bodies: tuple[tuple[Body, int], ...] = ()  # of the enclosing blocks, each with the input of the next one

    def to(self, use: Use) -> Trail:
        """The path to one of the uses at this place."""
        return Trail((*self.uses, use), self.names, self.bodies)

    def into(self, name: str, body: Body, entering: int) -> Trail:
        """The path into the block of the last use, which is appended to `body` under a name."""
        return Trail(self.uses, (*self.names, name), (*self.bodies, (body, entering)))

    def dotted(self, *names: str) -> str:
        """The full name of something at this place."""
        return ".".join([*self.names, *names])


@dataclass(frozen=True, slots=True, eq=False)
class ExpansionContext:
    """The network, a block or a sequence whose operations are being expanded."""

    body: Body
    scope: Scope
    trail: Trail
    block: BlockScope | None = None  # the enclosing block, if any
    prefix: str = ""  # of the names in the body
    values: dict[str, Val] = field(default_factory=dict)  # those that `from` may name
    absent: list[Use] = field(default_factory=list)  # those whose `if` was false


@dataclass(frozen=True, slots=True, eq=False)
class PresentUse:
    """A use whose `if` is not false, with everything that its expansion depends on."""

    use: Use
    meaning: Use  # the use itself, or the use that defines its role
    arguments: Mapping[str, tuple[Argument, Scope]]  # as written, each with the names that it sees
    inputs: tuple[Val, ...]
    context: ExpansionContext

    @property
    def name(self) -> str:
        """Its name in the body."""
        return self.context.prefix + self.use.name
