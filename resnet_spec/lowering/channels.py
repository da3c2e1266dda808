"""What determines the number of channels of a value: a field of the operation that computed it, and its source."""

from __future__ import annotations

from dataclasses import dataclass

from resnet_spec.diagnostics import Label
from resnet_spec.graph.model import INPUT
from resnet_spec.language.spec import Block, ScalarNode
from resnet_spec.lowering.body import Body
from resnet_spec.lowering.origins import Scope, calculation, in_library, origin_labels
from resnet_spec.lowering.scope import WithChannels
from resnet_spec.lowering.uses import uses_of


@dataclass(frozen=True, slots=True)
class Channels:
    """The text of the field that sets the channels, and the scope of the names in it."""

    written: ScalarNode
    scope: Scope

    @property
    def calculation(self) -> str:
        return calculation(self.written, self.scope)

    def labels(self) -> tuple[Label, ...]:
        """The author's lines that determine it."""
        own: tuple[Label, ...] = ()
        if not in_library(self.written.span) and not isinstance(self.written.value, str):
            own = (Label(self.written.span, f"{self.written.text} channels are set here"),)
        return (*own, *origin_labels(self.written, self.scope))


def channels_of(block: Block, body: Body, value: int, scope: Scope) -> Channels | None:
    """What determines the channels of a value of a block; None if that is not a field written in the block."""
    while value != INPUT:
        node = body.nodes[value]
        if (found := node.op.channels_field()) is not None:
            name, entering = found
            use = next((use for use in uses_of(block) if use.key is node.span), None)
            written = None if use is None else use.arguments.get(name)
            if written is None or not isinstance(written.value, ScalarNode):
                return None
            return Channels(written.value, WithChannels(scope, entering))
        if len(node.inputs) > 1:
            return None
        value = node.inputs[0]
    return None


def describe_channels(block: Block, body: Body, value: int, scope: Scope) -> str:
    """The channels of a value of a block, as an expression of its arguments; empty if there is none.

    A concatenation has those of all its inputs.
    """
    if value == INPUT:
        return "in_channels"
    if (made := channels_of(block, body, value, scope)) is not None:
        return made.written.text
    while value != INPUT:
        node = body.nodes[value]
        if node.op.channels_field() is not None:
            return ""
        if node.op.joins == "concatenation":
            parts = [describe_channels(block, body, each, scope) for each in node.inputs]
            return " + ".join(parts) if all(parts) else ""
        value = node.inputs[0] if node.op.takes_like else node.inputs[-1]
    return "in_channels"
