"""Rules about one operation, or about neighboring ones."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import prod

from resnet_spec.diagnostics import Diagnostic
from resnet_spec.graph.model import INPUT, Node
from resnet_spec.language.editing import remove_entry, set_field
from resnet_spec.language.fixes import Fixes, propose
from resnet_spec.lint.registry import LintContext, rule
from resnet_spec.ops import Operation, Shape, Window, fields_of, show

MOST_GATES = 4  # that are looked through on the way from a convolution back to a grouped one


@rule("redundant-bias")
def redundant_bias(context: LintContext) -> Iterator[Diagnostic]:
    """A bias that the following batch norm cancels (Ioffe and Szegedy 2015, section 3.2)."""
    graph = context.graph
    for op, positions in context.operations.values():
        bias = next((tensor for tensor in op.tensors() if tensor.name == "bias"), None)
        if bias is None:
            continue
        for position in positions:
            after = [graph.nodes[reader] for reader in context.readers[position]]
            if after and position != graph.output and all(reader.op.removes_mean for reader in after):
                message = f"{graph.nodes[position].name} has a bias, which {after[0].name} cancels when it subtracts the mean"
                help = f"write `bias: false`; it saves {bias.shape[0]} parameters"
                fixes = propose("write `bias: false`", set_field(graph.nodes[position].span, "bias", "false"))
                yield context.warning(position, "redundant-bias", message, help, fixes)


@rule("unread-pixels")
def unread_pixels(context: LintContext) -> Iterator[Diagnostic]:
    """A stride larger than the kernel. A kernel of one with a stride drops pixels on purpose."""
    for window, positions in context.windows:
        reach = _reach(window)
        if window.kernel == (1, 1) or not any(s > r for s, r in zip(window.stride, reach, strict=True)):
            continue
        for position in positions:
            sizes = f"a stride of {show(window.stride)} and a kernel of {show(reach)}"
            message = f"{context.graph.nodes[position].name} has {sizes}, so some pixels are never read"
            yield context.warning(position, "unread-pixels", message, "use a larger kernel, or a smaller stride")


def _reach(window: Window) -> tuple[int, ...]:
    """Height and width of the pixels that a window extends over."""
    return tuple([d * (k - 1) + 1 for k, d in zip(window.kernel, window.dilation, strict=True)])


@rule("even-kernel")
def even_kernel(context: LintContext) -> Iterator[Diagnostic]:
    """An even kernel that slides by one pixel and pads both sides alike: no padding keeps the size, and the map is shifted by
    half a pixel (Wu et al. 2019, Convolution with Even-Sized Kernels and Symmetric Padding)."""
    graph = context.graph
    for window, positions in context.windows:
        fields = fields_of(type(graph.nodes[positions[0]].op))
        is_padded = [r % 2 == 0 and p > 0 for r, p in zip(_reach(window), window.padding, strict=True)]
        if window.stride != (1, 1) or "padding" not in fields or not any(is_padded):
            continue
        for position in positions:
            node = graph.nodes[position]
            before, after = graph.shape_of(node.inputs[0])[1:], node.shape[1:]
            # An even kernel that keeps the size, as with `padding: same`, pads one side more than the other.
            if any(even and n != m for even, n, m in zip(is_padded, before, after, strict=True)):
                message = (
                    f"{node.name} has an even kernel, {show(window.kernel)}, and the same padding on both sides: it makes"
                    f" {show(after)} of {show(before)}, shifted by half a pixel"
                )
                help = "use an odd kernel"
                if "same" in fields["padding"].words:
                    help += ", or `padding: same`, which pads one side by one pixel more"
                yield context.warning(position, "even-kernel", message, help)


@rule("doubled-operation")
def doubled_operation(context: LintContext) -> Iterator[Diagnostic]:
    """A norm right after a norm that nothing else reads, or an activation right after the same activation."""
    graph = context.graph
    for position in context.nodes_of("normalization", "activation"):
        node = graph.nodes[position]
        first = context.maker(node.inputs[0])
        if first == INPUT:
            continue
        before = graph.nodes[first]
        if before.op.family != node.op.family:
            continue
        if node.op.family == "normalization":
            if context.is_only_reader(position, first):
                message = f"{node.name} normalizes what {before.name} has normalized"
                yield context.warning(position, "doubled-operation", message, "remove one of them", _remove(node))
        elif before.op == node.op:
            message = f"{node.name} repeats the activation {before.name}, with nothing between them"
            yield context.warning(position, "doubled-operation", message, "remove one of them", _remove(node))


def _remove(node: Node) -> Fixes:
    return propose(f"remove `{node.name.rpartition('.')[2]}`", remove_entry(node.span))


@rule("missing-activation")
def missing_activation(context: LintContext) -> Iterator[Diagnostic]:
    """Two linear layers, or two convolutions, with no activation between them: together they are one linear map (Goodfellow,
    Bengio and Courville 2016, Deep Learning, section 6.1).

    Pairs that save parameters are made on purpose, and are not reported: depthwise and grouped convolutions with the 1x1
    convolution that belongs to them, a narrow layer between two wide ones (as in MobileNetV2), and a kernel that is split into
    its two axes.
    """
    graph = context.graph
    for position in context.nodes_of("convolution", "linear"):
        node = graph.nodes[position]
        first = context.maker(node.inputs[0], _is_linear_in_evaluation)
        if first == INPUT:
            continue
        before = graph.nodes[first]
        if (
            before.op.family == node.op.family
            and context.is_only_reader(position, first)
            and _is_one_map(context, before, node)
        ):
            message = f"{node.name} follows {before.name} with no activation between them: together they are one linear map"
            help = f"put `act` between them, or remove `{before.name}`"
            yield context.warning(position, "missing-activation", message, help)


def _is_linear_in_evaluation(op: Operation) -> bool:
    """Whether an operation with one input is linear for a single image: batch norm, dropout."""
    return op.family == "regularization" or _keeps_statistics(op)


@lru_cache(maxsize=1024)  # equal layers are one object, which is looked at on every path
def _keeps_statistics(op: Operation) -> bool:
    """Whether a norm uses the statistics of training in evaluation, as batch norm does."""
    return any(tensor.name == "running_var" for tensor in op.tensors())


def _is_one_map(context: LintContext, first: Node, second: Node) -> bool:
    """Whether one layer could replace two without more weights by orders of magnitude."""
    graph = context.graph
    entering, middle, leaving = graph.shape_of(first.inputs[0]), first.shape, second.shape
    channel = _channel_axis(first, entering)
    if not (_is_dense(first, entering[channel], middle[channel]) and _is_dense(second, middle[channel], leaving[channel])):
        return False
    if middle[channel] < min(entering[channel], leaving[channel]) or _completes_grouped(context, first):
        return False
    windows = first.op.window(), second.op.window()
    if windows[0] is None or windows[1] is None:
        return first.op.family == "linear"  # a transposed convolution changes the size on purpose
    kernels = list(zip(windows[0].kernel, windows[1].kernel, strict=True))
    return not (any(a > 1 == b for a, b in kernels) and any(b > 1 == a for a, b in kernels))


def _channel_axis(node: Node, entering: Shape) -> int:
    """The axis of the channels that a layer mixes: the first one of images, also for a linear layer over channels."""
    return 0 if node.op.family == "convolution" or 0 in node.op.fixes_size(entering) else -1


def _completes_grouped(context: LintContext, node: Node) -> bool:
    """Whether a convolution mixes the channels of a depthwise or grouped one, as the last of an inverted residual does."""
    graph = context.graph
    value = context.maker(node.inputs[0], _is_pointwise)
    for _ in range(MOST_GATES):
        ungated = [] if value == INPUT else [each for each in graph.nodes[value].inputs if each not in context.gates]
        if value == INPUT or len(ungated) != 1 or graph.nodes[value].op.joins != "product":
            break
        value = context.maker(ungated[0], _is_pointwise)
    if value == INPUT or graph.nodes[value].op.family != "convolution":
        return False
    before = graph.nodes[value]
    return not _is_dense(before, graph.shape_of(before.inputs[0])[0], before.shape[0])


def _is_pointwise(op: Operation) -> bool:
    return op.family in ("normalization", "activation", "regularization")


def _is_dense(node: Node, inputs: int, outputs: int) -> bool:
    """Whether each output channel reads all input channels."""
    weight = next((tensor for tensor in node.op.tensors() if tensor.name == "weight"), None)
    return weight is not None and prod(weight.shape[:2]) == inputs * outputs


@rule("dropout-before-batch-norm")
def dropout_before_batch_norm(context: LintContext) -> Iterator[Diagnostic]:
    """Dropout right before a batch norm: the variance that the norm learns in training is not that of evaluation (Li et al.
    2019, Understanding the Disharmony between Dropout and Batch Normalization by Variance Shift)."""
    graph = context.graph
    for position in context.nodes_of("normalization"):
        node = graph.nodes[position]
        first = context.maker(node.inputs[0])
        if first == INPUT or not _keeps_statistics(node.op):
            continue
        before = graph.nodes[first]
        if before.op.family == "regularization" and not before.op.returns_input(training=True):
            message = (
                f"{before.name} is right before {node.name}: dropout changes the variance in training, and the norm uses that"
                " variance in evaluation, where nothing is dropped"
            )
            help = "put the dropout after the norm and the activation, or behind the last norm of the network"
            yield context.warning(first, "dropout-before-batch-norm", message, help)


@rule("width-not-multiple-of-8", by_default=False)
def width_not_multiple_of_8(context: LintContext) -> Iterator[Diagnostic]:
    """A number of channels that tensor cores in half precision have to pad (NVIDIA, Matrix Multiplication Background)."""
    graph = context.graph
    layers = context.nodes_of("convolution", "linear")
    for position in layers:
        node = graph.nodes[position]
        width = node.shape[_channel_axis(node, graph.shape_of(node.inputs[0]))]
        if width % 8 and position != max(layers) and position not in context.gates:
            help = f"use {max(8, (width + 4) // 8 * 8)}, or `make_divisible(..., 8)`"
            yield context.warning(
                position, "width-not-multiple-of-8", f"{node.name} has {width} channels, not a multiple of 8", help
            )
