"""The finding for a join of unequal inputs: what determines their shapes, where these begin to differ, and a suggested fix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from resnet_spec.analysis.trace import changes
from resnet_spec.diagnostics import Diagnostic, Label
from resnet_spec.graph.model import INPUT, Node
from resnet_spec.language.spec import Block, ScalarNode, Spec, Stage, Use
from resnet_spec.lowering.body import Body, Val
from resnet_spec.lowering.channels import Channels, channels_of
from resnet_spec.lowering.context import ExpansionContext
from resnet_spec.lowering.origins import calculation, in_library
from resnet_spec.lowering.scope import BlockScope
from resnet_spec.ops import OPERATIONS, Shape, show


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
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
class _JoinConflict:
    """A join in a block, and its two inputs."""

    block: Block
    scope: BlockScope
    join: Use
    branch: _Side
    shortcut: _Side
    context: ExpansionContext
    entering: Shape

    @property
    def channels_differ(self) -> bool:
        return self.branch.shape[0] != self.shortcut.shape[0]

    @property
    def sizes_differ(self) -> bool:
        return self.branch.shape[1:] != self.shortcut.shape[1:]


def explain_join_conflict(spec: Spec, join: Use, shortcut: Val, branch: Val, context: ExpansionContext) -> Diagnostic:
    """Explain why the shapes of the inputs of a join in a block do not match."""
    assert context.block is not None
    entering = context.values["input"].shape
    assert entering is not None
    block, scope, body = context.block.block, context.block, context.body
    sides = _side("branch", branch, scope, body, entering), _side("shortcut", shortcut, scope, body, entering)
    conflict = _JoinConflict(block, scope, join, *sides, context, entering)
    label = ", ".join(side.describe(conflict.channels_differ) for side in sides)
    message = f"the two inputs of `join: {join.op}` in {context.trail.dotted() or block.name} have different shapes"
    span = context.trail.uses[-1].key if context.trail.uses else join.key
    related = tuple(dict.fromkeys(_related(spec, conflict)))
    return Diagnostic("shape-mismatch", message, span, label, related, suggest_fix(conflict))


def _side(name: str, value: Val, scope: BlockScope, body: Body, entering: Shape) -> _Side:
    def shape(value: int) -> Shape:
        return entering if value == INPUT else body.nodes[value].shape

    assert value.shape is not None
    resizing = tuple(body.nodes[position] for position in changes(body.nodes, shape, value.id))[::-1]
    return _Side(name, value.id, value.shape, channels_of(scope.block, body, value.id, scope), resizing)


def _related(spec: Spec, conflict: _JoinConflict) -> Iterator[Label]:
    """The other lines that explain a conflict."""
    for use in conflict.block.shortcut:
        if use.when is not None and use in conflict.context.absent:
            yield _absence(spec, use, use.when, conflict)
    if not in_library(conflict.join.key):
        yield Label(conflict.join.key, "joined here")
    sides = (conflict.branch, conflict.shortcut)
    if conflict.channels_differ:
        for side in sides:
            if side.channels is not None:
                yield from side.channels.labels()
    if conflict.sizes_differ:
        for side in sides:
            yield from _resizing(side, conflict)


def _absence(spec: Spec, use: Use, when: ScalarNode, conflict: _JoinConflict) -> Label:
    """Explain why an operation of the shortcut is absent: `false here: 1 != 1, so `downsample` is absent`."""
    decisive = _decisive_text(spec, when, conflict)
    computed = calculation(decisive, conflict.scope)
    own = f"`{decisive.text}` = "
    values = f": {computed.removeprefix(own)}" if computed.startswith(own) else ""
    return Label(decisive.span, f"false here{values}, so `{use.name}` is absent")


def _decisive_text(spec: Spec, when: ScalarNode, conflict: _JoinConflict) -> ScalarNode:
    """The text that decided a condition: the value of an argument if the condition is only its name."""
    written = conflict.block.defaults.get(when.text)
    around = conflict.context.trail.names[-1].rpartition(".")[0]
    for stage in spec.stages:
        if isinstance(stage, Stage) and stage.name == around:
            written = stage.block.arguments.get(when.text, written)
    return written.value if written is not None and isinstance(written.value, ScalarNode) else when


def _resizing(side: _Side, conflict: _JoinConflict) -> Iterator[Label]:
    """The author's lines at which the size of the image changes."""
    nodes = conflict.context.body.nodes
    for node in side.resizing:
        before = conflict.entering if node.inputs[-1] == INPUT else nodes[node.inputs[-1]].shape
        if not in_library(node.span):
            yield Label(node.span, f"{show(before[1:])} becomes {show(node.shape[1:])} here")


