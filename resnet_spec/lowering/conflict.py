"""Words for two values that do not fit: where their channels come from, where their sizes part, what to write.

Goes in: a block with the values that were made of it. Comes out: texts and places for a finding; nothing is expanded here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from resnet_spec.analysis.trace import changes
from resnet_spec.diagnostics import Diagnostic, Label
from resnet_spec.graph.model import INPUT, BrokenNode, Node
from resnet_spec.language.spec import Argument, Block, ScalarNode, SequenceNode, Use
from resnet_spec.lowering.body import Body, Val
from resnet_spec.lowering.origins import Scope, places, reading
from resnet_spec.lowering.scope import WithChannels
from resnet_spec.ops import OPERATIONS, Shape, show
from resnet_spec.ops.convolution import Conv2d

MOST_NAMES = 3


def uses_of(block: Block) -> Iterator[Use]:
    """Every use in the body of a block, those inside sequences too."""
    pending = [*block.branch, *block.shortcut, *block.after]
    while pending:
        use = pending.pop(0)
        yield use
        pending[:0] = use.ops


@dataclass(frozen=True, slots=True)
class Channels:
    """What decided the channels of a value: the text of `out_channels`, and the names it can see."""

    written: ScalarNode
    scope: Scope

    @property
    def text(self) -> str:
        return reading(self.written, self.scope)

    def labels(self) -> tuple[Label, ...]:
        """The author's lines behind it."""
        own = () if self.written.span.source.origin == "library" or isinstance(self.written.value, str) else (self.written,)
        return (*(Label(each.span, f"{each.text} channels from here") for each in own), *places(self.written, self.scope))


def channels_of(block: Block, body: Body, value: int, scope: Scope) -> Channels | None:
    """The convolution of a block that gave a value its channels, if it is written there."""
    while value != INPUT:
        node = body.nodes[value]
        if isinstance(node.op, Conv2d):
            use = next((use for use in uses_of(block) if use.key is node.span), None)
            written = None if use is None else use.arguments.get("out_channels")
            if written is None or not isinstance(written.value, ScalarNode):
                return None
            return Channels(written.value, WithChannels(scope, node.op.in_channels))
        if len(node.inputs) > 1:
            return None
        value = node.inputs[0]
    return None


def side(name: str, value: Val, channels: Channels | None, different: bool) -> str:
    """`branch gives 256x56x56 (`width * expansion` = 64 * 4)`; `different`: its channels are not those of the other side."""
    assert value.shape is not None
    why = "identity" if value.id == INPUT else channels.text if channels is not None and different else ""
    return f"{name} gives {show(value.shape)}" + (f" ({why})" if why else "")


def resized(body: Body, value: int, entering: Shape) -> list[Node]:
    """The operations on the way to a value that change the size of the image, in order."""

    def shape(value: int) -> Shape:
        return entering if value == INPUT else body.nodes[value].shape

    return [body.nodes[position] for position in changes(body.nodes, shape, value)][::-1]


def resize_labels(body: Body, nodes: Iterable[Node], entering: Shape) -> tuple[Label, ...]:
    """Where the size changes, from what to what."""
    found = []
    for node in nodes:
        before = entering if node.inputs[-1] == INPUT else body.nodes[node.inputs[-1]].shape
        found.append(Label(node.span, f"{show(before[1:])} becomes {show(node.shape[1:])} here"))
    return tuple(found)


def mend_of(block: Block, join: Use, shortcut: Val, branch: Val, resizing: Sequence[Node], channels: Channels | None) -> str:
    """What the author can write to make both sides of a join equal."""
    assert shortcut.shape is not None
    assert branch.shape is not None
    (wide, *size), (narrow, *small) = branch.shape, shortcut.shape
    if join.op == "multiply" and wide == narrow:
        return f"give both sides the same size, or end the branch in `{{op: adaptive_avg_pool2d, output_size: 1}}`: {wide}x1x1"
    if shortcut.id != INPUT:
        for use in block.shortcut:
            if use.op not in OPERATIONS and wide == narrow and "stride" not in use.arguments and "stride" in block.defaults:
                return f"write `stride: stride` at `{use.name}`, so that it strides as the branch does"
        return f"let the shortcut give {show(branch.shape)} too: the channels and the strides of the branch"
    ops = [node.op for node in resizing if isinstance(node.op, Conv2d)]
    if wide == narrow and len(resizing) == 1 and ops and ops[0].stride == (1, 1) and ops[0].kernel_size[0] % 2:
        keeps = ops[0].dilation[0] * (ops[0].kernel_size[0] - 1) // 2
        kernel = show(ops[0].kernel_size)
        return f"write `padding: {keeps}`, which keeps the size with a kernel of {kernel}, or leave the join out"
    if any(use.when is not None for use in block.shortcut):
        return "let the shortcut project where channels change too: `project: stride != 1 or in_channels != out_channels`"
    strides = size != small
    width = channels.written.text if channels is not None else str(wide)
    stride = ", stride: stride" if strides and ("stride" in block.defaults or "stride" in block.args) else ""
    if strides and not stride and all(s and n // s > 1 for n, s in zip(small, size, strict=True)):
        stride = f", stride: {small[0] // size[0]}"
    return f"give the block a shortcut that follows: `shortcut: {{downsample: {{op: projection, width: {width}{stride}}}}}`"


def repeats(name: str, first: BrokenNode, broken: Iterable[BrokenNode]) -> str:
    """`and in 35 more blocks: ...` for a conflict that would come again, were the first one mended by itself."""
    same = [part for part in broken if part.span is first.span or (part.op, part.message) == (first.op, first.message)]
    joins = name.endswith(".join") and all(part.name.endswith(".join") for part in same)
    names = dict.fromkeys(part.name.removesuffix(".join") if joins else part.name for part in same)
    names.pop(name.removesuffix(".join") if joins else name, None)
    if not names:
        return ""
    what = ("block" if joins else "place") + ("s" if len(names) > 1 else "")
    listed = ", ".join(list(names)[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "")
    return f"and in {len(names)} more {what}: {listed}"


def problem_places(
    fields: Iterable[str], use: Use, written: Mapping[str, tuple[Argument, Scope]]
) -> tuple[Label | None, list[Label]]:
    """The author's lines behind the fields that are to blame: the first that stands at the use itself, and all others."""
    own: Label | None = None
    others: list[Label] = []
    for field in fields:
        if field not in written:
            continue
        argument, scope = written[field]
        value, span = argument.value, argument.value.span
        if span.source.origin != "library":
            if field in use.arguments:
                own = own or Label(span, reading(value, scope) if isinstance(value, ScalarNode) else "")
            else:
                text = f" {value.text}" if isinstance(value, ScalarNode) else ""
                others.append(Label(span, f"`{field}` is{text} here" if text else f"`{field}` is said here"))
        for item in value.items if isinstance(value, SequenceNode) else (value,):
            if isinstance(item, ScalarNode):
                others.extend(places(item, scope))
    return own, others


def independent(findings: Iterable[Diagnostic], told: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Those of `findings` that are not about a text that was told already."""
    spans = [finding.span for finding in told if finding.span is not None]
    kept = []
    for finding in findings:
        mine = [finding.span, *(label.span for label in finding.related)]
        if not any(span is not None and span.meets(each) for span in mine for each in spans):
            kept.append(finding)
    return kept
