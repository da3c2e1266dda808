"""The state of the expansion: what an operation is built from, and the path that led to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from resnet_spec.language.spec import Argument, Use
from resnet_spec.lowering.body import Body, Place, Val
from resnet_spec.lowering.origins import Scope
from resnet_spec.lowering.roles import Roles
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
    """The network, a group, a block or a sequence whose operations are being expanded.

    `values` are those that `from` may name, by their paths in the file. `around` are the groups that the operations are in, and
    `place` is the module whose children they are.
    """

    body: Body
    scope: Scope
    trail: Trail
    roles: Roles
    place: Place
    block: BlockScope | None = None  # the enclosing block, if any
    prefix: str = ""  # of the paths of the operations in the file
    values: dict[str, Val] = field(default_factory=dict)
    around: tuple[str, ...] = ()
    absent: list[Use] = field(default_factory=list)  # those whose `if` was false
    missing: dict[str, Use] = field(default_factory=dict)  # those of them that pass on the value before, by their paths

    def find(self, name: str) -> tuple[str, Val] | None:
        """The value that a name means here: in the same group, or in one around it; with its path."""
        for length in range(len(self.around), -1, -1):
            path = ".".join((*self.around[:length], name))
            if path in self.values:
                return path, self.values[path]
        return None

    def record(self, name: str, value: Val) -> None:
        """Record the value of an entry, which also is the last one of the groups that it is in."""
        path = (*self.around, *name.split("."))
        for length in range(1, len(path) + 1):
            self.values[".".join(path[:length])] = value


@dataclass(frozen=True, slots=True, eq=False)
class PresentUse:
    """A use whose `if` is not false, with everything that its expansion depends on."""

    use: Use
    meaning: Use  # the use itself, or the use that defines its role
    roles: Roles  # where the meaning is written
    arguments: Mapping[str, tuple[Argument, Scope]]  # as written, each with the names that it sees
    inputs: tuple[Val, ...]
    context: ExpansionContext

    @property
    def name(self) -> str:
        """Its path in the file, relative to the body."""
        return self.context.prefix + self.use.name

    def take_name(self) -> str:
        """The name of its module, relative to the body. Raises UnknownValueError where it is taken."""
        return self.context.body.name_in(self.context.place, self.use.name, self.use.key)
