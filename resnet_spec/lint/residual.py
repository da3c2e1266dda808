"""Rules about residual blocks: what is on the branch, and what is on the shortcut."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from resnet_spec.diagnostics import Diagnostic
from resnet_spec.diagnostics.text import join_words
from resnet_spec.graph.model import INPUT, Region
from resnet_spec.language.spec import Stage
from resnet_spec.lint.registry import LintContext, rule
from resnet_spec.ops import Operation, Window, show


@rule("relu-before-sum")
def relu_before_sum(context: LintContext) -> Iterator[Diagnostic]:
    """A residual branch that ends in an activation without negative values (He et al. 2016b, section 4.1).

    A value that others read too is no branch, but what branches are added to, as in HRNet.
    """
    graph = context.graph
    for position in context.sums:
        node = graph.nodes[position]
        branch = node.inputs[-1]
        if branch != INPUT and graph.nodes[branch].op.nonnegative and len(context.readers[branch]) == 1:
            message = (
                f"{node.name} adds the output of {graph.nodes[branch].name}, which is never negative: the sum can only grow"
            )
            yield context.warning(branch, "relu-before-sum", message, "put the activation after the join")


def _shortcut(context: LintContext, block: Region, position: int) -> list[int] | None:
    """The nodes of the shortcut of a block that ends in the join at `position`, the last first; None if they do not lead to the
    block's input, or the join is one of several branches that was written out."""
    graph = context.graph
    node = graph.nodes[position]
    if len(node.inputs) != 2 or node.name != f"{block.name}.join":
        return None
    found: list[int] = []
    value = node.inputs[0]
    while value != block.input:
        if not block.start <= value < block.stop or len(graph.nodes[value].inputs) != 1:
            return None
        found.append(value)
        value = graph.nodes[value].inputs[0]
    return found


def _has_activation(context: LintContext, block: Region, position: int, without: list[int]) -> bool:
    """Whether the branch of a block has an activation, so that the block is more than parallel linear layers, as in RepVGG."""
    nodes = context.graph.nodes
    return any(nodes[each].op.family == "activation" for each in range(block.start, position) if each not in without)


@rule("needless-projection")
def needless_projection(context: LintContext) -> Iterator[Diagnostic]:
    """A stage in which every block projects its shortcut, also those that keep the shape (option C of He et al. 2016, section
    4.1, which they did not use: it costs memory, time and parameters)."""
    graph = context.graph
    projecting: dict[str, list[tuple[Region, list[int]]]] = {}
    for position in context.sums:
        block = context.block_of(graph.nodes[position])
        stage = "" if block is None else block.name.rpartition(".")[0]
        if block is None or stage not in context.stage_names or block.name == f"{stage}.0":
            continue
        shortcut = _shortcut(context, block, position) or []
        keeps_shape = graph.shape_of(block.input) == graph.nodes[position].shape
        is_needless = keeps_shape and _projects(context, shortcut) and _has_activation(context, block, position, shortcut)
        projecting.setdefault(stage, []).append((block, shortcut if is_needless else []))
    for stage, blocks in projecting.items():
        block, shortcut = blocks[0]
        if not all(each for _, each in blocks):
            continue
        first = next(each for each in shortcut if graph.nodes[each].op.family == "convolution")
        tensors = [tensor for each in shortcut for tensor in graph.nodes[each].op.tensors()]
        params = sum(prod(tensor.shape) for tensor in tensors if not tensor.buffer)
        shape = show(graph.shape_of(block.input))
        message = (
            f"every block of `{stage}` projects its shortcut, though {block.name} and those after it keep the shape {shape}"
        )
        help = f"{_where_to_project(context, stage)}; an identity shortcut saves {params:,} parameters in each of these blocks"
        yield context.warning(first, "needless-projection", message, help)


def _projects(context: LintContext, shortcut: list[int]) -> bool:
    """Whether a shortcut consists of 1x1 convolutions and what accompanies them."""
    families = {context.graph.nodes[each].op.family for each in shortcut}
    windows = [context.window_at[each].kernel for each in shortcut if each in context.window_at]
    return "convolution" in families and "activation" not in families and set(windows) == {(1, 1)}


def _where_to_project(context: LintContext, stage: str) -> str:
    """How the block of a stage is changed so that it projects only where the shape changes."""
    spec = context.spec
    use = next(entry.block for entry in spec.entries if isinstance(entry, Stage) and entry.name == stage)
    block = spec.find_block(use.op, use.op_span)
    if "project" in use.arguments:
        return f"leave out `project`: by default, `{use.op}` projects only where the shape changes"
    if block is None or block.key.source.origin == "library":
        return f"let `{use.op}` project only where the shape changes"
    condition = "first"  # of its stage, where the block does not declare what it outputs
    if block.out_channels is not None:
        has_stride = "stride" in block.args or "stride" in block.defaults
        condition = "stride != 1 or in_channels != out_channels" if has_stride else "in_channels != out_channels"
    return f"write `if: {condition}` in {join_words([f'`{each.name}`' for each in block.shortcut], 'and')}"


