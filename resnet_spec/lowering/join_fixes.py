"""Fixes for a join of unequal inputs, the most specific first. Which of them work is decided by trying them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from resnet_spec.diagnostics import Fix, Span
from resnet_spec.graph.model import INPUT, Node
from resnet_spec.language.editing import Edits, remove_entry, remove_field, replace_text, replace_value, set_field
from resnet_spec.language.fixes import Fixes, propose, together
from resnet_spec.language.spec import ScalarNode, Use
from resnet_spec.lowering.fixes import branch_width, text_of_projection
from resnet_spec.lowering.join_sides import JoinConflict
from resnet_spec.lowering.uses import uses_of
from resnet_spec.ops import OPERATIONS, show

MOST_STRIDE = 4  # of a projection that is suggested: where the sizes differ more, it is not what is missing
_ANY_CHANGE = "stride != 1 or in_channels != out_channels"


def suggest_fixes(conflict: JoinConflict, conditions: Sequence[ScalarNode]) -> tuple[str, Fixes]:
    """What to do so that both inputs have one shape, in words, and as fixes.

    `conditions` are the texts that decided which operations of the shortcut are present.
    """
    fixes = tuple(replace(fix, is_help=True) for fix in _fixes(conflict, conditions))
    return _describe(conflict) or _where_to_look(conflict), fixes


def _describe(conflict: JoinConflict) -> str:
    """What to do where no edit of the text can be expected to do it."""
    branch, shortcut = conflict.branch, conflict.shortcut
    if len(branch.shape) != len(shortcut.shape):
        flat = min(branch, shortcut, key=lambda side: len(side.shape))
        return f"remove the flatten from the {flat.name}: the other input is an image"
    join = OPERATIONS.get(conflict.join.op)
    if join is not None and join.broadcasts and not conflict.channels_differ:
        pool, gate = "{op: adaptive_avg_pool2d, output_size: 1}", f"{branch.shape[0]}x1x1"
        return f"use the same size on both sides, or end the branch in `{pool}`, whose output is {gate}"
    return ""


def _where_to_look(conflict: JoinConflict) -> str:
    if conflict.shortcut.value == INPUT:
        return f"give the branch the shape of its input, or add a shortcut whose output is {show(conflict.branch.shape)}"
    return f"give the shortcut the channels and strides of the branch, so that its output is {show(conflict.branch.shape)} too"


def _fixes(conflict: JoinConflict, conditions: Sequence[ScalarNode]) -> Iterator[Fix]:
    if len(conflict.branch.shape) != len(conflict.shortcut.shape):
        yield from _remove_flatten(conflict)
        yield from _without_flatten(conflict)
        return
    if _is_gate(conflict):
        yield from _multiply(conflict)
        return
    yield from _stride_of_shortcut(conflict)
    yield from _stride_of_pool(conflict)
    yield from _keep_size(conflict)
    yield from _keep_channels_of_shortcut(conflict)
    yield from _stride_of_branch(conflict)
    yield from _project_where_needed(conditions)
    join = OPERATIONS.get(conflict.join.op)
    if join is not None and join.broadcasts:
        yield from _keep_channels(conflict)
        return
    yield from _add_shortcut(conflict)
    yield from _keep_channels(conflict)
    for padded in _keep_size(conflict):
        for added in _add_shortcut(conflict):
            yield Fix(f"{padded.title}; and {added.title}", padded.edits + added.edits)


def _remove_flatten(conflict: JoinConflict) -> Iterator[Fix]:
    for node in conflict.context.body.nodes:
        if len(node.shape) == 1 and node.inputs[-1] != INPUT and len(conflict.context.body.nodes[node.inputs[-1]].shape) == 3:
            flat = min(conflict.branch, conflict.shortcut, key=lambda side: len(side.shape))
            title = f"remove the flatten from the {flat.name}, `{node.name}`: the other input is an image"
            yield from propose(title, remove_entry(node.span))


def _without_flatten(conflict: JoinConflict) -> Iterator[Fix]:
    """For a gate with linear layers: 1x1 convolutions compute the same, and keep the form of an image."""
    families = [(use, OPERATIONS[use.op].family) for use in conflict.block.branch if use.op in OPERATIONS]
    flat = [use for use, family in families if family == "reshaping"]
    linear = [use for use, family in families if family == "linear" and "out_features" in use.arguments]
    if not flat or not linear or conflict.shortcut.value != INPUT:
        return
    edits = together(*(remove_entry(use.key) for use in flat), *(_as_convolution(use) for use in linear))
    names = " and ".join(f"`{use.name}`" for use in linear)
    yield from propose(f"remove `{flat[0].name}`, and make 1x1 convolutions of {names}: the other input is an image", edits)


def _as_convolution(use: Use) -> Edits:
    """A linear layer as a convolution with a kernel of 1."""
    return together(
        replace_text(use.op_span, "conv2d"),
        replace_text(use.arguments["out_features"].key, "out_channels"),
        set_field(use.key, "kernel_size", "1"),
    )


def _is_gate(conflict: JoinConflict) -> bool:
    """Whether a branch of one pixel for each channel is added to an image."""
    branch, shortcut = conflict.branch.shape, conflict.shortcut.shape
    join = OPERATIONS.get(conflict.join.op)
    return branch == (shortcut[0], 1, 1) and max(shortcut[1:]) > 1 and join is not None and join.joins == "sum"


def _multiply(conflict: JoinConflict) -> Iterator[Fix]:
    title = "write `join: multiply`: the branch is one number for each channel, a gate"
    yield from propose(title, replace_text(conflict.join.op_span, "multiply"))


def _stride_of_pool(conflict: JoinConflict) -> Iterator[Fix]:
    """For pools that someone took to have a stride of 1: it is the kernel size where it is not written."""
    uses = _uses(conflict)
    for side in (conflict.branch, conflict.shortcut):
        for node in side.resizing:
            window, use = node.op.window(), uses.get(node.span)
            if use is None or window is None or "stride" in use.arguments or window.stride == (1, 1):
                continue
            if window.stride == window.kernel:
                edits = set_field(node.span, "stride", "1")
                padding = "" if (text := _padding(node)) is None else f" and `padding: {text}`"
                if padding and text is not None:
                    edits = together(edits, set_field(node.span, "padding", text))
                why = "without a stride it is that of the kernel"
                yield from propose(f"write `stride: 1`{padding} in `{node.name}`: {why}", edits)


def _keep_channels_of_shortcut(conflict: JoinConflict) -> Iterator[Fix]:
    """Give a shortcut that computes something the channels of the branch."""
    branch, join = conflict.branch.channels, OPERATIONS.get(conflict.join.op)
    if not conflict.channels_differ or branch is None or join is None or join.joins == "concatenation":
        return
    for use in reversed(conflict.block.shortcut):
        for name in ("width", "out_channels"):
            if name in use.arguments and isinstance(use.arguments[name].value, ScalarNode):
                text = branch.written.text
                title = f"write `{name}: {text}` in `{use.name}`, the channels of the branch"
                yield from propose(title, replace_value(use.arguments[name].value, f'"{text}"' if "," in text else text))
                return


def _stride_of_shortcut(conflict: JoinConflict) -> Iterator[Fix]:
    """For a shortcut without the stride of the branch."""
    if conflict.shortcut.value == INPUT or not ("stride" in conflict.block.defaults or "stride" in conflict.block.args):
        return
    for use in conflict.block.shortcut:
        if "stride" not in use.arguments and (use.op not in OPERATIONS or OPERATIONS[use.op].depends == "window"):
            title = f"add `stride: stride` to `{use.name}`, so that it has the stride of the branch"
            yield from propose(title, set_field(use.key, "stride", "stride"))


def _keep_size(conflict: JoinConflict) -> Iterator[Fix]:
    """Pad the windows that make the image smaller without a stride: all of the branch, since each may lack it, else all of
    both sides."""
    if not conflict.sizes_differ:
        return
    yield from _pad(conflict.branch.resizing)
    yield from _pad((*conflict.branch.resizing, *conflict.shortcut.resizing))
    yield from _pad_even(conflict.branch.resizing)


def _pad(nodes: Sequence[Node]) -> Iterator[Fix]:
    padded = [(node, text) for node in nodes if (text := _padding(node)) is not None]
    if not padded:
        return
    edits = together(*(set_field(node.span, "padding", text) for node, text in padded))
    names = " and ".join(f"`{node.name}`" for node, _ in padded)
    written = sorted({text for _, text in padded})
    kernels = " and ".join(sorted({show(window.kernel) for node, _ in padded if (window := node.op.window()) is not None}))
    if len(padded) == 1:
        yield from propose(f"write `padding: {written[0]}` in {names}, which keeps the size with a kernel of {kernels}", edits)
    else:
        values = " and ".join(f"`padding: {text}`" for text in written)
        yield from propose(f"write {values} in {names}: that keeps the size with kernels of {kernels}", edits)


def _pad_even(nodes: Sequence[Node]) -> Iterator[Fix]:
    """No padding keeps the size with an even kernel, except an uneven one."""
    even = [node for node in nodes if (window := node.op.window()) is not None and any(k % 2 == 0 for k in window.kernel)]
    edits = together(*(set_field(node.span, "padding", "same") for node in even)) if even else ()
    names = " and ".join(f"`{node.name}`" for node in even)
    title = f"write `padding: same` in {names}: an even kernel needs one pixel more on one side (or use an odd kernel)"
    yield from propose(title, edits)


def _padding(node: Node) -> str | None:
    """The padding with which a window keeps the size, up to its stride, where it has another one."""
    window = node.op.window()
    if window is None or any(kernel % 2 == 0 for kernel in window.kernel):
        return None
    high, wide = (d * (k - 1) // 2 for d, k in zip(window.dilation, window.kernel, strict=True))
    if window.padding == (high, wide):
        return None
    return str(high) if high == wide else f"[{high}, {wide}]"


def _stride_of_branch(conflict: JoinConflict) -> Iterator[Fix]:
    """For a number as the stride in a branch whose input is added as it is."""
    uses = _uses(conflict)
    for node in conflict.branch.resizing:
        window = node.op.window()
        if window is None or window.stride == (1, 1):
            continue
        use = uses.get(node.span)
        if use is None or "stride" not in use.arguments:
            continue
        written = use.arguments["stride"].value
        if isinstance(written, ScalarNode) and written.value == "stride":
            continue
        if "stride" in conflict.block.defaults or "stride" in conflict.block.args:
            yield from propose(f"write `stride: stride` in `{node.name}`", set_field(node.span, "stride", "stride"))
        title = f"remove the stride of `{node.name}`: the other input of the join keeps its size"
        yield from propose(title, remove_field(node.span, "stride"))


def _project_where_needed(conditions: Sequence[ScalarNode]) -> Iterator[Fix]:
    """For a shortcut with a condition that was false."""
    for condition in conditions:
        title = f"project the shortcut where channels change too: `{_ANY_CHANGE}`"
        yield from propose(title, replace_value(condition, _ANY_CHANGE))


def _add_shortcut(conflict: JoinConflict) -> Iterator[Fix]:
    """For a block that adds its input as it is: a projection where the shape changes, the identity elsewhere."""
    block, branch, shortcut = conflict.block, conflict.branch, conflict.shortcut
    if block.shortcut:
        return
    width = branch.channels.written.text if branch.channels is not None else branch_width(block)
    takes_stride = "stride" in block.defaults or "stride" in block.args
    texts = [text_of_projection(width, takes_stride)]
    if conflict.sizes_differ and not takes_stride:
        sizes = zip(shortcut.shape[1:], branch.shape[1:], strict=True)
        factors = {before // after for before, after in sizes if after}
        strides = [factor for factor in factors if 1 < factor <= MOST_STRIDE]
        texts += [f"{{op: projection, width: {width}, stride: {factor}}}" for factor in strides]
    for text in texts:
        title = f"add a shortcut to the block: `shortcut: {{downsample: {text}}}`"
        yield from propose(title, set_field(block.key, "shortcut", f"{{downsample: {text}}}"))


def _keep_channels(conflict: JoinConflict) -> Iterator[Fix]:
    """Give the branch as many channels as the input that it is joined with."""
    if not conflict.channels_differ or conflict.shortcut.value != INPUT or conflict.branch.channels is None:
        return
    edits: Edits = replace_value(conflict.branch.channels.written, "in_channels")
    yield from propose("give the branch the channels of its input: `out_channels: in_channels`", edits)


def _uses(conflict: JoinConflict) -> dict[Span, Use]:
    """The uses in the block, by their keys."""
    return {use.key: use for use in uses_of(conflict.block)}
