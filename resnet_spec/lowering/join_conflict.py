"""The finding for a join of unequal inputs: what determines their shapes, and where these begin to differ."""

from __future__ import annotations

from collections.abc import Iterator

from resnet_spec.analysis.trace import changes
from resnet_spec.diagnostics import Diagnostic, Label
from resnet_spec.graph.model import INPUT
from resnet_spec.language.spec import ScalarNode, Spec, Stage, Use
from resnet_spec.lowering.body import Body, Val
from resnet_spec.lowering.channels import channels_of
from resnet_spec.lowering.context import ExpansionContext
from resnet_spec.lowering.join_fixes import suggest_fixes
from resnet_spec.lowering.join_sides import JoinConflict, Side
from resnet_spec.lowering.origins import calculation, in_library
from resnet_spec.lowering.scope import BlockScope
from resnet_spec.ops import Shape, show


def explain_join_conflict(spec: Spec, join: Use, shortcut: Val, branch: Val, context: ExpansionContext) -> Diagnostic:
    """Explain why the shapes of the inputs of a join in a block do not match."""
    assert context.block is not None
    entering = context.values["input"].shape
    assert entering is not None
    block, scope, body = context.block.block, context.block, context.body
    sides = _side("branch", branch, scope, body, entering), _side("shortcut", shortcut, scope, body, entering)
    conflict = JoinConflict(block, scope, join, *sides, context, entering)
    label = ", ".join(side.describe(conflict.channels_differ) for side in sides)
    message = f"the two inputs of `join: {join.op}` in {context.trail.dotted() or block.name} have different shapes"
    span = context.trail.uses[-1].key if context.trail.uses else join.key
    related = tuple(dict.fromkeys(_related(spec, conflict)))
    decisive = [_decisive_text(spec, use.when, conflict) for use in block.shortcut if use.when is not None]
    help, fixes = suggest_fixes(conflict, decisive)
    return Diagnostic("shape-mismatch", message, span, label, related, help, fixes=fixes)


def _side(name: str, value: Val, scope: BlockScope, body: Body, entering: Shape) -> Side:
    def shape(value: int) -> Shape:
        return entering if value == INPUT else body.nodes[value].shape

    assert value.shape is not None
    resizing = tuple(body.nodes[position] for position in changes(body.nodes, shape, value.id))[::-1]
    return Side(name, value.id, value.shape, channels_of(scope.block, body, value.id, scope), resizing)


def _related(spec: Spec, conflict: JoinConflict) -> Iterator[Label]:
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


def _absence(spec: Spec, use: Use, when: ScalarNode, conflict: JoinConflict) -> Label:
    """Explain why an operation of the shortcut is absent: `false here: 1 != 1, so `downsample` is absent`."""
    decisive = _decisive_text(spec, when, conflict)
    computed = calculation(decisive, conflict.scope)
    own = f"`{decisive.text}` = "
    values = f": {computed.removeprefix(own)}" if computed.startswith(own) else ""
    return Label(decisive.span, f"false here{values}, so `{use.name}` is absent")


def _decisive_text(spec: Spec, when: ScalarNode, conflict: JoinConflict) -> ScalarNode:
    """The text that decided a condition: the value of an argument if the condition is only its name."""
    written = conflict.block.defaults.get(when.text)
    around = conflict.context.trail.names[-1].rpartition(".")[0]
    for stage in spec.entries:
        if isinstance(stage, Stage) and stage.name == around:
            written = stage.block.arguments.get(when.text, written)
    return written.value if written is not None and isinstance(written.value, ScalarNode) else when


def _resizing(side: Side, conflict: JoinConflict) -> Iterator[Label]:
    """The author's lines at which the size of the image changes."""
    nodes = conflict.context.body.nodes
    for node in side.resizing:
        before = conflict.entering if node.inputs[-1] == INPUT else nodes[node.inputs[-1]].shape
        if not in_library(node.span):
            yield Label(node.span, f"{show(before[1:])} becomes {show(node.shape[1:])} here")