@rule("altered-identity")
def altered_identity(context: LintContext) -> Iterator[Diagnostic]:
    """A norm or an activation on the identity path of a block: in a shortcut that keeps the shape, or a batch norm after the
    sum (He et al. 2016b, sections 3 and 4.1)."""
    graph = context.graph
    for position in context.sums:
        node = graph.nodes[position]
        block = context.block_of(node)
        if block is None:
            continue
        after = context.readers[position]
        is_inside = len(after) == 1 and block.start <= after[0] < block.stop
        has_identity = block.input in node.inputs
        if is_inside and has_identity and _is_batch_norm(graph.nodes[after[0]].op):
            message = f"{graph.nodes[after[0]].name} normalizes the sum {node.name}, and with it the identity shortcut"
            help = "put the norm at the end of the branch, before the join"
            yield context.warning(after[0], "altered-identity", message, help)
        stage, _, number = block.name.rpartition(".")
        if stage in context.stage_names and number == "0":
            continue  # the first block of a stage may prepare the input of the others
        shortcut = _shortcut(context, block, position) or []
        families = {graph.nodes[each].op.family for each in shortcut}
        altering = families & {"normalization", "activation"}
        if altering and families <= {"normalization", "activation", "identity", "regularization"}:
            first = next(each for each in shortcut if graph.nodes[each].op.family in altering)
            if _has_activation(context, block, position, shortcut):
                message = f"{graph.nodes[first].name} changes the identity shortcut of {block.name}"
                help = "leave the identity shortcut empty, and put norms and activations on the branch"
                yield context.warning(first, "altered-identity", message, help)


def _is_regularization(op: Operation) -> bool:
    return op.family == "regularization"


def _is_norm(op: Operation) -> bool:
    return op.family == "normalization"


def _is_norm_or_activation(op: Operation) -> bool:
    return op.family in ("normalization", "activation")


def _is_batch_norm(op: Operation) -> bool:
    return op.removes_mean and op.depends == "pointwise"


@rule("no-final-norm")
def no_final_norm(context: LintContext) -> Iterator[Diagnostic]:
    """A pre-activation network without a norm after its last sum (He et al. 2016b, appendix: an extra activation follows the
    last block)."""
    graph = context.graph
    maps = [position for position in context.sums if len(graph.nodes[position].shape) == 3 and position not in context.gates]
    if not maps:
        return
    position = max(maps)
    node = graph.nodes[position]
    block = context.block_of(node)
    norms = context.nodes_of("normalization")
    if block is None or block.input == INPUT or any(norm > position for norm in norms):
        return
    begins = any(block.start <= each < position and each in norms for each in context.readers[block.input])
    last = context.maker(node.inputs[-1], _is_regularization)
    ends = last != INPUT and graph.nodes[last].op.family == "convolution"
    pool = next((each for each in range(position + 1, len(graph.nodes)) if graph.nodes[each].op.reads(0) is None), None)
    if begins and ends and pool is not None and any(each > position for each in context.nodes_of("linear", "convolution")):
        message = (
            f"the blocks normalize their input and not their output, and nothing normalizes {node.name}, the last sum, before"
            f" {graph.nodes[pool].name}"
        )
        yield context.warning(pool, "no-final-norm", message, "put a `norm` and an `act` before it")


@rule("stride-on-first-1x1", by_default=False)
def stride_on_first_1x1(context: LintContext) -> Iterator[Diagnostic]:
    """A stride on the 1x1 convolution before a larger one, as in the paper's ResNet-50: most pixels are not read. On the 3x3
    convolution it costs more, and gains accuracy (He et al. 2019, Bag of Tricks, section 4.2)."""
    graph, windows = context.graph, context.window_at
    for position in context.nodes_of("convolution"):
        node, larger = graph.nodes[position], windows.get(position)
        if larger is None or max(larger.kernel) == 1:
            continue
        first = context.maker(node.inputs[0], _is_norm_or_activation)
        if _is_strided_1x1(context, first):
            message = f"{graph.nodes[first].name} has a stride and a kernel of 1x1, so it reads {_share(windows[first])}"
            help = f"move the stride to {node.name}, whose kernel is {show(larger.kernel)}"
            yield context.warning(first, "stride-on-first-1x1", message, help)


@rule("strided-projection", by_default=False)
def strided_projection(context: LintContext) -> Iterator[Diagnostic]:
    """A projection of 1x1 with a stride: most pixels are not read. ResNet-D averages them first (He et al. 2019, Bag of Tricks,
    section 4.2)."""
    graph, windows = context.graph, context.window_at
    for position in context.sums:
        for value in graph.nodes[position].inputs:
            first = context.maker(value, _is_norm)
            if _is_strided_1x1(context, first):
                message = f"{graph.nodes[first].name} projects with a stride, so it reads {_share(windows[first])}"
                help = "put an `avg_pool2d` with the stride before it, and remove its own, as `mixins/d` does"
                yield context.warning(first, "strided-projection", message, help)


def _is_strided_1x1(context: LintContext, position: int) -> bool:
    window = context.window_at.get(position)
    is_convolution = position != INPUT and context.graph.nodes[position].op.family == "convolution"
    return is_convolution and window is not None and window.kernel == (1, 1) and max(window.stride) > 1


def _share(window: Window) -> str:
    """`1 pixel in 4`."""
    return f"1 pixel in {prod(window.stride)}"
