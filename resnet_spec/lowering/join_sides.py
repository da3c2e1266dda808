"""A join in a block whose inputs do not fit, and its two inputs."""

from __future__ import annotations

from dataclasses import dataclass

from resnet_spec.graph.model import INPUT, Node
from resnet_spec.language.spec import Block, Use
from resnet_spec.lowering.channels import Channels
from resnet_spec.lowering.context import ExpansionContext
from resnet_spec.lowering.scope import BlockScope
from resnet_spec.ops import Shape, show


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One input of a join: its name, its shape, and what in the block determines the shape."""

    name: str
    value: int
    shape: Shape
    channels: Channels | None
    resizing: tuple[Node, ...]  # the operations that change the size of the image, in order

    def describe(self, channels_differ: bool) -> str:
        """`branch is 256x56x56 (`width * expansion` = 64 * 4)`."""
        reason = ""
        if self.value == INPUT:
            reason = "identity"
        elif self.channels is not None and channels_differ:
            reason = self.channels.calculation
        return f"{self.name} is {show(self.shape)}" + (f" ({reason})" if reason else "")


@dataclass(frozen=True, slots=True, eq=False)
class JoinConflict:
    """A join in a block, and its two inputs."""

    block: Block
    scope: BlockScope
    join: Use
    branch: Side
    shortcut: Side
    context: ExpansionContext
    entering: Shape

    @property
    def channels_differ(self) -> bool:
        return self.branch.shape[0] != self.shortcut.shape[0]

    @property
    def sizes_differ(self) -> bool:
        return self.branch.shape[1:] != self.shortcut.shape[1:]