# --- suggested fixes ---------------------------------------------------------------------------------------------------------


def suggest_fix(conflict: _JoinConflict) -> str:
    """A change that makes the shapes of both inputs equal: the most specific suggestion that applies."""
    return (
        _fix_axes(conflict)
        or _fix_gate(conflict)
        or _fix_shortcut(conflict)
        or _fix_padding(conflict)
        or _fix_condition(conflict)
        or _add_shortcut(conflict)
    )


def _fix_axes(conflict: _JoinConflict) -> str:
    """For a vector joined with an image."""
    if len(conflict.branch.shape) == len(conflict.shortcut.shape):
        return ""
    flat = min(conflict.branch, conflict.shortcut, key=lambda side: len(side.shape))
    return f"remove the flatten from the {flat.name}: the other input is an image"


def _fix_gate(conflict: _JoinConflict) -> str:
    """For a gate, whose size must be that of the other side or 1x1."""
    join = OPERATIONS.get(conflict.join.op)
    if join is None or not join.broadcasts or conflict.channels_differ:
        return ""
    pool, gate = "{op: adaptive_avg_pool2d, output_size: 1}", f"{conflict.branch.shape[0]}x1x1"
    return f"use the same size on both sides, or end the branch in `{pool}`, whose output is {gate}"


def _fix_shortcut(conflict: _JoinConflict) -> str:
    """For a shortcut that is not the identity."""
    if conflict.shortcut.value == INPUT:
        return ""
    if not conflict.channels_differ and "stride" in conflict.block.defaults:
        for use in conflict.block.shortcut:
            if use.op not in OPERATIONS and "stride" not in use.arguments:
                return f"add `stride: stride` to `{use.name}`, so that it has the stride of the branch"
    return f"give the shortcut the channels and strides of the branch, so that its output is {show(conflict.branch.shape)} too"


def _fix_padding(conflict: _JoinConflict) -> str:
    """For a single convolution that changes the size and has no stride."""
    if conflict.channels_differ or len(conflict.branch.resizing) != 1:
        return ""
    op = conflict.branch.resizing[0].op
    window, keeping = op.window(), op.padding_that_keeps_size()
    if window is None or keeping is None:
        return ""
    high, wide = keeping
    padding = str(high) if high == wide else f"[{high}, {wide}]"
    return f"write `padding: {padding}`, which keeps the size with a kernel of {show(window.kernel)}, or remove the join"


def _fix_condition(conflict: _JoinConflict) -> str:
    """For a shortcut with a condition that was false."""
    if all(use.when is None for use in conflict.block.shortcut):
        return ""
    return "project the shortcut where channels change too: `project: stride != 1 or in_channels != out_channels`"


def _add_shortcut(conflict: _JoinConflict) -> str:
    """For a block without operations in its shortcut."""
    block, branch, shortcut = conflict.block, conflict.branch, conflict.shortcut
    width = branch.channels.written.text if branch.channels is not None else str(branch.shape[0])
    stride = ""
    if conflict.sizes_differ:
        sizes = zip(shortcut.shape[1:], branch.shape[1:], strict=True)
        if "stride" in block.defaults or "stride" in block.args:
            stride = ", stride: stride"
        elif all(after and before // after > 1 for before, after in sizes):
            stride = f", stride: {shortcut.shape[1] // branch.shape[1]}"
    return f"add a shortcut to the block: `shortcut: {{downsample: {{op: projection, width: {width}{stride}}}}}`"
